# SPDX-License-Identifier: Apache-2.0
"""Results: nothing is opened before the receipt was verified, and nothing is kept that did not
verify.

Steps of `result`:
  1. fetch receipt, proof, entry and key envelope; verify the receipt against the pinned council;
  2. the proof's checkpoint is of the one log that was read;
  3. the receipt is the job's, and answers the proposal that the job's name says it is of;
  4. open the result key, which is bound to the receipt's digest and the recipient's name;
  5. for each output: fetch the sealed bytes, verify their root, open, take the padding off.
"""

import asyncio
from pathlib import Path

from placet.client.data.objects import Progress
from placet.client.errors import FileRefused
from placet.client.files import replacing, write_file
from placet.client.jobs.jobs import JobOperations
from placet.client.keys import Keys
from placet.client.records import Result
from placet.client.trust.artifacts import ReceiptFile
from placet.client.trust.verify import VerifiedReceipt, verify_answers, verify_receipt
from placet.governance.checks import RECEIPT_FILE, check_output
from placet.governance.contexts import result_info
from placet.governance.errors import ReceiptInvalid
from placet.governance.log import LogProof
from placet.proto.v1 import jobs_pb2
from placet.sealing import (
    ObjectDescriptor,
    StreamKey,
    open_envelope,
    open_stream,
    unpad_into,
    verify_root,
)


class ResultOperations(JobOperations):
    """Receipts and results."""

    async def receipt(self, id: str, recipient: str) -> tuple[VerifiedReceipt, ReceiptFile, bytes]:
        """Steps 1 to 3: the verified receipt of a job, its file, and the key envelope to the
        recipient."""
        session = self._session
        council, before = await self.council(), session.memory.newest()
        proposal = await self.proposal_of(id)
        request = jobs_pb2.ResultRequest(id=id, recipient=recipient)
        answer = await session.ask(session.jobs.Result, request)
        verified = verify_receipt(answer.receipt, answer.proof, answer.entry, council)  # 1
        await session.accept(LogProof.from_bytes(answer.proof).checkpoint, before)  # 2
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
        (JOB_NOT_FINISHED, NOT_RELEASED), `ReceiptInvalid`, `LogError`, `SealingError`, or
        `FileRefused`.
        """
        recipient = keys.id if recipient is None else recipient
        receipt, file, envelope = await self.receipt(id, recipient)
        key = StreamKey.from_bytes(
            open_envelope(envelope, keys.hpke, result_info(receipt.digest, recipient))  # 4
        )
        outputs = receipt.receipt.predicate.outputs
        for name in outputs:
            check_output("outputs", name)  # they become names of files
        _prepare(folder)
        total, done = sum(d.sealed_length for d in outputs.values()), 0
        paths: dict[str, Path] = {}
        for name, descriptor in sorted(outputs.items()):
            report = _shifted(progress, done, total)
            paths[name] = await self._output(folder, name, descriptor, key, report)  # 5
            done += descriptor.sealed_length
        receipt_file = folder / RECEIPT_FILE
        write_file(receipt_file, file.to_bytes())
        key.wipe()
        return Result(receipt, paths, receipt_file)

    async def _output(
        self,
        folder: Path,
        name: str,
        descriptor: ObjectDescriptor,
        key: StreamKey,
        progress: Progress | None,
    ) -> Path:
        sealed, path = folder / f".{descriptor.id}.sealed", folder / name
        await self.get_blob(
            descriptor.id, sealed, length=descriptor.sealed_length, progress=progress
        )
        try:
            await asyncio.to_thread(_open_output, sealed, path, descriptor, key)
        finally:
            sealed.unlink(missing_ok=True)
        return path


def _open_output(sealed: Path, path: Path, descriptor: ObjectDescriptor, key: StreamKey) -> None:
    with sealed.open("rb") as source, replacing(path, mode=0o600) as plain:
        leaves = verify_root(source, descriptor)
        with open_stream(source, key, descriptor, leaf_hashes=leaves) as reader:
            unpad_into(reader, plain, descriptor.length)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileRefused(f"Cannot make {folder}: {error.strerror}. Name another.") from None


def _shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(start + done, total)
