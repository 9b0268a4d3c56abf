# SPDX-License-Identifier: Apache-2.0
"""What bad inputs get, ours beside the peers': four honest clients and one that is not.

Ours is the mean.

An honest client's elements are 0.1 to 0.4 throughout, so a model of 0.25 is theirs alone; 0.2 is
theirs and zeros. Two streams shown under one header are in the tests: no peer has anything to set
beside it.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _aggregation.peers import Peers
from numpy.typing import NDArray

from placet.enclave.worker.federation.aggregate import aggregate
from placet.enclave.worker.federation.fixed import finish, multiplier
from placet.enclave.worker.federation.rules import Mean
from placet.enclave.worker.federation.updates import Shape, Update
from placet.sealing import StreamKey, seal_stream
from tests.support.machines.sources import MemorySource

ELEMENTS = 20_000
SEGMENT = 16384
SHAPE = Shape(ELEMENTS, "float32", SEGMENT)
CLIP = 100.0
NO_SUCH_THING = "not applicable: it takes plaintext"


def full(value: float) -> NDArray[np.float32]:
    return np.full(ELEMENTS, value, np.float32)


def swapped(sealed: bytes) -> bytes:
    return (
        sealed[:SEGMENT]
        + sealed[2 * SEGMENT : 3 * SEGMENT]
        + sealed[SEGMENT : 2 * SEGMENT]
        + sealed[3 * SEGMENT :]
    )


def doubled(sealed: bytes) -> bytes:
    return sealed[: 2 * SEGMENT] + sealed[SEGMENT : 2 * SEGMENT] + sealed[3 * SEGMENT :]


def dropped(sealed: bytes) -> bytes:
    return sealed[:SEGMENT] + sealed[2 * SEGMENT :]


def client(name: str, values: NDArray[Any], norm: float | None = None, **terms: Any) -> Update:
    """One client's update; `change` is done to the stream after it was sealed."""
    change: Callable[[bytes], bytes] = terms.get("change", bytes)
    key, sink = StreamKey.generate(), io.BytesIO()
    source = io.BytesIO(np.ascontiguousarray(values).tobytes())
    descriptor = seal_stream(source, sink, key, kind="bench", labels=(), segment_size=SEGMENT)
    declared = float(np.linalg.norm(values)) if norm is None else norm
    return Update(
        client=name,
        organisation=name,
        key=key,
        object_id=descriptor.id,
        multiplier=multiplier(CLIP, declared),
        weight=terms.get("weight", 1),
        source=MemorySource(change(sink.getvalue())),
    )


# Those that the peers' side tries too have its names.
BAD: dict[str, Callable[[], Update]] = {
    "NaN": lambda: client("bad", full(np.nan), 1.0),
    "infinity": lambda: client("bad", full(np.inf), 1.0),
    "a value beyond the range": lambda: client("bad", full(1e30), 1.0),
    "a zero update": lambda: client("bad", full(0.0)),
    "wrong length": lambda: client("bad", full(1.0)[:-1]),
    "a broadcastable shape": lambda: client("bad", full(1.0)[:1]),
    "wrong encoding": lambda: client("bad", np.ones(ELEMENTS, np.int64)),
    "an example count of zero": lambda: client("bad", full(1.0), weight=0),
    "a negative example count": lambda: client("bad", full(1.0), weight=-1),
    "an example count of 1e18": lambda: client("bad", full(1.0), weight=10**18),
    "integers beyond the clip, norm 0 declared": lambda: client("bad", full(1.0), 0.0),
    "a segment dropped": lambda: client("bad", full(1.0), change=dropped),
    "a segment doubled": lambda: client("bad", full(1.0), change=doubled),
    "segments swapped": lambda: client("bad", full(1.0), change=swapped),
}


def bad_inputs(peers: Peers) -> Iterator[dict[str, object]]:
    """One line a case: `value` is what ours gives, `against` what each of the peers' strategies
    gives."""
    theirs = peers.ask("bad")
    for case, make in BAD.items():
        yield {
            "name": f"bad input: {case}",
            "value": _ours(make),
            "unit": "outcome",
            "against": theirs.get(case, NO_SUCH_THING),
            "ratio": None,
        }


def _ours(make: Callable[[], Update]) -> str:
    honest = [client(f"honest-{value}", full(value)) for value in (0.1, 0.2, 0.3, 0.4)]
    try:
        bad = make()
    except ValueError as error:
        return f"refused before it is opened: {error}"
    result = aggregate([*honest, bad], SHAPE, Mean(), smallest=3)
    out = np.empty(ELEMENTS, np.float32)
    finish(result.sums, result.divisor, clip=CLIP, rate=1.0, base=None, out=out)
    model = f"the model is about {out.mean(dtype=np.float64):.3g}"
    if "bad" in result.left:
        return f"{result.left['bad']}: that client leaves, {model}"
    return f"accepted: {model}"
