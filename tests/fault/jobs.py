# SPDX-License-Identifier: Apache-2.0
"""Jobs as load: what was acknowledged, how each has to end, and how it did."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field

from placet.client.runs.status import RunStatus
from placet.governance.envelope import parse_envelope
from placet.governance.evaluate import Ticket
from tests.fault.asking import Asker, Asking
from tests.fault.machine import Machine

ATTEMPTS = 3
USES = 25  # of a proposal; then comes another one
UNDER_WAY = 6
RAISE = 0.125  # of the jobs
DATA = b"rows" * 5000
PROGRAM = """
import hashlib
import time


def main(job):
    data = job.inputs["data"].read()
    time.sleep(job.parameters["ms"] / 1000)
    if job.parameters["raises"]:
        raise ValueError("its own fault")
    with job.output("out") as sink:
        sink.write(f"{job.parameters['ms']} {hashlib.sha256(data).hexdigest()}".encode())
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a job of a ticket ends, where nothing disturbs it."""

    ticket: Ticket
    proposal: str
    state: str
    reason: str
    output: bytes


@dataclass(slots=True)
class Acknowledged:
    """A job that the host has acknowledged, after so many events."""

    request: bytes
    id: str
    terms: Terms
    after: int
    ended: RunStatus | None = None
    found: str = ""  # what is wrong with how it ended


@dataclass
class Budget:
    """A ticket, and how many jobs may still be started under it."""

    terms: Terms
    left: int = USES


class Jobs(Asker):
    """Submits jobs, a few at a time; one in eight has a program that raises."""

    kind = "jobs"

    def __init__(self, asking: Asking, seed: str, machine: Machine) -> None:
        super().__init__(asking, seed)
        self.machine = machine
        self.data = machine.data(DATA)
        self.program = machine.bundle(PROGRAM).digest
        self.acknowledged: list[Acknowledged] = []
        self.documents: list[str] = []
        self.events = 0
        self._budgets: dict[tuple[int, bool], Budget] = {}

    def ask(self) -> None:
        if len(self.under_way()) >= UNDER_WAY:
            self.asking.pause(0.05)
            return
        ms = self.dice.choice((0, 0, 100, 400, 400, 1500))
        self.submit(self.budget(ms, self.dice.random() < RAISE))
        self.asking.pause(self.dice.uniform(0, 0.2))

    def submit(self, budget: Budget) -> Acknowledged:
        """One job more under a ticket."""
        request, client, after = os.urandom(16), self.machine.client, self.events
        started = self.asking.patiently(
            lambda: client.runs.start(budget.terms.ticket, request_id=request), what="submit"
        )
        budget.left -= 1
        job = Acknowledged(request, started.id, budget.terms, after)
        self.acknowledged.append(job)
        return job

    def under_way(self) -> list[Acknowledged]:
        """Those that were not seen to have ended."""
        return [job for job in list(self.acknowledged) if job.ended is None]

    def uses(self) -> Counter[str]:
        """How many jobs were acknowledged, by proposal."""
        return Counter(job.terms.proposal for job in list(self.acknowledged))

    def budget(self, ms: int, raises: bool) -> Budget:
        """A ticket for such jobs, with uses left."""
        found = self._budgets.get((ms, raises))
        if found is None or not found.left:
            found = self._budgets[ms, raises] = Budget(self._approved(ms, raises))
        return found

    def _approved(self, ms: int, raises: bool) -> Terms:
        machine, parameters = self.machine, {"ms": ms, "raises": raises}
        job = machine.job(
            self.program, {"data": self.data}, parameters=parameters, attempts=ATTEMPTS
        )
        ask = self.asking.patiently
        proposal = ask(lambda: machine.propose(job, uses=USES), what="propose")
        for seat in ("ada", "ben"):
            ask(lambda seat=seat: machine.vote(proposal, seat), what="vote")  # type: ignore[misc]
        ticket = ask(lambda: machine.client.council.ticket(proposal), what="ticket")
        envelopes = (ticket.proposal, *ticket.ballots)
        self.documents += [parse_envelope(envelope).digest for envelope in envelopes]
        if raises:
            return Terms(ticket, proposal, "failed", "PROGRAM_RAISED", b"")
        output = f"{ms} {hashlib.sha256(DATA).hexdigest()}".encode()
        return Terms(ticket, proposal, "finished", "", output)


@dataclass
class Ends:
    """Looks at how jobs end, and whether that is how they had to."""

    jobs: Jobs
    right: int = 0
    wrong: list[Acknowledged] = field(default_factory=lambda: list[Acknowledged]())

    def look(self) -> list[Acknowledged]:
        """Look once at all that are under way; those that still are."""
        machine, still = self.jobs.machine, list[Acknowledged]()
        for job in self.jobs.under_way():
            status = self.jobs.asking.patiently(
                lambda job=job: machine.client.runs.get(job.id),  # type: ignore[misc]
                what="look",
            )
            if not status.ended:
                still.append(job)
                continue
            self._judge(job, status)
            job.ended = status
        return still

    def _judge(self, job: Acknowledged, status: RunStatus) -> None:
        reason = status.refusal.reason if status.refusal else ""
        if (status.state, reason) != (job.terms.state, job.terms.reason):
            job.found = f"{status.state} {reason} at attempt {status.job.attempt}: {status.refusal}"
        elif status.state == "finished" and self._output(job) != job.terms.output:
            job.found = "another output"
        if job.found:
            self.wrong.append(job)
        else:
            self.right += 1

    def _output(self, job: Acknowledged) -> bytes:
        ask, machine = self.jobs.asking.patiently, self.jobs.machine
        return ask(lambda: machine.output(job.id), what="result")
