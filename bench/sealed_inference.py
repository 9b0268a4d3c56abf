# SPDX-License-Identifier: Apache-2.0
"""How fast sealed questions are answered, beside a plain server that does the same in the clear:
`make bench-inference`.

    python bench/sealed_inference.py [--passes 9] [--skip-embedding] [--skip-memory] [--out FILE]

Ours goes through a real host to a real worker in simulation, asked by `placet.client`; the plain
peer (`_inference/plain_server.py`) is reached directly. Both take turns, so that a busy machine
slows both; medians are shown, and a ratio is the median over pairs of passes of the same turn.
Every question has one row.

One JSON object a line: name, value, unit, against, ratio, and the floor, or the most, where there
is one.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

import numpy as np
from _figures import Figure, arguments, figure
from _inference.council import BATCH_ROWS
from _inference.models import MINILM, embedding, perceptron
from _inference.plain import PlainPeer, plain_peer
from _inference.process import Process
from _inference.runtime import row_seconds
from _inference.sealed import SealedPeer, sealed_peer

PASSES = 9
IN_FLIGHT = 32
FIRST, LAST = 1_000, 100_000  # requests after which memory is compared


@dataclass(frozen=True, slots=True)
class Counts:
    """Questions a pass."""

    alone: int = 200
    streamed: int = 3000
    called: int = 1500
    opened: int = 600
    embedded: int = 96


SMALL = Counts(4, 64, 32, 16, 2)


@dataclass(frozen=True, slots=True)
class Pass:
    """Seconds a question, and of processor time a question by each process."""

    seconds: float
    cpu: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Task:
    """So many questions; `run` gives the seconds of one of them."""

    count: int
    run: Callable[[], Awaitable[float]]


Passes = Mapping[str, list[Pass]]


async def figures(options: argparse.Namespace) -> AsyncIterator[Figure]:
    """Yield all figures."""
    with tempfile.TemporaryDirectory(prefix="placet-bench-") as folder:
        async for found in _small(Path(folder), options):
            yield found
    if not options.skip_embedding:
        with tempfile.TemporaryDirectory(prefix="placet-bench-") as folder:
            async for found in _large(Path(folder), options):
                yield found


async def _small(folder: Path, options: argparse.Namespace) -> AsyncIterator[Figure]:
    served = perceptron()
    counts = SMALL if options.small else Counts()
    async with (
        plain_peer(served, folder / "plain") as plain,
        sealed_peer(served, folder / "signed") as sealed,
        sealed_peer(served, folder / "token", token=True) as by_token,
    ):
        await _check(sealed, plain)
        tasks = {
            "unary": Task(counts.alone, lambda: _alone(sealed, counts.alone)),
            "plain_unary": Task(counts.alone, lambda: _alone(plain, counts.alone)),
            "stream": _total(counts.streamed, sealed.stream),
            "plain_stream": _total(counts.streamed, lambda count: plain.stream(count, IN_FLIGHT)),
            "sessions": _total(counts.opened, lambda count: sealed.sessions(count, IN_FLIGHT)),
            "sessions_by_token": _total(
                counts.opened, lambda count: by_token.sessions(count, IN_FLIGHT)
            ),
            "plain_calls": _total(counts.called, lambda count: plain.calls(count, IN_FLIGHT)),
        }
        if not options.skip_memory:
            yield await _memory_growth(sealed)
        passes = await _turns(tasks, _processes(sealed, plain), options.passes)
        for found in _small_figures(passes, row_seconds(served, BATCH_ROWS)):
            yield found


def _small_figures(passes: Passes, run: float) -> Iterator[Figure]:
    unary, plain = passes["unary"], passes["plain_unary"]
    ratio = statistics.median(a.seconds / b.seconds for a, b in zip(unary, plain, strict=True))
    milliseconds = [statistics.median(p.seconds for p in side) * 1000 for side in (unary, plain)]
    yield figure("unary_p50_over_plain", milliseconds[0], "ms", milliseconds[1], ratio, most=2.6)
    stream, plain = passes["stream"], passes["plain_stream"]
    yield _rates("stream32_over_plain", stream, plain, floor=1.0)
    yield _rates("stream32_hpke_over_plain", passes["sessions"], plain, floor=0.55)
    yield _rates("stream32_hpke_token_over_plain", passes["sessions_by_token"], plain)
    yield _rates("stream32_over_plain_calls", stream, passes["plain_calls"])
    for name in ("sessions", "sessions_by_token"):
        yield _rates(f"{name}_over_plain_calls", passes[name], passes["plain_calls"])
    used = statistics.median(p.cpu["worker"] for p in stream) * 1e6
    yield figure("worker_cpu_us", used - run * 1e6, "us a request", None, None, most=100)
    for name, of in passes.items():
        for process in of[0].cpu:
            microseconds = statistics.median(p.cpu[process] for p in of) * 1e6
            if microseconds >= 1:
                yield figure(f"{name}_{process}_cpu", microseconds, "us a request", None, None)


async def _large(folder: Path, options: argparse.Namespace) -> AsyncIterator[Figure]:
    served = embedding()
    counts = SMALL if options.small else Counts()
    async with plain_peer(served, folder / "plain") as plain, sealed_peer(served, folder) as sealed:
        await _check(sealed, plain)
        tasks = {
            "stream": _total(counts.embedded, sealed.stream),
            "plain_stream": _total(counts.embedded, lambda count: plain.stream(count, IN_FLIGHT)),
        }
        passes = await _turns(tasks, _processes(sealed, plain), options.passes)
        yield _rates("embedding_over_plain", passes["stream"], passes["plain_stream"], floor=0.9)


async def _memory_growth(sealed: SealedPeer) -> Figure:
    """Of a worker that has been asked next to nothing before."""
    await sealed.stream(FIRST)
    first = sealed.worker.memory
    for _ in range(11):
        await sealed.stream((LAST - FIRST) // 11)
    last = sealed.worker.memory
    return figure("memory_growth", last / 1e6, "MB", first / 1e6, last / first, most=1.05)


async def _check(sealed: SealedPeer, plain: PlainPeer) -> None:
    """Raise `SystemExit` unless both give the same answers: a benchmark of wrong results is worth
    nothing."""
    for number in range(8):
        if not np.allclose(await sealed.alone(number), await plain.alone(number), atol=1e-5):
            raise SystemExit("Ours and the plain peer give other answers; their speed says nothing")


def _processes(sealed: SealedPeer, plain: PlainPeer) -> dict[str, Callable[[], float]]:
    def clock(process: Process) -> Callable[[], float]:
        return lambda: process.cpu

    return {
        "asker": time.process_time,
        "host": clock(sealed.host),
        "worker": clock(sealed.worker),
        "server": clock(plain.server),
    }


async def _alone(peer: SealedPeer | PlainPeer, count: int) -> float:
    """The median of questions one after the other, each by a call of its own."""
    taken: list[float] = []
    for number in range(count):
        started = time.perf_counter()
        await peer.alone(number)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _total(count: int, run: Callable[[int], Awaitable[float]]) -> Task:
    async def each() -> float:
        return await run(count) / count

    return Task(count, each)


async def _turns(
    tasks: Mapping[str, Task], processes: Mapping[str, Callable[[], float]], passes: int
) -> Passes:
    """All passes of each task; the first turn only warms up."""
    taken: dict[str, list[Pass]] = {name: [] for name in tasks}
    for turn in range(passes + 1):
        # Nobody always comes first.
        for name in tasks if turn % 2 else reversed(list(tasks)):
            before = {process: clock() for process, clock in processes.items()}
            seconds = await tasks[name].run()
            cpu = {
                process: (clock() - before[process]) / tasks[name].count
                for process, clock in processes.items()
            }
            if turn:
                taken[name].append(Pass(seconds, cpu))
            print(f"{name:14} turn {turn}: {seconds * 1e6:.0f} us a request", file=sys.stderr)
    return taken


def _rates(name: str, ours: list[Pass], plain: list[Pass], **more: object) -> Figure:
    return figure(
        name,
        statistics.median(1 / p.seconds for p in ours),
        "requests/s",
        statistics.median(1 / p.seconds for p in plain),
        statistics.median(b.seconds / a.seconds for a, b in zip(ours, plain, strict=True)),
        **more,
    )


async def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--skip-embedding", action="store_true")
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--out", type=Path, help="write the lines here too")
    options = parser.parse_args()
    if options.small:
        options.passes, options.skip_memory = 1, True
        options.skip_embedding |= not MINILM.exists()
    lines = list[str]()
    async for found in figures(options):
        lines.append(json.dumps(found))
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
