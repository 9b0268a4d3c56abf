# SPDX-License-Identifier: Apache-2.0
"""How everybody asks under faults: until there is an answer, while the refusal is one that a fault
explains; and what was told meanwhile."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from placet.refusals import Refusal

T = TypeVar("T")
PATIENCE = 120.0
# What a host may say, or leave unsaid, while something is wrong with its machine.
PASSING = frozenset(
    {
        "AUTHORITY_UNAVAILABLE",
        "BALLOT_STALE",  # the same vote again, whose first answer was lost
        "BLOB_OFFSET",
        "BLOB_TOO_LARGE",  # of a disk that is full
        "CALL_TIMED_OUT",
        "DEADLINE_PASSED",
        "DOCUMENT_REPLAYED",
        "HOST_UNREACHABLE",
        "QUEUE_FULL",
        "STORE_UNAVAILABLE",
        "WORKER_UNAVAILABLE",
    }
)


class Gone(Exception):
    """The load ends while somebody still asks."""


class Asking:
    """Shared by all askers: when they end, and what they were told."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.refused: Counter[str] = Counter()
        self.surprises: list[str] = []
        self._lock = threading.Lock()

    def patiently(self, call: Callable[[], T], *, what: str) -> T:
        """What a call gives, asked again while it is refused for a passing reason. Any other
        refusal is a surprise, which fails the run."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return call()
            except Refusal as refusal:
                self._note(refusal.reason)
                if refusal.reason not in PASSING or time.monotonic() > deadline:
                    self.surprised(f"{what}: {refusal.reason}: {refusal}")
                    raise
            time.sleep(0.1)

    def surprised(self, text: str) -> None:
        """Something that no fault explains."""
        with self._lock:
            self.surprises.append(text)

    def pause(self, seconds: float) -> bool:
        """Wait; whether the load goes on."""
        return not self.over.wait(seconds)

    def _note(self, reason: str) -> None:
        with self._lock:
            self.refused[reason] += 1


class Asker(threading.Thread):
    """One kind of load, in a thread of its own with its own dice."""

    kind = ""

    def __init__(self, asking: Asking, seed: str) -> None:
        super().__init__(name=self.kind, daemon=True)
        self.asking = asking
        self.dice = random.Random(f"{seed}/{self.kind}")

    def run(self) -> None:
        """Ask again and again, until the load is over."""
        try:
            while not self.asking.over.is_set():
                self.ask()
        except Gone:
            pass
        except Refusal:
            pass  # noted as a surprise where it was met
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has to tell it
            self.asking.surprised(f"{self.kind}: {type(error).__name__}: {error}")

    def ask(self) -> None:
        """Once."""
        raise NotImplementedError
