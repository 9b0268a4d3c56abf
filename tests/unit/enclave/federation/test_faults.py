# SPDX-License-Identifier: Apache-2.0
"""Each bad input: that client alone leaves, with its reason, and the rest is what it would be
without it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import Buffer

from placet.enclave.worker.federation.aggregate import aggregate
from placet.enclave.worker.federation.rules import Krum, Mean, Median, Rule, Trimmed
from placet.enclave.worker.federation.updates import Fault, FileSource, Shape
from placet.sealing import HEADER_BYTES, StreamKey
from tests.support.machines.sources import MemorySource

# Five segments, of which the last is not full.
SHAPE = Shape(20_001, "float32", 16384)
SEGMENT = SHAPE.segment_bytes
RULES = (Mean(), Median(), Trimmed(1), Krum(3, 1))


def each_rule(function: Any) -> Any:
    return pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)(function)


def bad_values(**terms: Any) -> Callable[[Any], Any]:
    """One element replaced; `norm` is what the client then declares."""

    def make(client: Any) -> Any:
        values = client.values.copy()
        values[17_000] = terms["value"]
        return type(client)(SHAPE, values, name="odd", norm=terms.get("norm", 1.0)).update()

    return make


def bad_stream(change: Callable[[bytearray], Buffer]) -> Callable[[Any], Any]:
    """The stream changed after it was sealed."""

    def make(client: Any) -> Any:
        odd = type(client)(SHAPE, client.values, name="odd")
        return odd.update(source=MemorySource(change(odd.sealed)))

    return make


def flipped(sealed: bytearray) -> Buffer:
    sealed[3 * SEGMENT + 100] ^= 1
    return sealed


def swapped(sealed: bytearray) -> Buffer:
    one, two = slice(SEGMENT, 2 * SEGMENT), slice(2 * SEGMENT, 3 * SEGMENT)
    sealed[one], sealed[two] = sealed[two], sealed[one]
    return sealed


def doubled(sealed: bytearray) -> Buffer:
    sealed[2 * SEGMENT : 3 * SEGMENT] = sealed[SEGMENT : 2 * SEGMENT]
    return sealed


def dropped(sealed: bytearray) -> Buffer:
    del sealed[SEGMENT : 2 * SEGMENT]
    return sealed


def refilled(sealed: bytearray) -> Buffer:
    """One segment dropped, and bytes behind so that the length is right."""
    return bytes(dropped(sealed)) + bytes(SEGMENT)


def headless(sealed: bytearray) -> Buffer:
    sealed[0] = 39
    return sealed


def other_encoding(client: Any) -> Any:
    half = Shape(SHAPE.elements, "float16", SEGMENT)
    return type(client)(half, client.values, name="odd").update()


def other_key(client: Any) -> Any:
    return type(client)(SHAPE, client.values, name="odd").update(key=StreamKey.generate())


def other_object(client: Any) -> Any:
    return type(client)(SHAPE, client.values, name="odd").update(object_id="0" * 32)


BAD: dict[str, tuple[Callable[[Any], Any], Fault]] = {
    "NaN": (bad_values(value=np.nan), Fault.NONFINITE),
    "infinity": (bad_values(value=np.inf), Fault.NONFINITE),
    "minus infinity": (bad_values(value=-np.inf), Fault.NONFINITE),
    "beyond the range": (bad_values(value=3e38), Fault.NORM_EXCEEDED),
    "beyond the clip, norm of zero declared": (
        bad_values(value=50.0, norm=0.0),
        Fault.NORM_EXCEEDED,
    ),
    "beyond the declared norm": (bad_values(value=500.0, norm=100.0), Fault.NORM_EXCEEDED),
    "too long": (bad_stream(lambda sealed: sealed + b"\0"), Fault.LENGTH),
    "too short": (bad_stream(lambda sealed: sealed[:-1]), Fault.LENGTH),
    "empty": (bad_stream(lambda _: b""), Fault.LENGTH),
    "a segment dropped": (bad_stream(dropped), Fault.LENGTH),
    "a segment dropped, length kept": (bad_stream(refilled), Fault.SEGMENT_FORGED),
    "segments swapped": (bad_stream(swapped), Fault.SEGMENT_FORGED),
    "a segment doubled": (bad_stream(doubled), Fault.SEGMENT_FORGED),
    "a bit flipped": (bad_stream(flipped), Fault.SEGMENT_FORGED),
    "no header": (bad_stream(headless), Fault.HEADER),
    "wrong encoding": (other_encoding, Fault.LENGTH),
    "the key of another stream": (other_key, Fault.SEGMENT_FORGED),
    "the stream of another object": (other_object, Fault.SEGMENT_FORGED),
}


@pytest.mark.parametrize("case", BAD)
@each_rule
def test_who_is_bad_leaves_alone(make_clients: Any, rule: Rule, case: str) -> None:
    make, fault = BAD[case]
    clients = make_clients(6, SHAPE)
    honest = [client.update() for client in clients]
    without = aggregate(honest, SHAPE, rule, smallest=3)
    result = aggregate(
        [*honest[:2], make(clients[2]), *honest[2:]], SHAPE, rule, smallest=3, threads=2
    )
    assert result.left == {"odd": fault}
    assert result.sums.tobytes() == without.sums.tobytes()
    assert (result.kept, result.chosen, result.divisor) == (
        without.kept,
        without.chosen,
        without.divisor,
    )


def test_several_who_are_bad_leave_for_their_own_reasons(make_clients: Any) -> None:
    clients = make_clients(4, SHAPE)
    honest = [client.update() for client in clients]
    bad = [replace(make(clients[0]), client=case) for case, (make, _) in BAD.items()]
    expected = {case: fault for case, (_, fault) in BAD.items()}
    result = aggregate([*bad, *honest], SHAPE, Mean(), smallest=4, threads=2)
    assert result.left == expected
    assert result.sums.tobytes() == aggregate(honest, SHAPE, Mean(), smallest=1).sums.tobytes()


@each_rule
def test_an_update_of_zeros_counts(make_clients: Any, rule: Rule) -> None:
    clients = make_clients(5, SHAPE)
    zero = type(clients[0])(SHAPE, np.zeros(SHAPE.elements, np.float32), name="zero")
    result = aggregate([c.update() for c in [*clients, zero]], SHAPE, rule, smallest=1)
    assert "zero" in result.kept and not result.left


def test_a_norm_declared_too_large_shrinks_its_author_only(
    make_clients: Any, reference: Any
) -> None:
    clients = make_clients(3, SHAPE)
    vain = type(clients[0])(SHAPE, clients[0].values, name="vain", norm=1e30)
    result = aggregate([c.update() for c in [*clients, vain]], SHAPE, Mean(), smallest=1)
    assert "vain" in result.kept
    assert result.sums.tolist() == reference.mean(clients)
    assert result.divisor == 4


class Shifting:
    """Another stream at each reading, all under one header: the client knows its key, and the host
    helps."""

    def __init__(self, streams: list[bytearray]) -> None:
        self._streams = streams
        self._reading = -1

    def length(self) -> int:
        return len(self._streams[0])

    def window(self, start: int, room: memoryview) -> Buffer:
        if start == 0 and len(room) > HEADER_BYTES:
            self._reading += 1
        stream = self._streams[max(0, min(self._reading, len(self._streams) - 1))]
        return stream[start : start + len(room)]


def shifting(client: Any, *vectors: Any, name: str = "odd") -> Any:
    """An update that shows these vectors one after the other."""
    first = type(client)(SHAPE, vectors[0], name=name, norm=1.0)
    others = [
        type(client)(SHAPE, v, key=first.key, object_id=first.object_id, header=first.header)
        for v in vectors
    ]
    return first.update(source=Shifting([other.sealed for other in others]))


def nan_vector() -> Any:
    return np.full(SHAPE.elements, np.nan, np.float32)


def test_who_shows_other_bytes_on_a_second_reading_is_judged_by_them(
    make_clients: Any, reference: Any
) -> None:
    """Folded again because of another, it shows NaN: had the first reading's verdict stood, the
    sums would hold them."""
    clients = make_clients(4, SHAPE)
    updates = [client.update() for client in clients]
    bad = BAD["NaN"][0](clients[0])
    good = np.zeros(SHAPE.elements, np.float32)
    result = aggregate(
        [*updates, bad, shifting(clients[0], good, nan_vector(), name="shifty")],
        SHAPE,
        Mean(),
        smallest=1,
    )
    assert result.left == {"odd": Fault.NONFINITE, "shifty": Fault.NONFINITE}
    assert result.sums.tolist() == reference.mean(clients)


def test_each_reading_may_lose_another_and_it_still_ends(make_clients: Any, reference: Any) -> None:
    clients = make_clients(3, SHAPE)
    good = np.zeros(SHAPE.elements, np.float32)
    bad = [
        shifting(clients[0], *[good] * turn, nan_vector(), name=f"bad at {turn}")
        for turn in range(6)
    ]
    result = aggregate([*bad, *(c.update() for c in clients)], SHAPE, Mean(), smallest=3)
    assert len(result.left) == 6
    assert result.sums.tolist() == reference.mean(clients)


def test_krum_adds_what_it_judged_or_nothing(make_clients: Any) -> None:
    """In the middle of all when it is judged, elsewhere when it is added, within the clip both
    times."""
    clients = make_clients(7, SHAPE)
    updates = [client.update() for client in clients]
    middle = np.zeros(SHAPE.elements, np.float32)
    aside = np.zeros(SHAPE.elements, np.float32)
    aside[0] = 0.9
    odd = shifting(clients[0], middle, aside)
    rule = Krum(1, 1)
    honest_about_it = type(clients[0])(SHAPE, middle, name="odd", norm=1.0)
    chosen = aggregate([*updates, honest_about_it.update()], SHAPE, rule, smallest=1).chosen
    assert chosen == ("odd",)  # so the attack would work
    result = aggregate([*updates, odd], SHAPE, rule, smallest=1, threads=2)
    assert result.left == {"odd": Fault.CHANGED}
    assert result.sums.tobytes() == aggregate(updates, SHAPE, rule, smallest=1).sums.tobytes()


class Vanishing(MemorySource):
    """A stream whose later half is gone once it is being read."""

    def window(self, start: int, room: memoryview) -> Buffer:
        if start > self.length() // 2:
            raise OSError("gone")
        return super().window(start, room)


def test_a_stream_that_vanishes_while_it_is_read_is_its_clients_fault(make_clients: Any) -> None:
    clients = make_clients(4, SHAPE)
    honest = [client.update() for client in clients]
    gone = type(clients[0])(SHAPE, clients[0].values, name="gone")
    result = aggregate(
        [*honest, gone.update(source=Vanishing(gone.sealed))], SHAPE, Mean(), smallest=1, threads=2
    )
    assert result.left == {"gone": Fault.LENGTH}
    assert result.sums.tobytes() == aggregate(honest, SHAPE, Mean(), smallest=1).sums.tobytes()


def test_a_file_that_is_cut_or_changed_is_its_clients_fault(
    make_clients: Any, tmp_path: Path
) -> None:
    clients = make_clients(3, SHAPE)
    paths = [tmp_path / client.name for client in clients]
    for path, client in zip(paths, clients, strict=True):
        path.write_bytes(client.sealed)
    sources = [FileSource(path) for path in paths]
    updates = [c.update(source=s) for c, s in zip(clients, sources, strict=True)]
    with paths[0].open("r+b") as file:
        file.truncate(SHAPE.sealed_bytes - 1)
    with paths[1].open("r+b") as file:
        file.seek(2 * SEGMENT)
        file.write(b"\0" * 16)
    result = aggregate(updates, SHAPE, Mean(), smallest=1)
    assert result.left == {clients[0].name: Fault.LENGTH, clients[1].name: Fault.SEGMENT_FORGED}
    assert result.kept == (clients[2].name,)
    for source in sources:
        source.close()
