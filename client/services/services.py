# SPDX-License-Identifier: Apache-2.0
"""Services: start, list, follow, and verify the workers and the card. Asking is in asking.py."""

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass

from placet.client.connection.calls import followed
from placet.client.connection.channel import METADATA
from placet.client.council.council import ticket_to_wire
from placet.client.errors import AnswerMalformed
from placet.client.federations.federations import FederationOperations
from placet.client.services.chain import ServedWorker, verify_renewed, verify_worker
from placet.client.services.status import ServiceStatus
from placet.client.trust.verify import VerifiedReceipt, verify_receipt
from placet.governance.documents import Receipt
from placet.governance.documents.work.serve import Serve
from placet.governance.envelope import inspect, parse_envelope
from placet.governance.errors import ReceiptInvalid
from placet.governance.evaluate import Ticket
from placet.governance.judgements.leasing import check_running
from placet.governance.log import LogProof
from placet.proto.v1 import inference_pb2


@dataclass(frozen=True, slots=True)
class Origin:
    """The receipt that a model's card names, verified. output: which of its outputs the model is;
    "" if none of them."""

    receipt: VerifiedReceipt
    output: str


class ServiceOperations(FederationOperations):
    """Serve, status, watch, and what users verify."""

    async def serve(self, ticket: Ticket, workers: int) -> ServiceStatus:
        """Serve with so many workers; of a service that runs, from now on with so many (0: drain
        it)."""
        session = self._session
        request = inference_pb2.ServeRequest(ticket=ticket_to_wire(ticket), workers=workers)
        told = await session.ask(session.inference.Serve, request)
        status = ServiceStatus.from_wire(told)
        if status.id != parse_envelope(ticket.proposal).digest:
            raise AnswerMalformed("The host answered with a service of another proposal.")
        return status

    async def service_status(self, id: str) -> ServiceStatus:
        """A service as it stands, by the digest of its proposal. Raises `Refused` with
        SERVICE_NOT_FOUND."""
        request = inference_pb2.GetServiceRequest(id=id)
        session = self._session
        return ServiceStatus.from_wire(await session.ask(session.inference.GetService, request))

    async def services(self) -> tuple[ServiceStatus, ...]:
        """All services, as the host lists them."""
        session = self._session
        request = inference_pb2.ListServicesRequest()
        answer = await session.ask(session.inference.ListServices, request)
        return tuple(map(ServiceStatus.from_wire, answer.services))

    async def watch_service(
        self, id: str, *, patience: float = 60.0
    ) -> AsyncIterator[ServiceStatus]:
        """How it stands now, then each change until it has ended; see `watch` for `patience`."""
        request = inference_pb2.GetServiceRequest(id=id)
        watch = functools.partial(self._session.inference.WatchService, request, metadata=METADATA)
        async for told in followed(watch, patience):
            status = ServiceStatus.from_wire(told)
            yield status
            if status.ended:
                return

    async def verify_service(self, id: str, lease: str = "") -> ServedWorker:
        """A worker of a service (with this lease; any if empty), verified down from the log's key;
        by the newest log its lease runs and nothing stops it.

        Raises `OfferInvalid`, which says at which step, what `check_running` raises, or what a call
        raises.
        """
        session = self._session
        session.charter()  # nothing is asked of a host before it is known whose it should be
        given = await self._describe(id, lease)
        council = await self.council()
        found = verify_worker(given, council, id, now=session.now())
        if lease and found.lease.digest != lease:
            raise AnswerMalformed("The host told of a worker with another lease.", claim="lease")
        for note in found.notes:
            await session.accept(note)
        await self._check_running(found)
        return found

    async def worker_to_ask(self, id: str) -> ServedWorker:
        """As `verify_service`, of a worker that is told something secret. Raises
        `EvidenceSimulated` too."""
        found = await self.verify_service(id)
        self._session.check_simulated(found.simulated)
        return found

    async def renewed(self, known: ServedWorker) -> ServedWorker:
        """The same worker with its newest offer, if nothing has stopped it since. Raises as
        `verify_service`."""
        given = await self._describe(known.service, known.lease.digest)
        await self._session.read()
        await self._check_running(known)
        return verify_renewed(given, known)

    async def _check_running(self, known: ServedWorker) -> None:
        """A stop, a revocation or a closed lease that the log has ends what is asked of a worker.
        The time is the log's."""
        digest = known.lease.digest
        await self._session.judged(lambda log: check_running(log, digest, log.state.times))

    async def origin(self, terms: Serve) -> Origin | None:
        """Where the model of a service came from, as the log shows it; None where its card names no
        receipt.

        Raises `ReceiptInvalid`, `LogError`, or `Refused` with DOCUMENT_NOT_FOUND.
        """
        wanted = terms.card.receipt
        if not wanted:
            return None
        session = self._session
        ledger = await session.read()
        envelope = await session.envelope(wanted)
        index = inspect(envelope, Receipt).predicate.entry
        if index >= ledger.tree.size:
            raise ReceiptInvalid(
                "The log has no such entry as the receipt names. Do not rely on it.", claim="entry"
            )
        entry, hashes = session.replica.entry(index), ledger.tree.inclusion_proof(index)
        proof = LogProof(index, hashes, session.memory.note).to_bytes()
        receipt = verify_receipt(envelope, proof, entry, await self.council())
        if receipt.digest != wanted:
            raise ReceiptInvalid(
                "The host gave another receipt than the card names. Do not rely on it.",
                claim="receipt",
                expected=wanted,
                actual=receipt.digest,
            )
        model = terms.model.object.digest
        outputs = receipt.receipt.predicate.outputs.items()
        return Origin(receipt, next((name for name, d in outputs if d.digest == model), ""))

    async def _describe(self, id: str, lease: str) -> inference_pb2.Description:
        session = self._session
        request = inference_pb2.DescribeRequest(service=id, lease=lease)
        return await session.ask(session.inference.Describe, request)
