# SPDX-License-Identifier: Apache-2.0
"""Federations: rounds are opened and closed, updates taken in, models handed to the roster.

Aggregating is a job like any other (leases.py, releases.py). Each step is judged, and one entry of
the log; what clients seal to a round is opened here to be checked, and thrown away.
"""

from google.protobuf.message import Message

from placet.enclave.authority.core import Core, Effect, committed, ticket_of
from placet.enclave.authority.journal import Covering
from placet.enclave.authority.releases import hand_over
from placet.enclave.authority.rounds import open_update
from placet.governance.codec import encode
from placet.governance.contexts import model_info
from placet.governance.documents import Update
from placet.governance.entries.kind import Entry
from placet.governance.envelope import Signed, digest_of
from placet.governance.federation_state import LoggedUpdate
from placet.governance.jobs import round_job
from placet.governance.judgements.admission import Admission, admit, in_log, readmit
from placet.governance.judgements.federation import (
    judge_close_round,
    judge_initial,
    judge_update,
    logged_update,
    next_job,
    open_entries,
    verify_model_request,
)
from placet.proto.v1 import enclaves_pb2, federations_pb2
from placet.refusals import RequestMalformed, UpdateMalformed
from placet.sealing import HPKEPrivateKey, HPKEPublicKey, StreamKey


class Federations:
    """The part of the authority that conducts rounds."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def open_round(self, frame: enclaves_pb2.Frame) -> Effect:
        """The next round opens, under a key of its own: wrapped key and entry are durable
        together."""
        core = self._core
        request = enclaves_pb2.OpenRound.FromString(frame.payload)
        key = HPKEPrivateKey.generate()
        public = key.public.to_text()

        def judge() -> tuple[Admission, tuple[Entry, ...]]:
            admission = self._admission(request)
            return admission, open_entries(core.ledger, admission, public, core.now())

        admission, entries = await core.judged(judge)
        if not in_log(core.ledger, admission):
            # Judged before the bundle is appended, so that a refusal changes nothing, and again
            # over what the log has.
            core.append_unknown(admission)
            entries = open_entries(core.ledger, admission, public, core.now())
        *lifts, opened = entries
        for lift in lifts:
            core.append(lift)
        federation, number = opened["proposal"], opened["round"]
        secret = core.store.wrap_round(federation, number, key)
        return committed(core.append(opened, secrets=[secret]), federation)

    async def update(self, frame: enclaves_pb2.Frame) -> Effect:
        """A client's update becomes part of the round. The same one again gets the same receipt."""
        core = self._core
        request = federations_pb2.UpdateRequest.FromString(frame.payload)
        found = await core.judged(lambda: self._judge_update(request))
        if isinstance(found, LoggedUpdate):
            index = found.index
            data = await core.stored_entry(index)
        else:
            signed, entry = found
            documents = {signed.digest: request.update, signed.document.sealed: request.sealed}
            index, data = core.append(entry, documents), encode(entry)
            core.ledger.remember(signed)
        return lambda covering: federations_pb2.UpdateReceipt(
            index=index, entry=data, proof=core.proof(index, covering)
        )

    async def close_round(self, frame: enclaves_pb2.Frame) -> Effect:
        """A round takes in no more. Asked again: the same answer."""
        core = self._core
        request = enclaves_pb2.CloseRound.FromString(frame.payload)
        federation = core.ledger.state.federation(request.federation)
        if not self._closed(request):
            entry = await core.judged(
                lambda: judge_close_round(
                    core.ledger, request.federation, request.round, core.now()
                )
            )
            core.append(entry)
        closed = federation.rounds[request.round - 1]
        job = round_job(request.federation, request.round) if closed.aggregated else ""
        answer = committed(closed.closed_at, request.federation)
        return lambda covering: enclaves_pb2.RoundClosed(committed=answer(covering), job=job)

    async def model(self, frame: enclaves_pb2.Frame) -> Effect:
        """The key of a round's model, sealed to a client of the roster; of round 0 the initial
        model's."""
        core = self._core
        envelope = federations_pb2.ModelRequest.FromString(frame.payload).request
        signed = await core.judged(lambda: verify_model_request(core.ledger, envelope))
        asked, info = signed.document, model_info(signed.digest)
        recipient = HPKEPublicKey.from_text(asked.key)
        if asked.round == 0:
            key = await core.judged(lambda: self._initial_key(asked.federation))
            answer = federations_pb2.ModelResponse(key_envelope=hand_over(key, recipient, info))
            return lambda _: answer
        federation = core.ledger.state.federation(asked.federation)
        lease = core.ledger.state.leases[federation.models[asked.round]]
        receipt = await core.document(lease.receipt)
        entry = await core.stored_entry(lease.released_at)
        key = await core.judged(lambda: core.store.open_result(lease.digest))
        sealed = hand_over(key, recipient, info)

        def effect(covering: Covering) -> Message:
            proof = core.proof(lease.released_at, covering)
            return federations_pb2.ModelResponse(
                receipt=receipt, key_envelope=sealed, proof=proof, entry=entry
            )

        return effect

    def _admission(self, request: enclaves_pb2.OpenRound) -> Admission:
        """By the ticket, if one came; else by what the log has, which is all that a later round
        needs."""
        ledger, now = self._core.ledger, self._core.now()
        if not request.ticket.proposal:
            proposal = ledger.proposal(ledger.state.federation(request.federation).proposal)
            return readmit(ledger, proposal, next_job(ledger, proposal), now)
        ticket = ticket_of(request.ticket)
        proposal = ledger.open_proposal(ticket.proposal)
        if request.federation not in ("", proposal.digest):
            raise RequestMalformed(
                "The ticket is for another federation than the one named.",
                claim="federation",
                expected=proposal.digest,
                actual=request.federation,
            )
        return admit(ledger, ticket, next_job(ledger, proposal), now)

    def _judge_update(
        self, request: federations_pb2.UpdateRequest
    ) -> LoggedUpdate | tuple[Signed[Update], Entry]:
        """The update by its document, then by what came sealed with it; or where the log has this
        very one.

        Raises also what `open_update` raises.
        """
        core = self._core
        logged = logged_update(core.ledger, request.update)
        if logged is not None:
            return logged
        signed, entry = judge_update(core.ledger, request.update, core.now())
        update = signed.document
        if digest_of(request.sealed) != update.sealed:
            raise UpdateMalformed(
                "The update came with other ciphertext than it names. Send both as they were made.",
                claim="sealed",
                expected=update.sealed,
            )
        terms = core.ledger.proposal(update.federation).document.federate
        key = core.store.open_round(update.federation, update.round)
        open_update(update, request.sealed, key, terms)
        return signed, entry

    def _closed(self, request: enclaves_pb2.CloseRound) -> bool:
        rounds = self._core.ledger.state.federation(request.federation).rounds
        return 1 <= request.round <= len(rounds) and rounds[request.round - 1].status != "open"

    def _initial_key(self, federation: str) -> StreamKey:
        """The initial model's key, if it may be handed out now."""
        core = self._core
        grant = judge_initial(core.ledger, core.ledger.proposal(federation), core.now())
        return core.store.open_grant(grant)
