# SPDX-License-Identifier: Apache-2.0
"""Which programs are worth keeping warm: those that admitted tickets name and still have uses
for."""

from dataclasses import dataclass

from placet.host.documents import TicketFacts
from placet.host.log.log import Log
from placet.proto.v1 import common_pb2


@dataclass(slots=True)
class _Known:
    facts: TicketFacts
    leased: int  # jobs that have had a lease: uses consumed
    ticket: common_pb2.Ticket | None = None


class Tickets:
    """Tickets seen lately, newest last. Bounded: `max_programs` programs, a few tickets each."""

    def __init__(self, log: Log, spares: int, max_programs: int) -> None:
        self._log = log
        self._spares = spares
        self._max_programs = max_programs
        self._tickets: dict[str, _Known] = {}

    @property
    def most(self) -> int:
        """How many tickets are remembered."""
        return 4 * self._max_programs

    def note(self, facts: TicketFacts, ticket: common_pb2.Ticket | None) -> None:
        """A ticket was admitted. Its uses are counted in the log once, and then by each lease."""
        known = self._tickets.pop(facts.proposal, None)
        if known is None:
            known = _Known(facts, self._log.leased(facts.proposal))
        known.ticket = ticket
        self._tickets[facts.proposal] = known
        while len(self._tickets) > self.most:
            del self._tickets[next(iter(self._tickets))]

    def knows(self, proposal: str) -> bool:
        """Whether the ticket was admitted lately."""
        return proposal in self._tickets

    def forget(self, proposal: str) -> None:
        """Nothing more will be leased under the ticket."""
        self._tickets.pop(proposal, None)

    def leased(self, proposal: str, attempt: int) -> None:
        """A lease was given; its first attempt consumes a use."""
        known = self._tickets.get(proposal)
        if known is not None and attempt == 1:
            known.leased += 1

    def expected(self, program: str) -> common_pb2.Ticket | None:
        """The ticket that a worker of this program will most likely serve: the newest."""
        for known in reversed(self._tickets.values()):
            if known.facts.program == program:
                return known.ticket
        return None

    def spares(self, now: float) -> dict[str, int]:
        """How many spares each program is worth, the newest ticket's program first."""
        wanted: dict[str, int] = {}
        for known in reversed(self._tickets.values()):
            facts, left = known.facts, known.facts.uses - known.leased
            if left < 1 or facts.not_after <= now:
                continue
            if facts.program not in wanted and len(wanted) >= self._max_programs:
                continue
            wanted[facts.program] = min(wanted.get(facts.program, 0) + left, self._spares)
        return wanted
