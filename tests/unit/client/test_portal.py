# SPDX-License-Identifier: Apache-2.0
"""The loop in a thread: results, errors, iterators that are closed, and interrupts that leave
nothing running."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from placet.client.portal import Portal


@pytest.fixture
def portal() -> Iterator[Portal]:
    made = Portal()
    yield made
    made.close()


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT raises, as at a terminal: whoever started the tests may have had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_results_and_errors(portal: Portal) -> None:
    async def give(value: int) -> int:
        return 10 // value

    assert portal.run(give(5)) == 2
    with pytest.raises(ZeroDivisionError):
        portal.run(give(0))


def test_an_iterator_is_closed_when_its_reader_stops(portal: Portal) -> None:
    closed = threading.Event()

    async def count() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.set()

    items = portal.iterate(count())
    assert [next(items), next(items)] == [0, 1]
    assert not closed.is_set()
    items.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert list(portal.iterate(count()))[-1] == 999


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_ends_what_it_waits_for(portal: Portal) -> None:
    ended = threading.Event()

    async def wait() -> None:
        # As a terminal does it, once the caller waits.
        main = threading.main_thread().ident
        assert main is not None
        asyncio.get_running_loop().call_later(0.2, signal.pthread_kill, main, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        portal.run(wait())
    assert ended.is_set()


def test_a_closed_portal_says_so() -> None:
    portal = Portal()
    portal.close()
    portal.close()
    with pytest.raises(RuntimeError, match="closed"):
        portal.run(asyncio.sleep(0))


def test_an_iteration_may_be_collected_in_the_portals_own_thread(portal: Portal) -> None:
    ended: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(3):
                yield number
        finally:
            ended.append(1)

    async def drop() -> None:
        held.clear()  # the last reference, as the garbage collector may have it

    held = [portal.iterate(numbers())]
    assert next(held[0]) == 0
    portal.run(drop())
    portal.run(asyncio.sleep(0))
    assert ended == [1]
