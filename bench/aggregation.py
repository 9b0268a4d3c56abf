# SPDX-License-Identifier: Apache-2.0
"""How fast sealed updates become an aggregate, beside what the peers do with plain ones: `make
bench-aggregation`.

    python bench/aggregation.py [--passes 9] [--shapes 32x10000000,100x1000000,8x50000000]
    [--skip-memory] [--out FILE]

Ours, the limits of the machine and the peers (in a process of their own) take turns, so that a busy
machine slows all alike; medians are shown, and a ratio is the median over pairs of passes of the
same turn. All count the same float32: GB/s is clients x elements x 4 bytes. Ours begins with sealed
updates in memory and ends with the new model in float32, unless the name says otherwise; the peers
begin with plain updates in memory, off the wire, and end with theirs.

One JSON object a line: name, value, unit, against, ratio. Names have the shape behind them unless
it is the first.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from _aggregation.inputs import bad_inputs
from _aggregation.limit import ciphers
from _aggregation.memory import peaks, print_peak, with_peak
from _aggregation.peers import Peers
from _aggregation.sealed import Pass, Round, clip_for, weights_for
from _figures import Figure, arguments, figure

from placet.enclave import _kernel
from placet.enclave.worker.federation.rules import Mean, Median

SMALL = "8x200000"
SHAPES = "32x10000000,100x1000000,8x50000000"
PASSES = 9


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of the table: what is divided by what."""

    name: str
    ours: str
    against: str


# With their floors, for 32 clients of 10 million elements in segments of 64 KiB.
FLOORS = (
    (Ratio("mean_1t_over_aes", "sums_1t", "aes_1t"), 0.85),
    (Ratio("mean_2t_over_1t", "sums_2t", "sums_1t"), 1.6),
    (Ratio("mean_1t_over_naive", "mean_1t", "naive_1t"), 3),
    (Ratio("mean_1t_over_flower", "mean_1t", "flower_mean"), 0.9),
    (Ratio("mean_2t_over_flower", "mean_2t", "flower_mean"), 1.4),
    (Ratio("private_mean_over_flower_dp", "private_1t", "flower_dp"), 4),
    (Ratio("private_mean_with_drawing_over_flower_dp", "private_drawing_2t", "flower_dp"), 3),
    (Ratio("median_over_flower", "median_1t", "flower_median"), 12),
    (Ratio("trimmed_over_flower", "trimmed_1t", "flower_trimmed"), 12),
)
MORE = (
    Ratio("mean_finished_1t_over_aes", "mean_1t", "aes_1t"),
    Ratio("mean_2t_over_aes_2t", "sums_2t", "aes_2t"),
    Ratio("mean_1t_over_by_segment", "mean_1t", "by_segment_1t"),
    Ratio("mean_1t_over_preallocated", "mean_1t", "preallocated_1t"),
    Ratio("mean_1t_over_nvflare", "mean_1t", "nvflare_mean"),
    Ratio("mean_2t_over_nvflare", "mean_2t", "nvflare_mean"),
    Ratio("median_2t_over_1t", "median_2t", "median_1t"),
    Ratio("krum_over_flower", "krum_1t", "flower_krum"),
    Ratio("krum_2t_over_1t", "krum_2t", "krum_1t"),
)
PEERS = (
    "flower_mean",
    "flower_dp",
    "flower_median",
    "flower_trimmed",
    "flower_krum",
    "nvflare_mean",
)


def run(options: argparse.Namespace) -> Iterator[Figure]:
    """Yield all figures: rates and ratios for each shape, what bad inputs do, memory."""
    if options.small and not Peers.installed():
        yield from _shapes(None, SMALL, 1)
        return
    with Peers() as peers:
        if options.small:
            yield from _shapes(peers, SMALL, 1)
            return
        yield from _shapes(peers, options.shapes, options.passes)
        yield from bad_inputs(peers)
    if not options.skip_memory:
        yield from peaks()


def _shapes(peers: Peers | None, shapes: str, passes: int) -> Iterator[Figure]:
    for number, text in enumerate(shapes.split(",")):
        clients, elements = (int(part) for part in text.split("x"))
        yield from _shape(peers, clients, elements, passes, f"@{text}" if number else "")


