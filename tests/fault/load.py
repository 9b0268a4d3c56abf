# SPDX-License-Identifier: Apache-2.0
"""Everybody who asks something of the host at the same time."""

from placet.client import Keys
from tests.fault.asking import Asker, Asking
from tests.fault.jobs import Jobs
from tests.fault.machine import Machine
from tests.fault.papers import Documents, Uploads
from tests.fault.questions import Questions
from tests.fault.rounds import Rounds


class Load:
    """Jobs, rounds, questions, documents and uploads, each in a thread of its own."""

    def __init__(
        self, machine: Machine, keys: dict[str, Keys], seed: str, jobs: type[Jobs] = Jobs
    ) -> None:
        self.machine = machine
        self.asking = Asking()
        self.jobs = jobs(self.asking, seed, machine)
        self.documents = Documents(self.asking, seed, machine)
        self.uploads = Uploads(self.asking, seed, machine)
        self.questions = Questions(self.asking, seed, machine, keys)
        self.rounds = Rounds(self.asking, seed, machine, keys)
        self._askers: tuple[Asker, ...] = (
            self.jobs,
            self.documents,
            self.uploads,
            self.questions,
            self.rounds,
        )

    def start(self) -> None:
        """Let them ask, from now on."""
        for asker in self._askers:
            asker.start()

    def stop(self, patience: float = 150.0) -> None:
        """Let nothing new be asked, and wait until everybody has an answer."""
        self.asking.over.set()
        for asker in self._askers:
            asker.join(patience)
            if asker.is_alive():
                self.asking.surprised(f"{asker.kind}: no answer {patience:g} s after the end")

    def idle(self) -> list[str]:
        """Who ended before the load did."""
        return [asker.kind for asker in self._askers if not asker.is_alive()]
