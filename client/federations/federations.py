# SPDX-License-Identifier: Apache-2.0
"""Federations: start under a ticket, follow, fetch a round's model; `federation` is for who takes
part.

Steps of `model`:
  1. a request signed by the client, with a fresh key that the model's key shall be sealed to;
  2. verify receipt, entry and proof; the proof's checkpoint, old or new, is of the one log that was
     seen;
  3. the receipt is that of the round asked for, and answers the proposal;
  4. open the model's key, which is bound to the digest of the request;
  5. fetch the sealed bytes, verify their root, open.
The initial model, round 0, has no receipt: the proposal itself has its descriptor.
"""

import asyncio
import functools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from placet.client.connection.calls import followed
from placet.client.connection.channel import METADATA
from placet.client.council.council import ticket_to_wire
from placet.client.data.objects import Progress
from placet.client.errors import AnswerMalformed
from placet.client.federations.models import Model, open_model, zeros
from placet.client.federations.receipts import UpdateReceipt, VerifiedUpdate
from placet.client.federations.rounds import AsyncFederation
from placet.client.federations.status import FederationStatus
from placet.client.federations.updates import Bound, Pending
from placet.client.federations.vectors import Vector
from placet.client.jobs.results import ResultOperations
from placet.client.keys import Keys
from placet.client.trust.artifacts import ReceiptFile
from placet.client.trust.verify import VerifiedReceipt, verify_answers, verify_receipt
from placet.governance.account import Times
from placet.governance.contexts import model_info
from placet.governance.documents import Federate, Header, ModelRequest, Proposal
from placet.governance.documents.federation import MODEL
from placet.governance.envelope import Signed, parse_envelope, sign
from placet.governance.errors import NotOnRoster, ReceiptInvalid
from placet.governance.evaluate import Ticket, judge_ticket
from placet.governance.jobs import round_job
from placet.governance.keys import PublicKey
from placet.governance.log import LogProof
from placet.proto.v1 import federations_pb2
from placet.sealing import HPKEPrivateKey, StreamKey, open_envelope


