# SPDX-License-Identifier: Apache-2.0
"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from placet.client import forks


class Closed(Protocol):
    """What has an end."""

    async def close(self) -> None: ...


T = TypeVar("T")
A = TypeVar("A")
C = TypeVar("C", bound=Closed)
_GRACE = 5.0


class Portal:
    """Runs coroutines in its loop. An interrupt of the caller cancels what it waits for, and waits
    until that has ended."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="placet-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result, or what it raises. Raises `UsageRefused` in a forked child, which
        has not the portal's thread."""
        try:
            forks.check()
            if self._loop.is_closed():
                raise RuntimeError("the client has been closed")
        except BaseException:
            work.close()
            raise
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            if future.cancel():  # an interrupt: the work has not ended yet
                self._settle()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """The items of an asynchronous generator, one by one; it is closed when the caller
        stops."""
        try:
            while True:
                try:
                    item = self.run(_next(items))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if hasattr(items, "aclose") and not self._loop.is_closed():
                closing = _close(items)
                if threading.current_thread() is self._thread:
                    # What nobody refers to is collected in any thread, also in this one, which
                    # would wait for itself.
                    asyncio.run_coroutine_threadsafe(closing, self._loop)
                else:
                    self.run(closing)

    def close(self) -> None:
        """End the loop and its thread."""
        if not self._loop.is_closed():
            self.run(self._loop.shutdown_asyncgens())
            self.run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _settle(self) -> None:
        asyncio.run_coroutine_threadsafe(_pending(), self._loop).result(_GRACE)


class Blocking(Generic[A]):
    """A blocking form of a part of the asynchronous client, whose calls run in the portal's
    loop."""

    def __init__(self, portal: Portal, core: A) -> None:
        self._portal = portal
        self._core = core


class BlockingContext(Blocking[C]):
    """The same of a part that is closed."""

    def close(self) -> None:
        """End what is under way."""
        self._portal.run(self._core.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BlockingClient(BlockingContext[C]):
    """The same of the whole client, which has the portal for itself."""

    @classmethod
    def _opened(cls, connecting: Coroutine[Any, Any, C]) -> Self:
        portal = Portal()
        try:
            return cls(portal, portal.run(connecting))
        except BaseException:
            portal.close()
            raise

    def close(self) -> None:
        """End the connection and the thread."""
        try:
            super().close()
        finally:
            self._portal.close()


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)


async def _close(items: Any) -> None:
    await items.aclose()


async def _pending() -> None:
    """Wait until cancelled tasks have ended."""
    current = asyncio.current_task()
    cancelled = [t for t in asyncio.all_tasks() if t is not current and t.cancelling()]
    if cancelled:
        await asyncio.wait(cancelled, timeout=_GRACE)