def _shape(
    peers: Peers | None, clients: int, elements: int, passes: int, suffix: str
) -> Iterator[Figure]:
    sealed = Round(clients, elements)
    if peers:
        weights, clip = weights_for(clients), clip_for(elements)
        peers.ask("load", clients=clients, elements=elements, weights=weights, clip=clip)
    seconds, memory = _interleaved(_tasks(sealed), peers, sealed, passes)
    rates = {
        name: [sealed.bytes / second / 1e9 for second in taken] for name, taken in seconds.items()
    }
    cipher = {"ipsec-mb": "ipsec_mb", "openssl": "evp"}[_kernel.AEAD]
    more = [
        *MORE,
        *(
            Ratio(f"mean_{t}t_over_kernel_cipher_{t}t", f"sums_{t}t", f"{cipher}_{t}t")
            for t in (1, 2)
        ),
    ]
    for name, rate in rates.items():
        yield figure(f"{name}{suffix}", statistics.median(rate), "GB/s", None, None)
    for ratio, floor in [*FLOORS, *((ratio, None) for ratio in more)]:
        if ratio.against not in rates:
            continue
        ours, against = rates[ratio.ours], rates[ratio.against]
        yield figure(
            f"{ratio.name}{suffix}",
            statistics.median(ours),
            "GB/s",
            statistics.median(against),
            statistics.median(a / b for a, b in zip(ours, against, strict=True)),
            **({"floor": floor} if floor and not suffix else {}),
        )
    for name, peak in memory.items():
        if not name.startswith(("read", "aes", "evp", "ipsec")):
            yield figure(f"{name}_peak_mb{suffix}", peak / 1e6, "MB", None, None)


def _tasks(sealed: Round) -> dict[str, Callable[[], Pass]]:
    tasks: dict[str, Callable[[], Pass]] = {
        "naive_1t": sealed.naive,
        "by_segment_1t": sealed.by_segment,
        "preallocated_1t": sealed.preallocated,
    }
    ciphers_here = ciphers()
    for threads in (1, 2):
        on_threads = {
            name: partial(sealed.kernel_cipher, cipher, threads)
            for name, cipher in ciphers_here.items()
        } | {
            "read": partial(sealed.read, threads),
            "aes": partial(sealed.aes, threads),
            "sums": partial(sealed.sums, Mean(), threads),
            "mean": partial(sealed.ours, Mean(), threads),
            "private": partial(sealed.private, threads, drawing=False),
            "private_drawing": partial(sealed.private, threads, drawing=True),
            "median": partial(sealed.ours, Median(), threads),
            "trimmed": partial(sealed.ours, sealed.trimmed(), threads),
            "krum": partial(sealed.ours, sealed.krum(), threads),
        }
        tasks |= {f"{name}_{threads}t": task for name, task in on_threads.items()}
    return tasks


def _interleaved(
    tasks: dict[str, Callable[[], Pass]], peers: Peers | None, sealed: Round, passes: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each pass of each task, and its peak memory in bytes; the first turn warms up and
    checks the results."""
    names = [*tasks, *(PEERS if peers else ())]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, int] = {}
    for turn in range(passes + 1):
        # Nobody always comes first.
        for name in names if turn % 2 else reversed(names):
            if not peers or name in tasks:
                (taken, sample), peak = with_peak(tasks[name])
            else:
                answer = peers.ask("run", task=name)
                taken, sample, peak = answer["seconds"], answer["sample"], answer["peak"]
            memory[name] = max(memory.get(name, 0), peak)
            if turn:
                seconds[name].append(taken)
            else:
                _check(name, sample, sealed)
            print(f"{name:24} turn {turn}: {taken:.3f} s", file=sys.stderr)
    return seconds, memory


def _check(name: str, sample: list[float], sealed: Round) -> None:
    """Raise `SystemExit` unless the result is what it should be: a benchmark of wrong results is
    worth nothing."""
    peer = name.startswith(("flower", "nvflare"))
    rule = name.split("_")[1 if peer else 0]
    plain = peer or rule in ("naive", "by", "preallocated")
    expected = sealed.expected(
        "mean" if rule in ("sums", "naive", "by", "preallocated") else rule, clipped=not plain
    )
    if expected is not None and not np.allclose(sample, expected, rtol=1e-3, atol=1e-6):
        raise SystemExit(f"{name} gave another result than it should; its speed says nothing")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument(
        "--shapes", default=SHAPES, help="clients x elements, the first being the main one"
    )
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--out", type=Path, help="write the lines here too")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(options.peak)
        return
    lines = list[str]()
    start = time.monotonic()
    for found in run(options):
        lines.append(json.dumps(found))
        print(lines[-1], flush=True)
    print(f"{time.monotonic() - start:.0f} s, cipher: {_kernel.AEAD}", file=sys.stderr)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
