# SPDX-License-Identifier: Apache-2.0
"""From gRPC's errors to ours: a refusal that came as `google.rpc.ErrorInfo`, or no answer at
all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # pyright: ignore[reportMissingTypeStubs]

from placet.client.connection.told import refused
from placet.client.errors import AnswerMalformed, CallTimedOut, HostUnreachable
from placet.refusals import Refusal

_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
_DETAILS = "grpc-status-details-bin"
_DOMAIN = "placet.dev"
# gRPC's own status where the stream ended while it was still sending: whatever the host said is
# lost with it.
_BROKEN_SENDING = (grpc.StatusCode.INTERNAL, "Internal error from Core")


@contextmanager
def translated() -> Generator[None]:
    """Turns gRPC's errors inside the block into `Refused`, `HostUnreachable`, `CallTimedOut` or
    `AnswerMalformed`."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_of(error) from None
    except grpc.aio.UsageError:
        raise HostUnreachable("The client has been closed. Open a new one.") from None


async def followed(watch: Callable[[], Awaitable[Any]], patience: float) -> AsyncIterator[Any]:
    """What a streaming call tells, again from the start where the connection breaks off or the host
    ends it. `watch` begins the call.

    Whoever reads it stops when nothing more is to come. For up to `patience` seconds on end the
    host may be away; then raises `HostUnreachable`.
    """
    loop = asyncio.get_running_loop()
    pause, deadline = _PAUSE, loop.time() + patience
    while True:
        call: Any = None
        try:
            with translated():
                call = await watch()
                async for told in call:
                    yield told
                    pause, deadline = _PAUSE, loop.time() + patience
        except HostUnreachable:
            if loop.time() + pause > deadline:
                raise
        finally:
            if call is not None:
                call.cancel()
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def error_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What a failed call stands for."""
    info = _info_of(error)
    if info is not None:
        return refused(info.reason, error.details() or info.reason, info.metadata)
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE or (code, error.details()) == _BROKEN_SENDING:
        return HostUnreachable(
            "The connection to the host failed or broke off. Check that it runs, and whether it "
            "asks for a certificate of yours, then try again.",
            actual=code.name,
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CallTimedOut(
            "The host did not answer in time; it may still do what was asked. Look before you try "
            "again.",
            actual=code.name,
        )
    return AnswerMalformed(
        f"The host failed without saying why ({code.name}). Use a client of the host's version, or "
        "ask its operator.",
        actual=code.name,
    )


def _info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    for key, value in error.trailing_metadata():
        if key != _DETAILS or not isinstance(value, bytes):
            continue
        info = error_details_pb2.ErrorInfo()
        try:
            for packed in status_pb2.Status.FromString(value).details:
                if packed.Unpack(info) and info.domain == _DOMAIN:
                    return info
        except DecodeError:
            return None
    return None
