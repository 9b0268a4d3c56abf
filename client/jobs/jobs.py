# SPDX-License-Identifier: Apache-2.0
"""Jobs: submit under a ticket, follow, cancel, and open what was released."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from placet.client.connection.connection import Connection
from placet.client.council.council import AsyncCouncil
from placet.client.council.records import ProposalRecord, ticket_to_wire
from placet.client.data.blobs import AsyncBlobs
from placet.client.data.objects import Progress
from placet.client.errors import AnswerMalformed, HostUnreachable, UsageRefused
from placet.client.files import write_file
from placet.client.jobs.results import Result, open_outputs
from placet.client.jobs.status import JobStatus
from placet.client.keys import Keys
from placet.client.log.reader import LogReader, Recorded
from placet.client.trust.artifacts import ReceiptFile
from placet.client.trust.verify import VerifiedReceipt, verify_answers, verify_receipt
from placet.governance.checks import RECEIPT_FILE, check_output
from placet.governance.contexts import result_info
from placet.governance.documents import Stop
from placet.governance.envelope import parse_envelope, sign
from placet.governance.evaluate import Ticket
from placet.governance.jobs import JOB_DIGITS, requested_job
from placet.governance.log import LogProof
from placet.proto.v1 import jobs_pb2
from placet.refusals import ReceiptInvalid
from placet.sealing import StreamKey, open_envelope

REQUEST_ID_BYTES = 16
_TRIES = 4
_PAUSE = 0.5


class AsyncJobs:
    """Jobs under a ticket, and what they released."""

    def __init__(
        self, connection: Connection, log: LogReader, council: AsyncCouncil, blobs: AsyncBlobs
    ) -> None:
        self._connection = connection
        self._log = log
        self._council = council
        self._blobs = blobs

    async def submit(self, ticket: Ticket, request_id: bytes | None = None) -> JobStatus:
        """Submit a job under a ticket; the host has queued it durably when this returns.

        The same `request_id` (16 bytes) for the same proposal gives the same job again, so a call
        that broke off is repeated here, and may be repeated by the caller.
        """
        request = jobs_pb2.SubmitRequest(
            ticket=ticket_to_wire(ticket), request_id=request_id or os.urandom(REQUEST_ID_BYTES)
        )
        proposal = parse_envelope(ticket.proposal).digest
        expected = requested_job(proposal, request.request_id)
        for tries in range(1, _TRIES + 1):
            try:
                job = JobStatus.from_wire(
                    await self._connection.ask(self._connection.jobs.Submit, request)
                )
            except HostUnreachable:
                if tries == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE * 2**tries)
                continue
            if job.id != expected:
                raise AnswerMalformed(
                    "The host answered with another job than was asked for. Report it.",
                    claim="job",
                    expected=expected,
                    actual=job.id,
                )
            return job
        raise AssertionError("the loop returns or raises")

    async def get(self, id: str) -> JobStatus:
        """A job as it stands. Raises `Refused` with JOB_NOT_FOUND."""
        request = jobs_pb2.GetJobRequest(id=id)
        return JobStatus.from_wire(await self._connection.ask(self._connection.jobs.Get, request))

    async def list(self, limit: int = 100, before: str = "") -> tuple[JobStatus, ...]:
        """The newest jobs, newest first; `before` is the last id of the page before."""
        request = jobs_pb2.ListJobsRequest(limit=limit, before=before)
        answer = await self._connection.ask(self._connection.jobs.List, request)
        return tuple(JobStatus.from_wire(job) for job in answer.jobs)

    def watch(self, id: str, *, patience: float = 60.0) -> AsyncIterator[JobStatus]:
        """The job's present state, then each change until it has ended.

        A connection that breaks off, as when the host restarts, is opened again for up to
        `patience` seconds; the state may then come a second time.
        """
        request = jobs_pb2.WatchRequest(id=id)
        return self._connection.watch(
            self._connection.jobs.Watch, request, JobStatus.from_wire, patience
        )

    async def wait(self, id: str, *, patience: float = 60.0) -> JobStatus:
        """The job once it has ended, however it did."""
        last: JobStatus | None = None
        async for job in self.watch(id, patience=patience):
            last = job
        assert last is not None, "watch ends with a job that has ended"
        return last

    async def proposal(self, id: str) -> ProposalRecord:
        """The proposal of a job, in the log, by the job's name. Raises `UsageRefused` where the log
        has none."""
        digits, _, own = id.partition("-")
        if len(digits) != JOB_DIGITS or not own:
            raise UsageRefused(
                f"{id[:80]!r} is no name of a job. Give the name that `placet jobs` shows.",
                claim="job",
            )
        return await self._council.find(digits)

    async def cancel(self, keys: Keys, id: str, *, reason: str = "") -> Recorded:
        """Cancel a job's proposal; the job ends wherever it is. Takes its proposer or a seat.

        The proposal is the one of the log that the job's name begins with, whatever the host says
        of the job.
        """
        proposal = (await self.proposal(id)).digest
        stop = Stop(self._log.known_header(), keys.id, "cancel", proposal, reason)
        envelope = sign(stop, keys.signing)
        request = jobs_pb2.CancelRequest(id=id, stop=envelope)
        return await self._log.record(self._connection.jobs.Cancel, request, envelope)

    async def receipt(self, id: str, recipient: str) -> tuple[VerifiedReceipt, ReceiptFile, bytes]:
        """Steps 1 to 3 of results.py: the verified receipt of a job, its file, and the key envelope
        to the recipient."""
        council, before = await self._council.verify(), self._log.memory.newest()
        proposal = (await self.proposal(id)).proposal
        request = jobs_pb2.ResultRequest(id=id, recipient=recipient)
        answer = await self._connection.ask(self._connection.jobs.Result, request)
        verified = verify_receipt(answer.receipt, answer.proof, answer.entry, council)  # 1
        await self._log.accept(LogProof.from_bytes(answer.proof).checkpoint, before)  # 2
        said = verified.receipt.predicate
        if said.job != id:
            raise ReceiptInvalid(
                "The host gave the receipt of another job. Do not rely on it.",
                claim="job",
                expected=id,
                actual=said.job,
            )
        file = ReceiptFile.of(council, answer.receipt, answer.entry, answer.proof)
        return verify_answers(verified, proposal), file, answer.key_envelope  # 3

    async def result(
        self,
        id: str,
        keys: Keys,
        folder: Path,
        *,
        recipient: str | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Fetch, verify and open what a job released into a folder: one file an output, and
        `receipt.json`.

        `recipient` is the name in the proposal, if it is not the keys' id. A call that broke off
        goes on where it stopped. `progress` counts sealed bytes over all outputs. Raises `Refused`
        (JOB_NOT_FINISHED, NOT_RELEASED), `ReceiptInvalid`, `SignatureInvalid`, `LogProofInvalid`,
        `EnvelopeForged`, `ObjectRootMismatch`, `FileRefused`, or what reading the log raises.
        """
        recipient = keys.id if recipient is None else recipient
        receipt, file, envelope = await self.receipt(id, recipient)
        key = StreamKey.from_bytes(
            open_envelope(envelope, keys.hpke, result_info(receipt.digest, recipient))  # 4
        )
        outputs = receipt.receipt.predicate.outputs
        for name in outputs:
            check_output("outputs", name)  # they become names of files
        paths = await open_outputs(self._blobs, outputs, key, folder, progress)  # 5
        receipt_file = folder / RECEIPT_FILE
        write_file(receipt_file, file.to_bytes())
        key.wipe()
        return Result(receipt, paths, receipt_file)
