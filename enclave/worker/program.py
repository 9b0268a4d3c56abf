# SPDX-License-Identifier: Apache-2.0
"""Running a program: what it shows before release is a rising whole percentage and one end state of
a fixed list."""

import os
import threading
import time
from collections.abc import Callable

from placet.enclave.worker.bundle import Bundle
from placet.enclave.worker.guard import lay_guard
from placet.enclave.worker.job import Job
from placet.refusals import (
    OutputMissing,
    OutputTooLarge,
    OutputUndeclared,
    ProgramMalformed,
    ProgramMemory,
    ProgramRaised,
    Refusal,
)

_PROGRESS_SECONDS = 1.0

# The fixed list. What was raised only selects from it: a program can raise these too, with words of
# its own.
_ENDS: tuple[tuple[type[BaseException], type[Refusal], str], ...] = (
    (ProgramMalformed, ProgramMalformed, "The bundle has no function main(job) in main.py."),
    (
        OutputUndeclared,
        OutputUndeclared,
        "The program asked for an output that the proposal does not declare.",
    ),
    (
        OutputTooLarge,
        OutputTooLarge,
        "The program wrote more into an output than the proposal declares.",
    ),
    (OutputMissing, OutputMissing, "The program did not write every declared output."),
    (MemoryError, ProgramMemory, "The program asked for more memory than there is."),
    (
        BaseException,
        ProgramRaised,
        "The program raised an exception. Try it on a sample with `placet run --local`.",
    ),
)


class RisingProgress:
    """Turns what a program reports into whole percentages that only rise, at most one a second."""

    def __init__(self, send: Callable[[int], None], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._last = 0
        self._sent = clock()
        self._lock = threading.Lock()

    def __call__(self, fraction: float) -> None:
        # Compared before it is converted: infinities and NaN have no whole percentage.
        percent = int(fraction * 100) if 0 <= fraction <= 1 else 0
        with self._lock:
            now = self._clock()
            if percent > self._last and now - self._sent >= _PROGRESS_SECONDS:
                self._last, self._sent = percent, now
                self._send(percent)


def run_program(bundle: Bundle, job: Job) -> dict[str, bytearray]:
    """Run the bundle's `main(job)` under the guard; returns its outputs.

    Raises one of `_ENDS`: by what went wrong, never with words of the program.
    """
    silence()
    lay_guard(job.scratch)
    try:
        bundle.load()(job)
        return job.written()
    # SystemExit too: the program does not decide how the worker ends.
    except BaseException as error:  # noqa: BLE001
        kind, text = next((kind, text) for raised, kind, text in _ENDS if isinstance(error, raised))
    # Outside the handler, so that the refusal does not carry what the program raised.
    raise kind(text)


def silence() -> None:
    """Prints of the program go nowhere, and neither does anything of ours from here on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def progress_clock() -> float:
    """Seconds of a clock that does not go back."""
    return time.monotonic()
