# SPDX-License-Identifier: Apache-2.0
"""Jobs: verify and open what was released. They are started and followed as runs."""

from dataclasses import replace
from pathlib import Path

from placet.client.connection.connection import Connection
from placet.client.council.council import AsyncCouncil
from placet.client.data.blobs import AsyncBlobs
from placet.client.data.objects import Progress
from placet.client.files import write_file
from placet.client.jobs.results import Result, open_outputs
from placet.client.keys import Keys
from placet.client.log.reader import LogReader
from placet.client.runs.runs import AsyncRuns
from placet.client.trust.artifacts import ReceiptFile
from placet.client.trust.openings import Opening
from placet.client.trust.verify import VerifiedReceipt, verify_answers, verify_receipt
from placet.governance.checks import RECEIPT_FILE, check_output
from placet.governance.contexts import result_info
from placet.governance.log import LogProof
from placet.proto.v1 import jobs_pb2
from placet.refusals import ReceiptInvalid
from placet.sealing import StreamKey, open_envelope


class AsyncJobs:
    """What jobs released."""

    def __init__(
        self,
        connection: Connection,
        log: LogReader,
        council: AsyncCouncil,
        runs: AsyncRuns,
        blobs: AsyncBlobs,
    ) -> None:
        self._connection = connection
        self._log = log
        self._council = council
        self._runs = runs
        self._blobs = blobs

    async def receipt(self, id: str, recipient: str) -> tuple[VerifiedReceipt, ReceiptFile, bytes]:
        """Steps 1 to 3 of results.py: the verified receipt of a job, its file, and the key envelope
        to the recipient."""
        council, before = await self._council.verify(), self._log.memory.newest()
        proposal = (await self._runs.proposal(id)).proposal
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
        force: bool = False,
    ) -> Result:
        """Fetch, verify and open what a job released into a folder: one file an output, and
        `receipt.json`.

        `recipient` is the name in the proposal, if it is not the keys' id. A call that broke off
        goes on where it stopped. `progress` counts sealed bytes over all outputs. Files that hold
        something else are replaced only with `force`. Raises `Refused`
        (JOB_NOT_FINISHED, NOT_RELEASED), `ReceiptInvalid`, `SignatureInvalid`, `LogProofInvalid`,
        `EnvelopeForged`, `ObjectRootMismatch`, `FileRefused`, or what reading the log raises.
        """
        self._connection.access.use(keys)
        recipient = keys.id if recipient is None else recipient
        receipt, file, envelope = await self.receipt(id, recipient)
        receipt_file = folder / RECEIPT_FILE
        if not force:
            file.check_place(receipt_file)
        key = StreamKey.from_bytes(
            open_envelope(envelope, keys.hpke, result_info(receipt.digest, recipient))  # 4
        )
        outputs = receipt.receipt.predicate.outputs
        for name in outputs:
            check_output("outputs", name)  # they become names of files
        paths, contents = await open_outputs(
            self._blobs, outputs, key, folder, progress, force
        )  # 5
        opening = Opening(key, contents).sealed(receipt.digest, keys.hpke.public)  # 6
        write_file(receipt_file, replace(file, opening=opening).to_bytes())
        key.wipe()
        return Result(receipt, paths, receipt_file)
