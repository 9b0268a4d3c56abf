# SPDX-License-Identifier: Apache-2.0
"""From gRPC's errors to ours: a refusal that came as `google.rpc.ErrorInfo`, or no answer at all."""

from collections.abc import Generator
from contextlib import contextmanager

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # pyright: ignore[reportMissingTypeStubs]

from placet.client.errors import (
    AnswerMalformed,
    CallTimedOut,
    ClientError,
    HostUnreachable,
    Refused,
)

_DETAILS = "grpc-status-details-bin"
_DOMAIN = "placet.dev"
# gRPC's own status where the stream ended while it was still sending: whatever the host said is lost with it.
_BROKEN_SENDING = (grpc.StatusCode.INTERNAL, "Internal error from Core")


@contextmanager
def translated() -> Generator[None]:
    """Turns gRPC's errors inside the block into `Refused`, `HostUnreachable`, `CallTimedOut` or `AnswerMalformed`."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_of(error) from None
    except grpc.aio.UsageError:
        raise HostUnreachable("The client has been closed. Open a new one.") from None


def error_of(error: grpc.aio.AioRpcError) -> ClientError:
    """What a failed call stands for."""
    info = _info_of(error)
    if info is not None:
        return Refused(info.reason, error.details() or info.reason, dict(info.metadata))
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE or (code, error.details()) == _BROKEN_SENDING:
        return HostUnreachable(
            "The connection to the host failed or broke off. Check that it runs, then try again.",
            actual=code.name,
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CallTimedOut(
            "The host did not answer in time; it may still do what was asked. Look before you try again.",
            actual=code.name,
        )
    return AnswerMalformed(
        f"The host failed without saying why ({code.name}). Use a client of the host's version, or ask its operator.",
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
