# SPDX-License-Identifier: Apache-2.0
"""What members of a council do: propose, vote, stop, amend, and read what was proposed."""

from dataclasses import replace

from placet.auditing.foresight.amendment import foresee_amendment
from placet.auditing.foresight.forecast import Forecast
from placet.auditing.standing import ProposalStanding
from placet.client.connection.connection import Connection
from placet.client.council.forecasts import Drafted, forecast_of
from placet.client.council.records import (
    ProposalItem,
    ProposalRecord,
    named,
    ticket_of,
    ticket_to_wire,
)
from placet.client.council.standings import Standings
from placet.client.keys import Keys
from placet.client.log.reader import LogReader, Recorded
from placet.client.trust.verify import VerifiedCouncil, verify_council
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
from placet.governance.envelope import Signed, sign
from placet.governance.evaluate import Ticket, judge, verify_proposal
from placet.governance.judgements.carried import carried, verify_papers
from placet.governance.judgements.grants import lacking
from placet.governance.judgements.standing import carried_in
from placet.governance.ledger import Ledger
from placet.proto.v1 import governance_pb2
from placet.refusals import Refusal

BALLOT_LIFETIME = 30 * 86400


class AsyncCouncil:
    """The council, and what its members sign: proposals, ballots, stops, amendments.

    Where a method takes a proposal, it takes a record that `find` gave, or a digest (or enough of
    its beginning), for which the log is read.
    """

    def __init__(self, connection: Connection, log: LogReader) -> None:
        self._connection = connection
        self._log = log
        self._verified: VerifiedCouncil | None = None
        self._standings = Standings(log)

    async def verify(self) -> VerifiedCouncil:
        """The charter and all constitutions up to the one in force, by the newest checkpoint.

        Which constitutions were adopted the log says, entry by entry; each document is verified,
        and kept. Raises `SettingMissing` where no council is pinned, and what reading the log
        raises.
        """
        state = (await self._log.read()).state
        if self._verified is None or self._verified.newest.digest != state.constitution:
            charter = await self._log.envelope(state.charter)
            chain = [await self._log.envelope(digest) for digest in state.constitutions]
            self._verified = verify_council(charter, chain)
        return self._verified

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
        self._connection.access.use(keys)
        council = await self.verify()
        proposal = Proposal(
            header=self._log.known_header(),
            constitution=council.newest.digest,
            proposer=keys.id,
            action=body.ACTION,
            purpose=purpose,
            reason=reason,
            not_before=not_before,
            not_after=not_after,
            uses=uses,
            body=body,
        )
        envelope = sign(proposal, keys.signing)
        verify_proposal(envelope, council.in_force)
        request = governance_pb2.DocumentRequest(envelope=envelope)
        return await self._log.record(self._connection.governance.Propose, request, envelope)

    async def vote(
        self,
        keys: Keys,
        proposal: str | ProposalRecord,
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
        seat's last ballot in the log, as far as that was read.
        """
        self._connection.access.use(keys)
        found = await self.find(proposal)
        if expires is None and vote == "placet":
            expires = self._expiry(found.document)
        if sequence is None:
            cast = (await self._standing(found)).ballots
            own = [ballot.sequence for ballot in cast if ballot.seat == keys.id]
            sequence = max(own, default=0) + 1
        ballot = Ballot(
            header=self._log.known_header(),
            seat=keys.id,
            proposal=found.digest,
            constitution=self._log.replica.ledger.state.constitution,
            sequence=sequence,
            vote=vote,
            interests=interests,
            rationale=rationale,
            expires=expires,
        )
        envelope = sign(ballot, keys.signing)
        request = governance_pb2.DocumentRequest(envelope=envelope)
        return await self._log.record(self._connection.governance.Vote, request, envelope)

    async def stop(
        self, keys: Keys, action: StopAction, target: str, *, reason: str = ""
    ) -> Recorded:
        """Sign a stop and record it; from its entry on the authority lets nothing of it happen.

        pause, veto and cancel take a proposal's digest, withdraw a grant's, the rest a seat,
        program or measurement. Raises `Unreachable` where it is not known to be recorded: hand it
        in again until it is.
        """
        self._connection.access.use(keys)
        envelope = sign(
            Stop(await self._log.header(), keys.id, action, target, reason), keys.signing
        )
        request = governance_pb2.DocumentRequest(envelope=envelope)
        return await self._log.record(self._connection.governance.Stop, request, envelope)

    async def amend(
        self, keys: Keys, proposal: str | ProposalRecord, constitution: Constitution
    ) -> Recorded:
        """Put a constitution in force under an approved amend proposal, signed by one of its own
        seats."""
        self._connection.access.use(keys)
        ticket = ticket_to_wire(await self.ticket(proposal))
        envelope = sign(constitution, keys.signing)
        request = governance_pb2.AmendRequest(ticket=ticket, constitution=envelope)
        return await self._log.record(self._connection.governance.Amend, request, envelope)

    async def proposals(self, limit: int = 100) -> tuple[ProposalItem, ...]:
        """The newest proposals of the log, newest first."""
        known = (await self._log.read()).state.proposals.values()
        newest = sorted(known, key=lambda proposal: -proposal.index)[:limit]
        return tuple(map(ProposalItem.of, newest))

    async def find(self, proposal: str | ProposalItem | ProposalRecord) -> ProposalRecord:
        """A proposal of the log by its digest, or by the first digits that no other one begins
        with; its constitution, and how it stands.

        One call, and one more for each document that this home has not seen; for an item of
        `proposals` the log is not read again. Raises `UsageRefused` where none, or several, do.
        """
        if isinstance(proposal, ProposalRecord):
            return proposal
        if isinstance(proposal, str):
            proposal = self._named(proposal, await self._log.read())
        item = proposal

        def loaded(ledger: Ledger) -> ProposalRecord:
            signed = ledger.proposal(item.digest)
            last = carried_in(ledger, signed).constitution
            return ProposalRecord(signed, ledger.constitution(last), item)

        return await self._log.judged(loaded)

    async def foresee(self, draft: Drafted, by: str) -> Forecast:
        """Judge at home, by the log, a draft that a seat or party would propose, as if every seat
        had said placet; nothing is sent.

        draft: what `load_work` gives, or whatever has the fields of a proposal. Raises
        `DocumentMalformed`, `NotFounded`, or what a call raises.
        """
        now = await self._read()
        return await self._log.judged(lambda ledger: forecast_of(ledger, draft, by, now))

    async def foresee_constitution(
        self, draft: Constitution, by: str, *, purpose: str = "amendment"
    ) -> Forecast:
        """The same of a constitution that shall follow the one in force."""
        now = await self._read()
        return await self._log.judged(
            lambda ledger: foresee_amendment(ledger, draft, by, purpose, now)
        )

    async def _read(self) -> Times:
        await self._log.read()
        now = self._connection.now()
        return Times(now, now)

    async def lacking(self, proposal: str | ProposalRecord) -> tuple[Refusal, ...]:
        """Why work under a proposal would be refused though every seat approved it: of each input
        what the grants in the log lack, now. Raises what a call raises."""
        found, now = await self.find(proposal), self._connection.now()
        return await self._log.judged(
            lambda ledger: lacking(ledger, found.proposal, Times(now, now))
        )

    async def standing(
        self, proposal: str | ProposalRecord, *, whole: bool = False
    ) -> ProposalStanding:
        """How a proposal stands: waiting, approved, running, stopped by whom; by the log alone, as
        far as it was read for a record. whole: with the words of everybody who did something.

        Raises `DocumentNotFound` where the host withholds what it depends on, or what a call
        raises.
        """
        found = await self.find(proposal)
        return await self._standings.of(found.digest, self._connection.now(), whole=whole)

    async def ballots(self, proposal: str | ProposalRecord) -> tuple[Signed[Ballot], ...]:
        """The ballots that stand now for a proposal, of each seat its newest in the log (or two of
        one number, which are a non placet), each with its signature verified.

        Raises `DocumentNotFound` where the host withholds one, or what a call raises.
        """
        return await self._ballots(await self._current(proposal))

    async def ticket(self, proposal: str | ProposalRecord) -> Ticket:
        """A proposal with the ballots that stand for it: what its work is started under. Raises as
        `ballots`."""
        found = await self._current(proposal)
        return ticket_of(found.proposal, await self._ballots(found))

    async def account(self, ticket: Ticket) -> Account:
        """The judgement of a ticket now: which rules apply, who counts, what is missing.

        It is on paper, but for when the log took the proposal in, and the seats that the log has
        revoked.
        """
        council, state = await self.verify(), self._log.replica.ledger.state
        proposal, ballots = verify_papers(ticket, council.chain, council.charter.digest)
        last = carried(council.chain, proposal, ballots).constitution
        in_force = replace(council.under(last), revoked_seats=frozenset(state.revoked_seats))
        now, known = self._connection.now(), state.proposals.get(proposal.digest)
        logged = known.logged if known else None
        return judge(proposal, ballots, in_force, Times(now, now), logged)

    async def _current(self, proposal: str | ProposalRecord) -> ProposalRecord:
        """A proposal, once the log has been read: a record that is given may be from long ago."""
        if isinstance(proposal, ProposalRecord):
            await self._log.read()
        return await self.find(proposal)

    async def _standing(self, record: ProposalRecord) -> ProposalItem:
        """How a proposal stands in the log as far as it was read, whatever its record says."""
        ledger = self._log.replica.ledger
        if record.digest not in ledger.state.proposals:  # another client found it
            ledger = await self._log.read()
        return self._named(record.digest, ledger)

    async def _ballots(self, record: ProposalRecord) -> tuple[Signed[Ballot], ...]:
        given = (await self._standing(record)).ballots

        def cast(ledger: Ledger) -> tuple[Signed[Ballot], ...]:
            return tuple(ledger.ballot(ballot.digest) for ballot in given)

        return await self._log.judged(cast)

    def _expiry(self, proposal: Proposal) -> int:
        """Until when a placet counts. After its review a service takes ballots given anew."""
        now, body = self._connection.now(), proposal.body
        return (
            body.review if isinstance(body, Serve) and body.review > now else now + BALLOT_LIFETIME
        )

    def _named(self, name: str, ledger: Ledger) -> ProposalItem:
        known = ledger.state.proposals
        return ProposalItem.of(known[named("proposal", name, known)])
