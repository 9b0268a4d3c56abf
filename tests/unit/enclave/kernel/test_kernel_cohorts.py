# SPDX-License-Identifier: Apache-2.0
"""A Cohort's arguments, its one thread, and what is left of it in memory."""

import os
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet.enclave._kernel import FORGED, Cohort

KEY, PREFIX = os.urandom(32), b"prefix!"
SEGMENT = 16384
ELEMENTS = 5000
PLAIN = os.urandom(ELEMENTS)  # int8


def seal(plain: bytes, key: bytes = KEY) -> bytes:
    """A stream under a given segment key; the header's salt is for others."""
    first, rest = plain[: SEGMENT - 56], plain[SEGMENT - 56 :]
    cipher = AESGCM(key)
    stream = bytes([40]) + bytes(32) + PREFIX
    stream += cipher.encrypt(PREFIX + bytes(4) + bytes([not rest]), first, None)
    if rest:
        stream += cipher.encrypt(PREFIX + b"\0\0\0\1\1", rest, None)
    return stream


def make(**changed: Any) -> Cohort:
    arguments: dict[str, Any] = {
        "keys": [(KEY, PREFIX)] * 2,
        "multipliers": [1.0, 1.0],
        "weights": [1, 1],
        "encoding": "int8",
        "elements": ELEMENTS,
        "segment_bytes": SEGMENT,
    }
    return Cohort(**{**arguments, **changed})


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"keys": []}, ValueError, "1 to 4096 clients"),
        ({"keys": [(KEY, PREFIX)] * 4097}, ValueError, "1 to 4096 clients"),
        ({"keys": [(KEY, PREFIX)]}, ValueError, "one item for each"),
        ({"keys": [(KEY[1:], PREFIX)] * 2}, ValueError, "32 bytes, not 31"),
        ({"keys": [(KEY, PREFIX + b"!")] * 2}, ValueError, "7 bytes, not 8"),
        ({"keys": [(KEY,)] * 2}, TypeError, "tuple"),
        ({"keys": [KEY] * 2}, TypeError, "tuple"),
        ({"keys": [("text", PREFIX)] * 2}, TypeError, "bytes-like"),
        ({"keys": 7}, TypeError, "iterable"),
        ({"multipliers": [1.0]}, ValueError, "one item for each"),
        ({"multipliers": [1.0, -1.0]}, ValueError, "multiplier"),
        ({"multipliers": [1.0, float("nan")]}, ValueError, "multiplier"),
        ({"multipliers": [1.0, float("inf")]}, ValueError, "multiplier"),
        ({"multipliers": [1.0, 0.1]}, ValueError, "float32"),
        ({"multipliers": [1.0, 1e39]}, ValueError, "multiplier"),
        ({"multipliers": [1.0, "1"]}, TypeError, "number"),
        ({"weights": [1]}, ValueError, "one item for each"),
        ({"weights": [1, 0]}, ValueError, "weight"),
        ({"weights": [1, -1]}, ValueError, "weight"),
        ({"weights": [1, 2**31]}, ValueError, "weight"),
        ({"weights": [1, 10**18]}, ValueError, "weight"),
        ({"weights": [1, 2**80]}, ValueError, "weight"),
        ({"weights": [1, 1.0]}, TypeError, "integer"),
        ({"encoding": "float64"}, ValueError, "float32, float16, bfloat16 or int8"),
        ({"elements": 0}, ValueError, "elements"),
        ({"elements": -1}, ValueError, "elements"),
        ({"elements": (1 << 40) + 1}, ValueError, "elements"),
        ({"elements": (1 << 38) + 1, "encoding": "float32"}, ValueError, "elements"),
        ({"segment_bytes": 8192}, ValueError, "power of two"),
        ({"segment_bytes": 1 << 21}, ValueError, "power of two"),
        ({"segment_bytes": 16385}, ValueError, "power of two"),
        ({"implementation": "mmx"}, ValueError, "IMPLEMENTATIONS"),
    ],
)
def test_a_wrong_argument_is_refused(
    changed: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make(**changed)


def test_the_named_arguments_are_required() -> None:
    with pytest.raises(TypeError, match="required"):
        Cohort([(KEY, PREFIX)], [1.0], [1])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def int64s(count: int) -> "array[int]":
    return array("q", bytes(8 * count))


STREAM = seal(PLAIN)
Call = Callable[[Cohort], object]
CALLS: dict[str, tuple[Call, type[Exception], str]] = {
    "too few windows": (
        lambda c: c.add([STREAM], 0, 1, int64s(ELEMENTS)),
        ValueError,
        "2 clients, not 1",
    ),
    "a short window": (
        lambda c: c.add([STREAM, STREAM[:-1]], 0, 1, int64s(ELEMENTS)),
        ValueError,
        rf"windows\[1\] has {len(STREAM) - 1} bytes; these segments need {len(STREAM)}",
    ),
    "no buffer": (lambda c: c.add([STREAM, 7], 0, 1, int64s(ELEMENTS)), TypeError, "bytes-like"),  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    "a strided window": (
        lambda c: c.add([STREAM, memoryview(STREAM * 2)[::2]], 0, 1, int64s(ELEMENTS)),
        BufferError,
        "contiguous",
    ),
    "a segment too far": (
        lambda c: c.add([STREAM] * 2, 1, 1, int64s(ELEMENTS)),
        ValueError,
        "1 segments",
    ),
    "a segment too many": (
        lambda c: c.add([STREAM] * 2, 0, 2, int64s(ELEMENTS)),
        ValueError,
        "segments",
    ),
    "no segment": (lambda c: c.add([STREAM] * 2, 0, 0, int64s(ELEMENTS)), ValueError, "segments"),
    "a negative segment": (
        lambda c: c.add([STREAM] * 2, -1, 1, int64s(ELEMENTS)),
        ValueError,
        "segments",
    ),
    "short sums": (
        lambda c: c.add([STREAM] * 2, 0, 1, int64s(ELEMENTS - 1)),
        ValueError,
        "sums must hold 5000 int64, not 4999",
    ),
    "long sums": (
        lambda c: c.add([STREAM] * 2, 0, 1, int64s(ELEMENTS + 1)),
        ValueError,
        "sums must hold",
    ),
    "sums of floats": (
        lambda c: c.add([STREAM] * 2, 0, 1, array("d", bytes(8 * ELEMENTS))),
        TypeError,
        "int64",
    ),
    "sums of bytes": (
        lambda c: c.add([STREAM] * 2, 0, 1, bytearray(8 * ELEMENTS)),
        TypeError,
        "int64",
    ),
    "constant sums": (
        lambda c: c.add([STREAM] * 2, 0, 1, memoryview(bytes(8 * ELEMENTS)).cast("q")),
        BufferError,
        "writable",
    ),
    "crooked sums": (
        lambda c: c.add(
            [STREAM] * 2, 0, 1, memoryview(bytearray(8 * ELEMENTS + 8))[1:-7].cast("q")
        ),
        ValueError,
        "aligned",
    ),
    "an empty range": (
        lambda c: c.select([STREAM] * 2, 0, 1, 1, 1, int64s(ELEMENTS)),
        ValueError,
        "low < high",
    ),
    "a range too far": (
        lambda c: c.select([STREAM] * 2, 0, 1, 0, 3, int64s(ELEMENTS)),
        ValueError,
        "high <= 2",
    ),
    "a negative range": (
        lambda c: c.select([STREAM] * 2, 0, 1, -1, 1, int64s(ELEMENTS)),
        ValueError,
        "low",
    ),
    "products of one client": (
        lambda c: c.gram([STREAM] * 2, 0, 1, int64s(1)),
        ValueError,
        "products must hold 4",
    ),
    "a range of elements": (lambda c: c.elements_of(0, 2), ValueError, "segments"),
}


@pytest.mark.parametrize(("call", "error", "text"), CALLS.values(), ids=CALLS.keys())
def test_a_wrong_call_is_refused_and_changes_nothing(
    call: Call, error: type[Exception], text: str
) -> None:
    cohort = make()
    with pytest.raises(error, match=text):
        call(cohort)
    assert cohort.squares() == [0, 0]
    assert cohort.states() == [0, 0]
    sums = int64s(ELEMENTS)
    cohort.add([STREAM] * 2, 0, 1, sums)
    assert sums.tolist() == [2 * ((byte + 128) % 256 - 128) for byte in PLAIN]


def test_a_wiped_cohort_refuses_everything() -> None:
    cohort = make()
    cohort.wipe()
    cohort.wipe()
    calls: list[Call] = [
        lambda c: c.add([STREAM] * 2, 0, 1, int64s(ELEMENTS)),
        lambda c: c.select([STREAM] * 2, 0, 1, 0, 1, int64s(ELEMENTS)),
        lambda c: c.gram([STREAM] * 2, 0, 1, int64s(4)),
        lambda c: c.squares(),
        lambda c: c.states(),
        lambda c: c.elements_of(0, 1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="wiped"):
            call(cohort)


def test_a_second_thread_is_refused() -> None:
    """Many clients keep one thread in a fold for some time; the other one asks until it has seen
    the refusal."""
    clients, elements = 200, 200_000
    big = seal(bytes(SEGMENT - 56) + bytes(SEGMENT - 16))
    cohort = make(
        keys=[(KEY, PREFIX)] * clients,
        multipliers=[1.0] * clients,
        weights=[1] * clients,
        elements=len(big) - 72,
    )
    sums, done, refused = int64s(len(big) - 72), threading.Event(), list[str]()

    def fold() -> None:
        while not refused and not done.is_set():
            try:
                cohort.add([big] * clients, 0, 2, sums)
            except RuntimeError as error:  # the other one was faster
                refused.append(str(error))

    thread = threading.Thread(target=fold)
    thread.start()
    try:
        for _ in range(elements):
            if refused:
                break
            try:
                cohort.states()
            except RuntimeError as error:
                refused.append(str(error))
    finally:
        done.set()
        thread.join()
    assert "another thread is using this Cohort" in refused[0]
    assert cohort.states() == [0] * clients


# Counts a pattern in its own memory without holding it: it is given, and searched for, with every
# bit inverted.
SEARCH = """
import io
from placet.enclave._kernel import Cohort, wipe
INVERT = bytes(255 - byte for byte in range(256))

def count(inverted):
    found = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps.read().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("rw") or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            chunk = bytearray(end - start)
            memory.seek(start)
            memory.readinto(chunk)
            mirror = chunk.translate(INVERT)
            found += mirror.count(inverted)
            wipe(chunk)
            wipe(mirror)
    return found

def read(size):
    buffer = bytearray(size)
    assert io.FileIO(0, closefd=False).readinto(buffer) == size
    return buffer
"""
RUN = """
marker, inverted_key, key, stream = read(64), read(32), read(32), read({length})
cohort = Cohort(
    [(key, b"prefix!")], [1.0], [1], encoding="int8", elements={elements}, segment_bytes=16384
)
wipe(key)
cohort.{call}
print(cohort.states()[0], bool(count(marker)), bool(count(inverted_key)))
{end}
print(bool(count(marker)), bool(count(inverted_key)))
"""
FOLDS = {
    "add": "add([stream], 0, 1, memoryview(bytearray(8 * 5000)).cast('q'))",
    "select": "select([stream], 0, 1, 0, 1, memoryview(bytearray(8 * 5000)).cast('q'))",
    "gram": "gram([stream], 0, 1, memoryview(bytearray(8)).cast('q'))",
}


searches = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="a memory that can be read through: AddressSanitizer maps terabytes",
)


def search(stream: bytes, call: str, end: str) -> str:
    inverted = bytes(255 - byte for byte in PLAIN[1000:1064] + KEY)
    program = SEARCH + RUN.format(length=len(stream), elements=ELEMENTS, call=call, end=end)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        input=inverted + KEY + stream,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout.decode()


@searches
@pytest.mark.parametrize("call", FOLDS.values(), ids=FOLDS.keys())
@pytest.mark.parametrize("end", ["cohort.wipe()", "del cohort"])
def test_a_cohort_leaves_neither_key_nor_plaintext_in_memory(call: str, end: str) -> None:
    assert search(STREAM, call, end) == "0 True True\nFalse False\n"


@searches
@pytest.mark.parametrize("call", FOLDS.values(), ids=FOLDS.keys())
def test_the_plaintext_of_a_forged_segment_is_wiped_at_once(call: str) -> None:
    forged = STREAM[:-1] + bytes([STREAM[-1] ^ 1])
    assert search(forged, call, "") == f"{FORGED} False True\nFalse True\n"
