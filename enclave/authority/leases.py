# SPDX-License-Identifier: Apache-2.0
"""Leases: given once to a joined worker, renewed while nothing stops them, closed when an attempt
is over."""

import json
from dataclasses import dataclass

from google.protobuf.message import Message

from placet.enclave.authority.core import Core, Effect, committed, ticket_of
from placet.enclave.authority.joins import Joins
from placet.enclave.authority.journal import Covering
from placet.enclave.authority.rounds import round_keys
from placet.enclave.round_keys import key_text
from placet.governance.codec import encode
from placet.governance.contexts import lease_info
from placet.governance.documents import Federate, Lease, Seen, new_header
from placet.governance.entries.kind import Entry
from placet.governance.envelope import digest_of, payload_type, sign_payload
from placet.governance.evaluate import Ticket
from placet.governance.judgements import leasing
from placet.governance.judgements.admission import Admission, admit, in_log
from placet.proto.refusals import refusal_of
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import DocumentNotFound, FrameUnexpected, Refusal, RequestMalformed
from placet.sealing import seal_envelope

# How an attempt can be over, as the host says.
_WHYS = ("exited", "deadline", "lost")


@dataclass(frozen=True, slots=True)
class _Draft:
    """A lease that has been judged, and its entry."""

    lease: Lease
    payload: bytes
    entry: Entry


class Leases:
    """The part of the authority that lets workers run."""

    def __init__(self, core: Core, joins: Joins) -> None:
        self._core = core
        self._joins = joins

    async def lease(self, frame: enclaves_pb2.Frame) -> Effect:
        """One attempt of an admitted ticket for one joined worker; the keys leave once the entry is
        covered."""
        core = self._core
        request = enclaves_pb2.LeaseRequest.FromString(frame.payload)
        # The host asks for any worker, an enclave for itself. Neither is believed: what decides is
        # the ticket, and what the hardware said that the worker was launched for.
        if frame.peer and frame.peer != self._joins.worker(request.worker).enclave_id:
            raise FrameUnexpected("An enclave asks for a lease of its own.", claim="worker")
        ticket = ticket_of(request.ticket)
        # Sealed before the use is taken: what cannot be opened costs nobody anything. It leaves
        # when all is covered.
        admission, draft, keys = await core.judged(lambda: self._judge(ticket, request))
        envelope = sign_payload(draft.payload, payload_type(Lease), core.keys.signing)
        index = core.append(draft.entry, {draft.entry["lease"]: envelope})

        def effect(covering: Covering) -> Message:
            return enclaves_pb2.LeasePackage(
                lease=envelope,
                ticket=common_pb2.Ticket(
                    proposal=admission.ticket.proposal.envelope,
                    ballots=[ballot.envelope for ballot in admission.ticket.ballots],
                ),
                entry=encode(draft.entry),
                proof=core.proof(index, covering),
                key_envelope=keys,
                constitution=draft.lease.constitution,
            )

        return effect

    async def renew(self, frame: enclaves_pb2.Frame) -> Effect:
        """A lease goes on, unless something has stopped it; it does not wait for a clock."""
        core = self._core
        request = enclaves_pb2.RenewRequest.FromString(frame.payload)
        lease = leasing.find_lease(core.ledger, request.lease)
        if frame.peer != self._joins.worker(lease.worker).enclave_id:
            raise FrameUnexpected("A lease is renewed by the worker that has it.", claim="lease")
        # The time is read anew with every judgement: others may have appended while a document was
        # fetched.
        entry = await core.judged(
            lambda: leasing.judge_renewal(
                core.ledger, lease.digest, self._joins.appraise, core.believed()
            )
        )
        core.append(entry)
        (_, at_most), deadline = entry["at"], int(entry["deadline"])
        answer = enclaves_pb2.Renewed(
            deadline_ms=deadline * 1000, remaining_ms=(deadline - at_most) * 1000
        )
        return lambda _: answer

    async def close(self, frame: enclaves_pb2.Frame) -> Effect:
        """The host says that an attempt is over. It can only take away by that, never give."""
        core = self._core
        request = enclaves_pb2.CloseAttempt.FromString(frame.payload)
        if request.why not in _WHYS:
            raise RequestMalformed(
                "An attempt is over in one of a few ways.", claim="why", expected=", ".join(_WHYS)
            )
        entry = leasing.judge_close(core.ledger, request.lease, request.why, core.believed())
        return committed(core.append(entry), request.lease)

    def tell_stopped(self) -> None:
        """Tell every worker whose lease can no longer go on, at once rather than at its renewal.

        This alone leaves before it is durable: it says no, and a host that loses the stop could as
        well have dropped the notice.
        """
        core, times = self._core, self._core.believed()
        for worker, joined in self._joins.all():
            lease = core.ledger.state.leases.get(core.ledger.state.joins[worker].lease)
            if lease is None or lease.status != "open":
                continue
            try:
                leasing.check_goes_on(core.ledger, lease, times)
            except DocumentNotFound:
                pass  # nothing is known against it here; its renewal fetches what is missing
            except Refusal as refusal:
                message = enclaves_pb2.Stopped(lease=lease.digest, refusal=refusal_of(refusal))
                core.life.connection.link.send(
                    enclaves_pb2.KIND_STOPPED, message, peer=joined.enclave_id
                )

    def _judge(
        self, ticket: Ticket, request: enclaves_pb2.LeaseRequest
    ) -> tuple[Admission, _Draft, bytes]:
        """The admission, the lease, and its sealed keys. New documents of the bundle become part of
        the log on the way."""
        core = self._core
        admission = admit(core.ledger, ticket, request.job, core.now())
        draft = self._draft(admission, request)
        keys = self._keys(admission, draft)
        if not in_log(core.ledger, admission):
            # Judged before the bundle is appended, so that a refusal changes nothing, and again
            # over what the log has.
            core.append_unknown(admission)
            draft = self._draft(admission, request)
            keys = self._keys(admission, draft)
        hpke = self._joins.worker(draft.lease.worker).peer.hpke
        return admission, draft, seal_envelope(keys, hpke, lease_info(draft.entry["lease"]))

    def _draft(self, admission: Admission, request: enclaves_pb2.LeaseRequest) -> _Draft:
        core, times = self._core, self._core.now()
        proposal = admission.ticket.proposal
        size, root = core.ledger.head()
        lease = Lease(
            header=new_header(core.charter, Seen(size, root)),
            boot=core.keys.identity.boot,
            proposal=proposal.digest,
            constitution=core.ledger.state.constitution,
            job=request.job,
            attempt=leasing.next_attempt(core.ledger, proposal.digest, request.job),
            worker=request.worker,
            deadline=leasing.latest_deadline(core.ledger, proposal, times),
        )
        payload = encode(lease)
        entry = leasing.judge_lease(
            core.ledger, admission, lease, digest_of(payload), self._joins.appraise, times
        )
        return _Draft(lease, payload, entry)

    def _keys(self, admission: Admission, draft: _Draft) -> bytes:
        """The keys that the worker is given: a round's, or those of the inputs by name. The grants
        are the entry's."""
        proposal, grants = admission.ticket.proposal, draft.entry["grants"]
        if isinstance(proposal.document.body, Federate):
            given = round_keys(self._core, proposal, draft.entry["lease"], grants)
            return given.to_bytes(self._core.keys.signing)
        keys: dict[str, str] = {}
        for name, grant in zip(sorted(proposal.document.work.inputs), grants, strict=True):
            key = self._core.store.open_grant(grant)
            keys[name] = key_text(key.to_bytes())
            key.wipe()
        return json.dumps(keys).encode()
