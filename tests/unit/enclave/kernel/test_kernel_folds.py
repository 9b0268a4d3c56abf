# SPDX-License-Identifier: Apache-2.0
"""Folds of sealed updates: every implementation gives the integers that plain arithmetic gives."""

import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from placet.enclave._kernel import FORGED, IMPLEMENTATIONS, LIMIT, NONFINITE, Cohort
from placet.sealing import StreamKey, seal_stream

SMALL = 16384
SEGMENT_SIZES = [1 << exponent for exponent in range(14, 21)]
ENCODINGS = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
# Ordinary numbers, and those where float arithmetic goes wrong if it is done in another way.
FLOATS = [0.0, -0.0, 1.5, -1.5, 0.99999994, -2.9999998, 3e38, -3e38, 1e-40, -1e-45, 5e-41, 6.1e-5]
SPECIAL = [math.nan, math.inf, -math.inf]

Integers = NDArray[np.int64]


def encode(numbers: NDArray[np.float32], encoding: str) -> NDArray[Any]:
    """The numbers as they lie in a stream; bfloat16 drops the lower half of float32."""
    with np.errstate(all="ignore"):
        match encoding:
            case "float16":
                return numbers.astype(np.float16)
            case "bfloat16":
                return (numbers.view(np.uint32) >> 16).astype(np.uint16)
            case "int8":
                return (
                    np.nan_to_num(numbers, posinf=127, neginf=-128).clip(-128, 127).astype(np.int8)
                )
            case _:
                return numbers


def decode(update: NDArray[Any], encoding: str) -> NDArray[np.float32]:
    if encoding == "bfloat16":
        return (update.astype(np.uint32) << 16).view(np.float32)
    return update.astype(np.float32)


def quantise(x: NDArray[np.float32], multiplier: float) -> Integers:
    """The definition, by way of float64: it holds a product of two float32 exactly, so the one
    rounding is explicit."""
    with np.errstate(all="ignore"):
        product = (x.astype(np.float64) * multiplier).astype(np.float32)
    finite = np.isfinite(x)
    clamped: NDArray[np.float32] = np.where(finite, product, 0).clip(-LIMIT, LIMIT)
    return clamped.astype(np.int64)  # which truncates


@dataclass
class Round:
    """Updates of some clients, sealed as a client seals them."""

    updates: Sequence[NDArray[Any]]
    encoding: str = "float32"
    segment_bytes: int = SMALL
    multipliers: Sequence[float] = ()
    weights: Sequence[int] = ()

    def __post_init__(self) -> None:
        count = len(self.updates)
        self.multipliers = self.multipliers or [1000.0] * count
        self.weights = self.weights or [1] * count
        self.streams = list[bytearray]()
        self.keys = list[tuple[bytes, bytes]]()
        for update in self.updates:
            self._seal(update.tobytes())

    def _seal(self, plain: bytes) -> None:
        key, sealed = StreamKey.generate(), io.BytesIO()
        descriptor = seal_stream(
            io.BytesIO(plain),
            sealed,
            key,
            kind="update",
            labels=(),
            segment_size=self.segment_bytes,
        )
        stream = bytearray(sealed.getvalue())
        info = b"placet/object/v1" + bytes.fromhex(descriptor.id)
        derive = HKDF(algorithm=SHA256(), length=32, salt=bytes(stream[1:33]), info=info)
        self.keys.append((derive.derive(key.to_bytes()), bytes(stream[33:40])))
        self.streams.append(stream)

    @property
    def elements(self) -> int:
        return len(self.updates[0])

    def cohort(self, implementation: str | None = None) -> Cohort:
        return Cohort(
            self.keys,
            self.multipliers,
            self.weights,
            encoding=self.encoding,
            elements=self.elements,
            segment_bytes=self.segment_bytes,
            implementation=implementation,
        )

    def integers(self) -> Integers:
        """q of every client, by definition: clients x elements."""
        pairs = zip(self.updates, self.multipliers, strict=True)
        return np.stack([quantise(decode(update, self.encoding), m) for update, m in pairs])

    def squares(self) -> list[int]:
        return [sum(int(q) ** 2 for q in row) for row in self.integers().tolist()]

    def states(self) -> list[int]:
        decoded = [decode(update, self.encoding) for update in self.updates]
        return [0 if np.isfinite(x).all() else NONFINITE for x in decoded]

    def windows(self, first: int) -> list[memoryview]:
        return [memoryview(stream)[first * self.segment_bytes :] for stream in self.streams]


