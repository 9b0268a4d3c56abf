# SPDX-License-Identifier: Apache-2.0
"""Asked for alike by every benchmark: its arguments, passes that take turns, and the form of a
figure."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

Figure = dict[str, object]
Seconds = dict[str, list[float]]


def figure(
    name: str,
    value: float,
    unit: str,
    against: float | None,
    ratio: float | None,
    **more: object,
) -> Figure:
    """A figure whose numbers have three decimals; None where there is nothing to say."""

    def rounded(number: float | None) -> float | None:
        return None if number is None else round(number, 3)

    return {
        "name": name,
        "value": rounded(value),
        "unit": unit,
        "against": rounded(against),
        "ratio": rounded(ratio),
        **more,
    }


def arguments(text: str | None) -> argparse.ArgumentParser:
    """The parser of a benchmark with this docstring."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--small", action="store_true", help="in seconds, to see that it runs: no figure is meant"
    )
    return parser


def tell(figures: Iterable[Figure]) -> None:
    """Print each figure as it comes, one JSON object a line."""
    for one in figures:
        print(json.dumps(one), flush=True)


def interleaved(tasks: Mapping[str, Callable[[], object]], passes: int) -> Seconds:
    """Seconds of each pass of each task. The tasks take turns, so that a busy machine slows all."""
    seconds: Seconds = {name: [] for name in tasks}
    names = list(tasks)
    for number in range(passes + 1):
        # Neither always comes first, and the first round only warms up.
        for name in names if number % 2 else reversed(names):
            start = time.perf_counter()
            tasks[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(over: list[float], under: list[float]) -> float:
    """The median over pairs of neighbouring passes, which slow down together."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
