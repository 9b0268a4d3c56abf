# SPDX-License-Identifier: Apache-2.0
"""Why an enclave ended, as its log says.

An enclave that ends for a reason of its own writes one line before it leaves (`refused reason=...`,
or `fault kind=...`). The line is there whatever becomes of stream and exit code: with its stream
the host ends an enclave, and the exit code is then that of an enclave whose host has gone.
"""

from pathlib import Path

from placet.proto.refusals import reason_name
from placet.proto.v1 import common_pb2

_MAX_TAIL = 8 * 1024
_MAX_TEXT = 500
_REFUSED, _FAULT = "refused reason=", "fault kind="


def length_of(log: Path) -> int:
    """Bytes that a log has now: what an enclave says comes behind them."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_words(log: Path, since: int = 0) -> common_pb2.Refusal | None:
    """The last reason in a log behind its first `since` bytes; a fault is INTERNAL. Blocks."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, length_of(log) - _MAX_TAIL))
            lines = file.read(_MAX_TAIL).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if line.startswith(_FAULT):
            return common_pb2.Refusal(reason=common_pb2.REASON_INTERNAL, message=line[:_MAX_TEXT])
        if line.startswith(_REFUSED):
            name, _, text = line.removeprefix(_REFUSED).partition(" ")
            return common_pb2.Refusal(reason=_reason(name), message=text[:_MAX_TEXT])
    return None


def in_words(why: common_pb2.Refusal | None) -> str:
    """`reason=...`, and in quotes what an enclave says of it: its text names no data."""
    if why is None:
        return "reason=unsaid"
    text = " ".join(why.message.replace('"', "'").split())[:_MAX_TEXT]
    return f"reason={reason_name(why.reason)}" + (f' said="{text}"' if text else "")


def _reason(name: str) -> common_pb2.Reason.ValueType:
    try:
        return common_pb2.Reason.Value(f"REASON_{name}")
    except ValueError:
        return common_pb2.REASON_INTERNAL
