# SPDX-License-Identifier: Apache-2.0
"""What `placet doctor` looks at, from this home to the host's authority. Nothing is changed, and
nobody has to be known to the host for it.

Each check that another one rests on comes before it; what cannot be looked at for its sake is left
out.
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf import wrappers_pb2

from placet.client.cli._words import when
from placet.client.connection.calls import error_of, translated
from placet.client.connection.channel import (
    METADATA,
    fetch_certificate,
    open_channel,
    open_channel_by_ca,
    pin_of,
)
from placet.client.errors import HostPinMismatch
from placet.client.home import Home
from placet.client.log.memory import CouncilMemory
from placet.governance.codec import parse_object
from placet.governance.log import MAX_ENTRY_BYTES, VerifierKey, verify_checkpoint
from placet.proto.limits import ASK_KEY, RELEASE_KEY, TIME_KEY
from placet.proto.v1 import log_pb2, log_pb2_grpc
from placet.refusals import LogCheckpointInvalid, Refusal

OK, WARN, FAIL = "ok", "warn", "fail"
_TIMEOUT = 10.0
_CLOCK_WARN, _CLOCK_FAIL = 2.0, 30.0  # seconds
_SERVING = 1  # grpc.health.v1.HealthCheckResponse.SERVING
# Health services, and what it means that one does not serve.
_CONDITIONS: Final[Mapping[str, str]] = {
    "authority": "The authority is away or does not answer. Ask the operator.",
    "store": "The store is locked, full or damaged. Ask the operator.",
    "disk": "The disk is nearly full, and uploads are refused. Ask the operator.",
    "clock": "The host's clock has jumped. Ask the operator.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`refusal` is what a check that failed raised, if it did."""

    check: str
    verdict: str
    said: str
    refusal: Refusal | None = None


async def examine(home: Home) -> AsyncGenerator[Finding, None]:
    """The findings, in the order of the checks."""
    try:
        address, _ = home.host()
        ca, own = home.ca(), home.certificate()
        yield Finding("home", OK, f"{home.folder} is for the host at {address}.")
    except Refusal as refusal:
        yield Finding("home", FAIL, str(refusal), refusal)
        return
    try:
        began = time.monotonic()
        found = pin_of(fetch_certificate(address, ca))
        took = (time.monotonic() - began) * 1000
        yield Finding("host", OK, f"It answers at {address} in {took:.0f} ms.")
        if ca:
            channel, found = await open_channel_by_ca(address, ca, own)
        else:
            channel, found = await open_channel(address, home.pins(), own)
        yield Finding("pin", OK, found)
    except HostPinMismatch as refusal:
        yield Finding("pin", FAIL, str(refusal), refusal)
        return
    except Refusal as refusal:
        yield Finding("host", FAIL, str(refusal), refusal)
        return
    async with channel, aclosing(_of_host(home, channel)) as findings:
        async for finding in findings:
            yield finding


async def _of_host(home: Home, channel: grpc.aio.Channel) -> AsyncGenerator[Finding, None]:
    stub: Any = log_pb2_grpc.LogStub(channel)
    metadata = (*METADATA, (ASK_KEY, "1"))
    call = stub.GetCheckpoint(log_pb2.GetCheckpointRequest(), metadata=metadata, timeout=_TIMEOUT)
    asked = time.time()
    try:
        with translated():
            note = (await call).note
    except Refusal as refusal:
        yield Finding("version", FAIL, str(refusal), refusal)
        return
    now = (asked + time.time()) / 2
    told = {key: str(value) for key, value in await call.trailing_metadata()}
    yield release(told.get(RELEASE_KEY, ""))
    yield clock(told.get(TIME_KEY, ""), now)
    for name, matter in _CONDITIONS.items():
        yield await _health(channel, name, matter)
    yield compared(home, note)


def release(theirs: str) -> Finding:
    """The host's release beside this one."""
    ours = version("placet")
    if theirs == ours:
        return Finding("version", OK, f"Host and client are of release {ours}.")
    told = theirs if theirs.replace(".", "").isalnum() else "that it does not say"
    return Finding("version", WARN, f"The host is of release {told}, this client of {ours}.")


def clock(theirs: str, ours: float) -> Finding:
    """The host's time, in Unix milliseconds, beside ours."""
    if not theirs.isdecimal():
        return Finding("time", WARN, "The host does not say what time it has.")
    apart = int(theirs) / 1000 - ours
    said = f"The host's clock is {abs(apart):.1f} s {'ahead' if apart > 0 else 'behind'}."
    if abs(apart) < _CLOCK_WARN:
        return Finding("time", OK, f"The clocks of host and client are {abs(apart):.1f} s apart.")
    verdict = FAIL if abs(apart) > _CLOCK_FAIL else WARN
    return Finding("time", verdict, f"{said} Compare both with a third.")


async def _health(channel: grpc.aio.Channel, name: str, matter: str) -> Finding:
    # Both messages of this call have the form of a wrapper, so no more packages are needed.
    check: Any = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=wrappers_pb2.StringValue.SerializeToString,
        response_deserializer=wrappers_pb2.Int32Value.FromString,
    )
    try:
        answer = await check(wrappers_pb2.StringValue(value=f"placet.{name}"), timeout=_TIMEOUT)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return Finding(name, WARN, "The host tells nothing of it.")
        return Finding(name, FAIL, str(error_of(error)), error_of(error))
    if answer.value == _SERVING:
        return Finding(name, OK, "It is well.")
    return Finding(name, FAIL, matter)


def compared(home: Home, note: bytes) -> Finding:
    """The host's checkpoint beside what this home has read."""
    try:
        return _compared(home.memory(), note)
    except Refusal as refusal:
        return Finding("log", FAIL, str(refusal), refusal)


def _compared(memory: CouncilMemory, note: bytes) -> Finding:
    if not memory.charter:
        return Finding("log", WARN, "This home knows no council. Run: placet init --charter.")
    if not memory.log:
        return Finding("log", WARN, "This home has read nothing of the log yet. Run: placet status")
    try:
        theirs = verify_checkpoint(note, VerifierKey.from_text(memory.log))
    except LogCheckpointInvalid as refusal:
        return Finding("log", FAIL, f"The host shows another log. {refusal}", refusal)
    ours, entries = memory.newest(), memory.entries()
    size = ours.size if ours is not None else 0
    if theirs.size < size:
        said = f"The host shows {theirs.size} entries of {size} that were seen: it was rolled back."
        return Finding("log", FAIL, said)
    newest = f", the newest of {_time_of(entries[-1])}" if entries else ""
    said = f"The log has {theirs.size} entries; this home has {len(entries)}{newest}."
    if ours is not None and theirs.size == size and theirs.root != ours.root:
        return Finding("log", FAIL, f"{said} The host's has another root: it was forked.")
    return Finding("log", OK, said)


def _time_of(entry: bytes) -> str:
    at: Any = parse_object(entry, MAX_ENTRY_BYTES).get("at")
    return when(at[1])
