# SPDX-License-Identifier: Apache-2.0
"""What goes between a client and its host in a round: the model, the update.

Steps of `model`:
  1. a request signed by the client, with a fresh key that the model's key shall be sealed to;
  2. verify receipt, entry and proof; the proof's checkpoint, old or new, is of the one log that was
     seen;
  3. the receipt is that of the round asked for, and answers the proposal;
  4. open the model's key, which is bound to the digest of the request;
  5. fetch the sealed bytes, verify their root, open;
  6. keep the model's key in the receipt's file, sealed to the client.
The initial model, round 0, has no receipt: the proposal itself has its descriptor.
"""

import asyncio
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from placet.client.connection.connection import Connection
from placet.client.council.council import AsyncCouncil
from placet.client.data.blobs import AsyncBlobs
from placet.client.data.objects import Progress
from placet.client.federations.models import RoundModel, model_bytes, open_model, zeros
from placet.client.federations.receipts import UpdateReceipt, VerifiedUpdate
from placet.client.federations.updates import Pending
from placet.client.federations.vectors import Vector
from placet.client.keys import Keys
from placet.client.log.reader import LogReader
from placet.client.runs.runs import AsyncRuns
from placet.client.trust.artifacts import ReceiptFile
from placet.client.trust.openings import Content, Opening
from placet.client.trust.verify import VerifiedReceipt, verify_answers, verify_receipt
from placet.governance.contexts import model_info
from placet.governance.documents import Federate, ModelRequest, Proposal
from placet.governance.documents.federation import MODEL
from placet.governance.envelope import Signed, parse_envelope, sign
from placet.governance.jobs import round_job
from placet.governance.keys import PublicKey
from placet.governance.log import LogProof
from placet.proto.v1 import federations_pb2
from placet.refusals import ReceiptInvalid
from placet.sealing import (
    HEADER_BYTES,
    HPKEPrivateKey,
    ObjectDescriptor,
    StreamKey,
    open_envelope,
)


class Exchange:
    """The calls of a federation's clients."""

    def __init__(
        self,
        connection: Connection,
        log: LogReader,
        council: AsyncCouncil,
        runs: AsyncRuns,
        blobs: AsyncBlobs,
    ) -> None:
        self.log = log
        self.runs = runs
        self._connection = connection
        self._council = council
        self._blobs = blobs

    def now(self) -> int:
        """The present time in whole Unix seconds."""
        return self._connection.now()

    def newest(self, id: str) -> int:
        """The newest round whose model the log has, as far as it was read; 0 for the initial
        one."""
        federation = self.log.replica.ledger.state.federations.get(id)
        return max(federation.models, default=0) if federation else 0

    async def model(
        self, proposal: Signed[Proposal], keys: Keys, round: int, progress: Progress | None = None
    ) -> RoundModel:
        """The model of a round, of a proposal that has been verified; round 0 is the initial
        one."""
        terms = proposal.document.federate
        if round == 0 and terms.model is None:
            return zeros(terms)
        fresh = HPKEPrivateKey.generate()
        asked = ModelRequest(
            self.log.known_header(), proposal.digest, round, keys.id, fresh.public.to_text()
        )
        request = sign(asked, keys.signing)
        wire = federations_pb2.ModelRequest(request=request)
        answer = await self._connection.ask(self._connection.federations.Model, wire)  # 1
        verified, file = None, None
        if round:
            council = await self._council.verify()
            file = ReceiptFile.of(council, answer.receipt, answer.entry, answer.proof)
            receipt = verify_receipt(answer.receipt, answer.proof, answer.entry, council)
            verified = _verify_round(receipt, proposal, round)  # 2, 3
            await self.log.accept(LogProof.from_bytes(answer.proof).checkpoint)
        info = model_info(parse_envelope(request).digest)
        key = StreamKey.from_bytes(open_envelope(answer.key_envelope, fresh, info))  # 4
        try:
            vector, content = await self._vector(terms, verified, key, progress)  # 5
            if verified and file:
                opening = Opening(key, {MODEL: content})  # 6
                sealed = opening.sealed(verified.digest, keys.hpke.public)
                file = replace(file, opening=sealed)
        finally:
            key.wipe()
        return RoundModel(round, terms.layout, vector, verified, file)

    async def _vector(
        self,
        terms: Federate,
        receipt: VerifiedReceipt | None,
        key: StreamKey,
        progress: Progress | None,
    ) -> tuple[Vector, Content]:
        """The opened model that a receipt is about, or the initial one."""
        if receipt is None:
            assert terms.model is not None, "without one it starts from zeros"
            descriptor = terms.model.object
        else:
            descriptor = receipt.receipt.predicate.outputs[MODEL]
        length = descriptor.sealed_length
        with tempfile.TemporaryDirectory(prefix="placet-") as folder:  # of sealed bytes
            sealed = Path(folder, "sealed")
            await self._blobs.get(descriptor.id, sealed, length=length, progress=progress)
            return await asyncio.to_thread(_opened, sealed, descriptor, key, terms)

    async def send(
        self, pending: Pending, owner: PublicKey, progress: Progress | None = None
    ) -> VerifiedUpdate:
        """Put the sealed stream, or the rest of it, and hand in the update; its receipt, verified.

        The same update again gives the same receipt. Raises `Refused`, `Unreachable`, as
        `UpdateReceipt.verify`, or as reading the log.
        """
        await self._blobs.put(pending.update.object, pending.stream, owner=owner, progress=progress)
        request = federations_pb2.UpdateRequest(update=pending.document, sealed=pending.sealed)
        answer = await self._connection.ask(self._connection.federations.Update, request)
        charter = await self.log.envelope(self.log.charter())
        receipt = UpdateReceipt(charter, pending.document, answer.entry, answer.proof)
        verified = receipt.verify(self.log.charter())
        await self.log.accept(LogProof.from_bytes(answer.proof).checkpoint)
        return verified


def _opened(
    sealed: Path, descriptor: ObjectDescriptor, key: StreamKey, terms: Federate
) -> tuple[Vector, Content]:
    vector = open_model(sealed, descriptor, key, terms.layout)
    with sealed.open("rb") as file:
        return vector, Content.of(file.read(HEADER_BYTES), BytesIO(model_bytes(vector)))


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
