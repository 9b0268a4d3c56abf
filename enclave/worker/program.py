# SPDX-License-Identifier: Apache-2.0
"""Running a program: what it shows before release is a rising whole percentage and one end state of a fixed list."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

from placet.enclave.errors import ProgramEnded, ProgramMemory, ProgramRaised
from placet.enclave.worker.bundle import Bundle
from placet.enclave.worker.guard import lay_guard
from placet.enclave.worker.job import Job

_PROGRESS_SECONDS = 1.0


class RisingProgress:
    """Turns what a program reports into whole percentages that only rise, at most one a second."""

    def __init__(self, send: Callable[[int], None], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._last = 0
        self._sent = clock()

    def __call__(self, fraction: float) -> None:
        # Compared before it is converted: infinities and NaN have no whole percentage.
        percent = int(fraction * 100) if 0 <= fraction <= 1 else 0
        now = self._clock()
        if percent > self._last and now - self._sent >= _PROGRESS_SECONDS:
            self._last, self._sent = percent, now
            self._send(percent)


def run_program(bundle: Bundle, job: Job, folder: Path) -> dict[str, bytearray]:
    """Run the bundle's `main(job)` under the guard; returns its outputs.

    Raises `ProgramEnded`: by what went wrong, never with words of the program.
    """
    folder.mkdir()
    _silence()
    lay_guard(job.scratch)
    try:
        bundle.load(folder)(job)
        return job.written()
    except ProgramEnded:
        raise
    except MemoryError:
        raise ProgramMemory("The program asked for more memory than there is.") from None
    except BaseException:  # noqa: BLE001
        # Also SystemExit and KeyboardInterrupt: the program does not decide how this process ends.
        raise ProgramRaised(
            "The program raised an exception. Try it on a sample with `placet run --local`."
        ) from None


def _silence() -> None:
    """What the program prints goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.close(null)


def progress_clock() -> float:
    """Seconds of a clock that does not go back."""
    return time.monotonic()


def content_file(content: bytearray) -> io.BytesIO:
    """An output as a file to be sealed."""
    return io.BytesIO(content)
