# SPDX-License-Identifier: Apache-2.0
"""What members of a council do: propose, vote, stop, amend, and read what was proposed."""

from placet.client.connection.connection import Method
from placet.client.council.authority import TrustOperations
from placet.client.errors import UsageRefused
from placet.client.keys import Keys
from placet.client.records import ProposalItem, ProposalRecord, Recorded
from placet.client.trust.verify import Council
from placet.governance.account import Account, Times
from placet.governance.documents import (
    Amendment,
    Ballot,
    Constitution,
    Federate,
    Job,
    Proposal,
    Serve,
    Stop,
    StopAction,
    Vote,
)
from placet.governance.documents.rule import Action
from placet.governance.envelope import Signed, inspect, parse_envelope, sign
from placet.governance.evaluate import (
    Ticket,
    evaluate,
    verify_proposal,
)
from placet.governance.ledger import Ledger
from placet.proto.v1 import common_pb2, governance_pb2, keys_pb2

BALLOT_LIFETIME = 30 * 86400
_ACTIONS: dict[type, Action] = {
    Job: "job",
    Federate: "federate",
    Serve: "serve",
    Amendment: "amend",
}

RecordMethod = Method[governance_pb2.DocumentRequest, common_pb2.Committed]


class CouncilOperations(TrustOperations):
    """Proposals, ballots, stops, amendments."""

    async def propose(
        self,
        keys: Keys,
        body: Job | Federate | Serve | Amendment,
        *,
        purpose: str,
        reason: str,
        not_before: int,
        not_after: int,
        uses: int = 1,
    ) -> Recorded:
        """Sign a proposal under the constitution in force and record it. Times are Unix seconds.

        The program's bundle has to be put before a job is submitted, not before it is proposed. A
        federation has one use a round.
        """
        council = await self.council()
        proposal = Proposal(
            header=await self._session.header(),
            constitution=council.newest.digest,
            proposer=keys.id,
            action=_ACTIONS[type(body)],
            purpose=purpose,
            reason=reason,
            not_before=not_before,
            not_after=not_after,
            uses=uses,
            body=body,
        )
        envelope = sign(proposal, keys.signing)
        verify_proposal(envelope, council.in_force)
        session = self._session
        return await self._send(session.governance.Propose, envelope)

    async def vote(
        self,
        keys: Keys,
        proposal: str,
        vote: Vote,
        *,
        interests: str = "",
        rationale: str = "",
        expires: int | None = None,
        sequence: int | None = None,
    ) -> Recorded:
        """Sign the seat's ballot on a proposal and record it.

        Only a placet expires: `expires` defaults to 30 days from now, of a service to its review.
        Any other vote stands until the seat votes again. `sequence` defaults to one more than the
        seat's last ballot in the log.
        """
        found = await self._proposed(proposal)
        known = self._session.replica.ledger.state.proposals[found.digest]
        if expires is None and vote == "placet":
            expires = self._expiry(found.document)
        if sequence is None:
            own = [ballot.sequence for ballot in known.ballots if ballot.seat == keys.id]
            sequence = max(own, default=0) + 1
        ballot = Ballot(
            header=self._session.known_header(),
            seat=keys.id,
            proposal=found.digest,
            constitution=found.document.constitution,
            sequence=sequence,
            vote=vote,
            interests=interests,
            rationale=rationale,
            expires=expires,
        )
        envelope = sign(ballot, keys.signing)
        return await self._send(self._session.governance.Vote, envelope)

    async def stop(
        self, keys: Keys, action: StopAction, target: str, *, reason: str = ""
    ) -> Recorded:
        """Sign a stop and record it; from its entry on the authority lets nothing of it happen.

        pause, veto and cancel take a proposal's digest, withdraw a grant's, the rest a seat,
        program or measurement. Raises `Unreachable` where it is not known to be recorded: hand it
        in again until it is.
        """
        envelope = await self._sign_stop(keys, action, target, reason)
        session = self._session
        if action != "withdraw":
            return await self._send(session.governance.Stop, envelope)
        before = session.memory.newest()
        request = keys_pb2.WithdrawRequest(stop=envelope)
        committed = await session.ask(session.keys.Withdraw, request)
        return await self._recorded(committed, envelope, before, committed.index)

    async def amend(self, keys: Keys, proposal: str, constitution: Constitution) -> Recorded:
        """Put a constitution in force under an approved amend proposal, signed by one of its own
        seats."""
        record = await self.proposal(proposal)
        envelope = sign(constitution, keys.signing)
        session = self._session
        before = session.memory.newest()
        request = governance_pb2.AmendRequest(
            ticket=ticket_to_wire(record.ticket), constitution=envelope
        )
        committed = await session.ask(session.governance.Amend, request)
        return await self._recorded(committed, envelope, before, committed.index)

    async def proposals(self, limit: int = 100) -> tuple[ProposalItem, ...]:
        """The newest proposals of the log, newest first."""
        known = (await self._session.read()).state.proposals.values()
        newest = sorted(known, key=lambda proposal: -proposal.index)[:limit]
        return tuple(ProposalItem(p.digest, p.index, len(p.ballots)) for p in newest)

    async def find_proposal(self, name: str) -> Signed[Proposal]:
        """A proposal of the log by its digest, or by the first digits of it that no other one
        begins with.

        Raises `UsageRefused` where none or several begin so.
        """
        known = (await self._session.read()).state.proposals
        wanted = name if name.startswith("sha256:") else "sha256:" + name
        found = [digest for digest in known if digest.startswith(wanted)]
        if len(found) != 1:
            told = (
                f"{len(found)} proposals of the log begin"
                if found
                else "No proposal of the log begins"
            )
            raise UsageRefused(
                f"{told} with {name}. `placet proposals --json` lists them in full.",
                claim="proposal",
                actual=name[:80],
            )
        return await self._session.judged(lambda ledger: ledger.proposal(found[0]))

    async def proposal(self, digest: str) -> ProposalRecord:
        """A proposal of the log with every ballot for it, each verified. Raises `DocumentNotFound`,
        or what a call raises."""
        proposal = await self._proposed(digest)
        known = self._session.replica.ledger.state.proposals[digest]

        def cast(ledger: Ledger) -> tuple[Signed[Ballot], ...]:
            return tuple(ledger.ballot(ballot.digest) for ballot in known.ballots)

        return ProposalRecord(proposal, await self._session.judged(cast), known.index)

    async def _proposed(self, digest: str) -> Signed[Proposal]:
        await self._session.read()
        return await self._session.judged(lambda ledger: ledger.proposal(digest))

    async def account(self, ticket: Ticket, council: Council | None = None) -> Account:
        """The judgement of a ticket now: which rules apply, who counts, what is missing.

        It is on paper, but for when the log took the proposal in.
        """
        council = council or await self.council()
        in_force = council.under(inspect(ticket.proposal, Proposal).constitution)
        now = self._session.now()
        known = self._session.replica.ledger.state.proposals.get(
            parse_envelope(ticket.proposal).digest
        )
        return evaluate(ticket, in_force, Times(now, now), known.logged if known else None)

    def _expiry(self, proposal: Proposal) -> int:
        """Until when a placet counts. After its review a service takes ballots given anew."""
        now, body = self._session.now(), proposal.body
        return (
            body.review if isinstance(body, Serve) and body.review > now else now + BALLOT_LIFETIME
        )

    async def _sign_stop(self, keys: Keys, action: StopAction, target: str, reason: str) -> bytes:
        header = await self._session.header()
        return sign(Stop(header, keys.id, action, target, reason), keys.signing)

    async def _send(self, method: RecordMethod, envelope: bytes) -> Recorded:
        before = self._session.memory.newest()
        request = governance_pb2.DocumentRequest(envelope=envelope)
        committed = await self._session.ask(method, request)
        return await self._recorded(committed, envelope, before, committed.index)


def ticket_to_wire(ticket: Ticket) -> common_pb2.Ticket:
    """A ticket as a message."""
    return common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots)


def ticket_from_wire(ticket: common_pb2.Ticket) -> Ticket:
    """A ticket from a message, not verified."""
    return Ticket(ticket.proposal, tuple(ticket.ballots))