def make(count: int, elements: int, encoding: str = "float32", **settings: Any) -> Round:
    """Clients with numbers of many magnitudes; every third one has NaN or infinity among them."""
    rng = np.random.default_rng(count * 1000 + elements)
    updates = list[NDArray[Any]]()
    for client in range(count):
        x = rng.standard_normal(elements) * 10.0 ** rng.integers(-4, 5, elements)
        odd = FLOATS + (SPECIAL if client % 3 == 2 else [])
        places = rng.integers(0, elements, min(elements, 20))
        x[places] = rng.choice(odd, len(places))
        updates.append(encode(x.astype(np.float32), encoding))
    multipliers = [float(m) for m in rng.uniform(0, 2e5, count).astype(np.float32)]
    return Round(updates, encoding, multipliers=multipliers, **settings)


def check_add(world: Round, implementation: str) -> None:
    cohort = world.cohort(implementation)
    sums = np.full(world.elements, 5, np.int64)
    cohort.add(world.streams, 0, cohort.segments, sums)
    weighted = world.integers() * np.array(world.weights)[:, None]
    assert np.array_equal(sums, weighted.sum(axis=0) + 5)
    assert cohort.squares() == world.squares()
    assert cohort.states() == world.states()


def check_select(world: Round, implementation: str, low: int, high: int) -> None:
    cohort = world.cohort(implementation)
    sums = np.full(world.elements, 5, np.int64)
    cohort.select(world.streams, 0, cohort.segments, low, high, sums)
    assert np.array_equal(sums, np.sort(world.integers(), axis=0)[low:high].sum(axis=0))
    assert cohort.squares() == world.squares()
    assert cohort.states() == world.states()


def check_gram(world: Round, implementation: str) -> None:
    cohort = world.cohort(implementation)
    count = len(world.updates)
    products = np.full((count, count), 5, np.int64)
    cohort.gram(world.streams, 0, cohort.segments, products)
    integers = world.integers()
    assert np.array_equal(products, integers @ integers.T + 5)  # both wrap at 2**64
    assert cohort.squares() == world.squares()
    assert cohort.states() == world.states()


