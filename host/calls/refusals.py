# SPDX-License-Identifier: Apache-2.0
"""From a refusal to what a caller receives: `google.rpc.Status` with `ErrorInfo`, by the options of
its reason.

The status travels in the trailer `grpc-status-details-bin`, as gRPC's own status libraries read it.
Trailers have a bound (8 KiB in all), so what a refusal says is cut to fit, longest texts first.
"""

import asyncio
import re
import urllib.parse
from functools import lru_cache
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
from google.rpc import (  # pyright: ignore[reportMissingTypeStubs]
    error_details_pb2,
    status_pb2,
)

from placet.proto.refusals import INTERNAL_TEXT, public_text, reason_name
from placet.proto.v1 import common_pb2

DOMAIN: Final = "placet.dev"
STATUS_TRAILER: Final = "grpc-status-details-bin"
DETAIL_KEYS: Final = ("claim", "expected", "actual", "rule", "remedy", "retry_ms")
_MAX_MESSAGE = 1500  # bytes as gRPC encodes it in its own trailer
_MAX_DETAILS = 2500  # bytes of all values together
_KEPT = 256  # refusals whose form on the wire is remembered
_WAIT = re.compile(r"[0-9]{1,9}")  # milliseconds


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def code_of(reason: common_pb2.Reason.ValueType) -> grpc.StatusCode:
    """The status code of a reason; INTERNAL for a number that this version does not know."""
    known = common_pb2.Reason.DESCRIPTOR.values_by_number.get(reason)
    if known is None:
        return grpc.StatusCode.INTERNAL
    return _CODES[known.GetOptions().Extensions[common_pb2.code]]


def status_of(refusal: common_pb2.Refusal) -> status_pb2.Status:
    """The status of a refusal: code, message, an `ErrorInfo` with the reason and the details, and
    when to try again."""
    code, reason = code_of(refusal.reason), reason_name(refusal.reason)
    if reason == "INTERNAL":
        message, details = INTERNAL_TEXT, dict[str, str]()
    else:
        message = refusal.message or public_text(refusal.reason)
        details = {key: refusal.details[key] for key in DETAIL_KEYS if key in refusal.details}
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=_fit_details(details))
    status = status_pb2.Status(code=code.value[0], message=_fit_message(message))
    status.details.add().Pack(info)
    retry_ms = details.get("retry_ms", "")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _WAIT.fullmatch(retry_ms):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(retry_ms))
        status.details.add().Pack(retry)
    return status


async def abort(
    context: grpc.aio.ServicerContext[Any, Any], refusal: common_pb2.Refusal
) -> NoReturn:
    """End a call with a refusal."""
    code, message, status = _leaving(refusal.SerializeToString(deterministic=True))
    await context.abort(code, message, ((STATUS_TRAILER, status),))


@lru_cache(_KEPT)
def _leaving(refusal: bytes) -> tuple[grpc.StatusCode, str, bytes]:
    """Code, message and status of a refusal. Strangers are refused the same things again and
    again."""
    read = common_pb2.Refusal.FromString(refusal)
    status = status_of(read)
    return code_of(read.reason), status.message, status.SerializeToString()


def reason_in(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The reason by which a call was ended; empty where it was not refused."""
    given: Any = context.trailing_metadata() or ()
    return next((_reason_of(value) for key, value in given if key == STATUS_TRAILER), "")


@lru_cache(_KEPT)
def _reason_of(status: bytes) -> str:
    info = error_details_pb2.ErrorInfo()
    details = status_pb2.Status.FromString(status).details
    return next((info.reason for packed in details if packed.Unpack(info)), "")


def code_name(context: grpc.aio.ServicerContext[Any, Any], error: BaseException | None) -> str:
    """The name of the status with which a call leaves, after this error or none."""
    if error is None:
        return grpc.StatusCode.OK.name
    if isinstance(error, grpc.aio.AbortError):
        code: Any = context.code()  # the stubs take it for a number
        return str(code.name)
    gone = isinstance(error, asyncio.CancelledError | GeneratorExit)
    return (grpc.StatusCode.CANCELLED if gone else grpc.StatusCode.UNKNOWN).name


def _fit_message(message: str) -> str:
    """As many characters as fit once gRPC has percent-encoded them."""
    while (size := len(urllib.parse.quote(message, safe=" "))) > _MAX_MESSAGE:
        message = message[: max(len(message) * _MAX_MESSAGE // size - 1, 0)]
    return message


def _fit_details(details: dict[str, str]) -> dict[str, str]:
    """Cut values so that together they fit; a short one leaves its share to the longer ones."""
    left, fitted = _MAX_DETAILS, dict[str, str]()
    by_length = sorted(details.items(), key=lambda item: len(item[1].encode()))
    for count, (key, value) in zip(range(len(by_length), 0, -1), by_length, strict=True):
        fitted[key] = value.encode()[: left // count].decode(errors="ignore")
        left -= len(fitted[key].encode())
    return fitted
