# SPDX-License-Identifier: Apache-2.0
"""Proposals as the log has them: how one stands, and the document with that."""

from collections.abc import Iterable
from dataclasses import dataclass

from placet.client.errors import UsageRefused
from placet.governance.ballot_state import BallotState
from placet.governance.documents import Ballot, Constitution, Proposal
from placet.governance.envelope import Signed
from placet.governance.evaluate import Ticket
from placet.governance.state import ProposalState
from placet.proto.v1 import common_pb2


@dataclass(frozen=True, slots=True)
class ProposalItem:
    """How a proposal stands in the log: its entry, of each seat its newest ballot, and the stop
    that ended it ("" for none)."""

    digest: str
    index: int
    ballots: tuple[BallotState, ...]
    stopped: str

    @classmethod
    def of(cls, known: ProposalState) -> "ProposalItem":
        return cls(known.digest, known.index, tuple(known.standing.ballots()), known.stopped)


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A proposal of the log, its signature verified; the constitution that judges it, and how it
    stood when the log was read."""

    proposal: Signed[Proposal]
    rules: Constitution
    item: ProposalItem

    @property
    def digest(self) -> str:
        """The digest that names it."""
        return self.proposal.digest

    @property
    def document(self) -> Proposal:
        """What was proposed."""
        return self.proposal.document


def named(what: str, text: str, known: Iterable[str]) -> str:
    """The one digest that begins so. Raises `UsageRefused` where none, or several, do."""
    wanted = text if text.startswith("sha256:") else "sha256:" + text
    found = [digest for digest in known if digest.startswith(wanted)]
    if text and len(found) == 1:
        return found[0]
    told = f"{len(found)} {what}s of the log begin" if found else f"No {what} of the log begins"
    raise UsageRefused(
        f"{told} with {text}. `placet {what}s --json` lists them in full.",
        claim=what,
        actual=text[:80],
    )


def ticket_of(proposal: Signed[Proposal], ballots: tuple[Signed[Ballot], ...]) -> Ticket:
    """What work is started under."""
    return Ticket(proposal.envelope, tuple(ballot.envelope for ballot in ballots))


def ticket_to_wire(ticket: Ticket) -> common_pb2.Ticket:
    """A ticket as a message."""
    return common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots)