class FederationOperations(ResultOperations):
    """Start, status, watch, model, and taking part."""

    outbox: Path | None = None  # of the home folder, where there is one

    async def start_federation(self, ticket: Ticket) -> FederationStatus:
        """Start the federation that a ticket lets happen; once it runs, the same call tells how it
        stands."""
        session = self._session
        request = federations_pb2.StartRequest(ticket=ticket_to_wire(ticket))
        told = await session.ask(session.federations.Start, request)
        status = FederationStatus.from_wire(told)
        if status.id != parse_envelope(ticket.proposal).digest:
            raise AnswerMalformed("The host answered with a federation of another proposal.")
        return status

    async def federation_status(self, id: str) -> FederationStatus:
        """A federation as it stands, by the digest of its proposal. Raises `Refused` with
        FEDERATION_NOT_FOUND."""
        request = federations_pb2.GetFederationRequest(id=id)
        session = self._session
        return FederationStatus.from_wire(await session.ask(session.federations.Get, request))

    async def watch_federation(
        self, id: str, *, patience: float = 60.0
    ) -> AsyncIterator[FederationStatus]:
        """How it stands now, then each change until it has ended; see `watch` for `patience`."""
        request = federations_pb2.GetFederationRequest(id=id)
        watch = functools.partial(self._session.federations.Watch, request, metadata=METADATA)
        async for told in followed(watch, patience):
            status = FederationStatus.from_wire(told)
            yield status
            if status.ended:
                return

    async def federation(
        self,
        id: str,
        keys: Keys,
        *,
        bound: Bound | None = None,
        outbox: Path | None = None,
        patience: float = 60.0,
    ) -> AsyncFederation:
        """Take part in a federation, by the digest of its proposal.

        1. The proposal and the ballots for it are verified, and judged on paper. 2. These keys are
           of a client of the
        roster. 3. The authority's evidence, for a fresh nonce, satisfies the constitution's policy.

        `bound` is what an update may bring the client's whole privacy ledger to (None: anything).
        `outbox` is the folder for what was sealed and has no receipt yet; without one, and without
        a home folder, it is kept in memory. `patience`: for how many seconds on end the host or its
        authority may be away. Raises `TicketRefused`, `NotOnRoster`, `AttestationError`, or what a
        call raises.
        """
        record, council = await self.proposal(id), await self.council()
        in_force = council.under(record.proposal.document.constitution)
        now = self._session.now()
        judge_ticket(record.proposal, record.ballots, in_force, Times(now, now), None)  # 1
        roster = record.proposal.document.federate.roster
        if keys.id not in roster or keys.signing.public not in in_force.constitution.keys_of(
            keys.id
        ):  # 2
            raise NotOnRoster(
                f"{keys.id}, with this key, is no client of the federation. Use the key that the "
                "constitution lists.",
                claim="client",
                expected=", ".join(roster)[:500],
                actual=keys.id,
            )
        authority = await self.verify_authority(council.policy("authority"))  # 3
        self._session.check_simulated(authority.attested.simulated)
        where = outbox or self.outbox
        return AsyncFederation(self, record.proposal, keys, bound or Bound(), where, patience)

    async def model(
        self, id: str, keys: Keys, round: int | None = None, *, progress: Progress | None = None
    ) -> Model:
        """The model of a round, None: the newest that the log has. Round 0 is the initial one.

        Takes the keys of a client of the roster. Raises `Refused` (MODEL_NOT_RELEASED),
        `ReceiptInvalid`, `LogError`, `SealingError` or `StateRefused`.
        """
        proposal = (await self.proposal(id)).proposal
        if round is None:
            federation = self._session.replica.ledger.state.federations.get(id)
            round = max(federation.models, default=0) if federation else 0
        return await self.round_model(proposal, keys, round, progress)

    async def round_model(
        self, proposal: Signed[Proposal], keys: Keys, round: int, progress: Progress | None = None
    ) -> Model:
        """As `model`, of a proposal that has been verified."""
        terms, session = proposal.document.federate, self._session
        if round == 0 and terms.model is None:
            return zeros(terms)
        fresh = HPKEPrivateKey.generate()
        asked = ModelRequest(
            await self.new_header(), proposal.digest, round, keys.id, fresh.public.to_text()
        )
        request = sign(asked, keys.signing)
        wire = federations_pb2.ModelRequest(request=request)
        answer = await session.ask(session.federations.Model, wire)  # 1
        verified, file = None, None
        if round:
            council = await self.council()
            file = ReceiptFile.of(council, answer.receipt, answer.entry, answer.proof)
            receipt = verify_receipt(answer.receipt, answer.proof, answer.entry, council)
            verified = _verify_round(receipt, proposal, round)  # 2, 3
            await session.accept(LogProof.from_bytes(answer.proof).checkpoint)
        info = model_info(parse_envelope(request).digest)
        key = StreamKey.from_bytes(open_envelope(answer.key_envelope, fresh, info))  # 4
        try:
            vector = await self._vector(terms, verified, key, progress)  # 5
        finally:
            key.wipe()
        return Model(round, terms.layout, vector, verified, file)

    async def _vector(
        self,
        terms: Federate,
        receipt: VerifiedReceipt | None,
        key: StreamKey,
        progress: Progress | None,
    ) -> Vector:
        """The opened model that a receipt is about, or the initial one."""
        if receipt is None:
            assert terms.model is not None, "without one it starts from zeros"
            descriptor = terms.model.object
        else:
            descriptor = receipt.receipt.predicate.outputs[MODEL]
        length = descriptor.sealed_length
        with tempfile.TemporaryDirectory(prefix="placet-") as folder:  # of sealed bytes
            sealed = Path(folder, "sealed")
            await self.get_blob(descriptor.id, sealed, length=length, progress=progress)
            return await asyncio.to_thread(open_model, sealed, descriptor, key, terms.layout)

    async def send_update(
        self, pending: Pending, owner: PublicKey, progress: Progress | None = None
    ) -> VerifiedUpdate:
        """Put the sealed stream, or the rest of it, and hand in the update; its receipt, verified.

        The same update again gives the same receipt. Raises `Refused`, `ReceiptInvalid`, `LogError`
        or `Unreachable`.
        """
        session = self._session
        await self.put_blob(pending.update.object, pending.stream, owner=owner, progress=progress)
        request = federations_pb2.UpdateRequest(update=pending.document, sealed=pending.sealed)
        answer = await session.ask(session.federations.Update, request)
        charter = await session.envelope(session.charter())
        receipt = UpdateReceipt(charter, pending.document, answer.entry, answer.proof)
        verified = receipt.verify(session.charter())
        await session.accept(LogProof.from_bytes(answer.proof).checkpoint)
        return verified

    async def new_header(self) -> Header:
        """A header for a document that is signed now: the log, and the newest checkpoint that is
        known."""
        return self._session.known_header()


def _verify_round(
    receipt: VerifiedReceipt, proposal: Signed[Proposal], round: int
) -> VerifiedReceipt:
    """The receipt is about this round, and answers the proposal."""
    expected, found = round_job(proposal.digest, round), receipt.receipt.predicate.job
    if found != expected:
        raise ReceiptInvalid(
            "The host gave the receipt of another round. Do not rely on it.",
            claim="job",
            expected=expected,
            actual=found,
        )
    return verify_answers(receipt, proposal)