def check_all(world: Round, implementation: str) -> None:
    count = len(world.updates)
    check_add(world, implementation)
    check_select(world, implementation, (count - 1) // 2, count // 2 + 1)
    check_gram(world, implementation)


def test_this_machine_runs_at_least_the_portable_one() -> None:
    assert IMPLEMENTATIONS[0] == "portable"
    assert set(IMPLEMENTATIONS) <= {"portable", "avx2", "avx512"}


def ends(encoding: str, segment_bytes: int) -> list[int]:
    """Lengths in elements: 1, around the ends of the first two segments, and a last segment of
    one."""
    size = ENCODINGS[encoding]
    first, other = (segment_bytes - 56) // size, (segment_bytes - 16) // size
    return [1, first - 1, first, first + 1, first + other, first + other + 1]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_length(implementation: str, encoding: str) -> None:
    for elements in ends(encoding, SMALL):
        check_all(make(3, elements, encoding), implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("segment_bytes", SEGMENT_SIZES)
def test_every_segment_size(implementation: str, segment_bytes: int) -> None:
    elements = ends("float32", segment_bytes)[3]
    check_all(make(2, elements, segment_bytes=segment_bytes), implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_weights(implementation: str, encoding: str) -> None:
    weights = [1, 2, 3, 1000, 2**31 - 1, 2**30 + 7, 99]
    check_add(make(7, 5000, encoding, weights=weights), implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_number_of_clients(implementation: str) -> None:
    for count in (*range(1, 41), 100):
        world = make(count, 300)
        check_all(world, implementation)
        check_select(world, implementation, count // 5, count - count // 5)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_range_of_order_statistics(implementation: str) -> None:
    world = make(9, 50)
    for low, high in itertools.combinations(range(10), 2):
        check_select(world, implementation, low, high)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("count", [255, 256, 257, 300])
def test_order_statistics_of_many_clients(implementation: str, count: int) -> None:
    world = make(count, 40)
    for low, high in (
        (0, 1),
        (count - 1, count),
        (0, count),
        (count // 2, count // 2 + 1),
        (60, 199),
    ):
        check_select(world, implementation, low, high)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8"])
def test_every_number_of_the_short_encodings(implementation: str, encoding: str) -> None:
    """All of them: subnormal numbers, infinities, and NaN of every kind; multipliers from none to
    all."""
    numbers: NDArray[Any] = (
        np.arange(-128, 128, dtype=np.int8)
        if encoding == "int8"
        else np.arange(1 << 16).astype(np.uint16)
    )
    multipliers = [float(np.float32(m)) for m in (0, 1e-3, 1, 12345.67, 3e38)]
    if encoding == "float16":
        numbers = numbers.view(np.float16)
    world = Round([numbers] * len(multipliers), encoding, multipliers=multipliers)
    check_add(world, implementation)


_float32 = st.floats(width=32)
_multipliers = st.floats(min_value=0, width=32, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(_float32, _multipliers, st.integers(1, 2**31 - 1)), min_size=1, max_size=20)
)
def test_a_coordinate_is_what_the_definition_says(clients: list[tuple[float, float, int]]) -> None:
    numbers, multipliers, weights = zip(*clients, strict=True)
    updates = [np.array([x], np.float32) for x in numbers]
    world = Round(updates, multipliers=multipliers, weights=weights)
    for implementation in IMPLEMENTATIONS:
        check_add(world, implementation)
        check_select(world, implementation, 0, len(clients))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_largest_integers(implementation: str) -> None:
    """Every q is at the limit, for long enough that 64 bits would overflow in sums of squares of
    one lane."""
    elements = 300_000
    updates = [np.full(elements, x, np.float32) for x in (1e30, -1e30) * 20]
    world = Round(updates[:39], segment_bytes=1 << 20)
    cohort = world.cohort(implementation)
    sums = np.zeros(elements, np.int64)
    cohort.add(world.streams, 0, cohort.segments, sums)
    cohort.add(world.streams, 0, cohort.segments, sums)
    assert np.array_equal(sums, np.full(elements, 2 * LIMIT))
    assert cohort.squares() == [2 * elements * LIMIT**2] * 39


def test_neither_order_nor_split_matters() -> None:
    world = make(11, 15000, weights=list(range(1, 12)))
    whole = np.zeros(world.elements, np.int64)
    world.cohort().add(world.streams, 0, 4, whole)
    for implementation, sizes in itertools.product(
        IMPLEMENTATIONS, ((1, 1, 1, 1), (3, 1), (1, 2, 1))
    ):
        order = np.random.default_rng(len(sizes)).permutation(11)
        mixed = Round([])
        mixed.keys = [world.keys[i] for i in order]
        mixed.streams = [world.streams[i] for i in order]
        mixed.updates = [world.updates[i] for i in order]
        mixed.multipliers = [world.multipliers[i] for i in order]
        mixed.weights = [world.weights[i] for i in order]
        cohort = mixed.cohort(implementation)
        sums, first = np.zeros(world.elements, np.int64), 0
        for count in sizes:
            start, stop = cohort.elements_of(first, count)
            cohort.add(mixed.windows(first), first, count, sums[start:stop])
            first += count
        assert np.array_equal(sums, whole)
        assert cohort.squares() == mixed.squares()


def test_segments_lie_where_the_format_has_them() -> None:
    cohort = make(1, 10_000).cohort()
    assert cohort.segments == 3
    assert [cohort.elements_of(i, 1) for i in range(3)] == [(0, 4082), (4082, 8174), (8174, 10_000)]
    assert cohort.elements_of(0, 3) == (0, 10_000)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_rounding_of_the_thread_does_not_matter(implementation: str) -> None:
    import ctypes  # the C library's fesetround: Python has none

    library = ctypes.CDLL(None)
    upward = 0x800  # FE_UPWARD of x86-64
    if library.fegetround() != 0 or library.fesetround(upward) != 0:
        pytest.skip("the rounding modes of this machine have other numbers")
    try:
        world = make(3, 3000)
        cohort = world.cohort(implementation)
        sums = np.zeros(3000, np.int64)
        cohort.add(world.streams, 0, cohort.segments, sums)
        assert library.fegetround() == upward
    finally:
        library.fesetround(0)
    assert np.array_equal(sums, world.integers().sum(axis=0))


# --- what does not open
# -----------------------------------------------------------------------------------------------


def flip_a_bit(world: Round) -> None:
    world.streams[1][SMALL + 77] ^= 4


def flip_a_bit_of_the_tag(world: Round) -> None:
    world.streams[1][2 * SMALL - 1] ^= 1


def swap_segments(world: Round) -> None:
    stream = world.streams[1]
    stream[SMALL : 2 * SMALL], stream[2 * SMALL : 3 * SMALL] = (
        stream[2 * SMALL : 3 * SMALL],
        stream[SMALL : 2 * SMALL],
    )


def drop_a_segment(world: Round) -> None:
    del world.streams[1][SMALL : 2 * SMALL]
    world.streams[1] += bytes(SMALL)


def double_a_segment(world: Round) -> None:
    world.streams[1][SMALL:SMALL] = world.streams[1][:SMALL]


def take_another_round(world: Round) -> None:
    world.streams[1][:] = make(4, world.elements).streams[1]


FORGERIES = [
    flip_a_bit,
    flip_a_bit_of_the_tag,
    swap_segments,
    drop_a_segment,
    double_a_segment,
    take_another_round,
]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_segment_adds_nothing(implementation: str, forge: Any) -> None:
    world = make(4, 15_000)
    integers = world.integers()
    forge(world)
    cohort = world.cohort(implementation)
    forged = list[int]()
    for segment in range(cohort.segments):
        alone = world.cohort(implementation)
        start, stop = alone.elements_of(segment, 1)
        sums = np.zeros(stop - start, np.int64)
        alone.add(world.windows(segment), segment, 1, sums)
        if alone.states()[1] & FORGED:
            forged.append(segment)
            integers[1, start:stop] = 0
            assert alone.squares()[1] == 0
            assert alone.states()[1] == FORGED
        assert np.array_equal(sums, integers[:, start:stop].sum(axis=0))
    assert 1 in forged
    sums = np.zeros(world.elements, np.int64)
    cohort.add(world.streams, 0, cohort.segments, sums)
    assert np.array_equal(sums, integers.sum(axis=0))
    cohort.select(world.streams, 0, cohort.segments, 1, 3, sums)
    assert np.array_equal(sums, np.sort(integers, axis=0)[1:3].sum(axis=0))
    products = np.zeros(16, np.int64)
    cohort.gram(world.streams, 0, cohort.segments, products)
    assert np.array_equal(products, (integers @ integers.T).ravel())
    assert [state & FORGED for state in cohort.states()] == [0, FORGED, 0, 0]


def test_a_stream_that_ends_early_or_late_is_forged() -> None:
    """The last segment's nonce says that it is the last: the length comes from the ticket, never
    from the file."""
    whole, longer = make(1, 4082), make(1, 4082 + 4092)
    for source, elements in ((longer, 4082), (whole, 4082 + 4092)):
        cohort = Cohort(
            source.keys, [1.0], [1], encoding="float32", elements=elements, segment_bytes=SMALL
        )
        sums = np.zeros(elements, np.int64)
        cohort.add([bytes(source.streams[0]) + bytes(SMALL)], 0, cohort.segments, sums)
        assert not sums.any()
        assert cohort.states() == [FORGED]
