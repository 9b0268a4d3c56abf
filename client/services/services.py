# SPDX-License-Identifier: Apache-2.0
"""Services: verify the workers and the card, and open one to ask it. They are started and followed
as runs."""

from dataclasses import dataclass

from placet.client.connection.connection import Connection
from placet.client.council.council import AsyncCouncil
from placet.client.keys import Keys
from placet.client.log.reader import LogReader
from placet.client.services.asking import Asking
from placet.client.services.chain import ServedWorker
from placet.client.services.model import AsyncServedModel
from placet.client.services.users import Token, judge_user
from placet.client.services.workers import Workers
from placet.client.trust.verify import VerifiedReceipt, verify_receipt
from placet.governance.documents import Receipt
from placet.governance.documents.work.serve import Serve
from placet.governance.envelope import inspect
from placet.governance.log import LogProof
from placet.refusals import ReceiptInvalid


@dataclass(frozen=True, slots=True)
class Origin:
    """The receipt that a model's card names, verified. output: which of its outputs the model is;
    "" if none of them."""

    receipt: VerifiedReceipt
    output: str


class AsyncServices:
    """Served models: workers that answer sealed questions."""

    def __init__(self, connection: Connection, log: LogReader, council: AsyncCouncil) -> None:
        self._connection = connection
        self._log = log
        self._council = council
        self._workers = Workers(connection, log, council)

    async def open(
        self, id: str, *, user: Keys | Token, patience: float = 60.0
    ) -> AsyncServedModel:
        """The model that a service serves, for one user, once a worker has been verified. Close it,
        or use it as a context.

        id: the digest of the proposal. patience: for how many seconds on end there may be no host,
        no worker, or one that has too much to do. Raises `UserNotAllowed`, `EvidenceSimulated`,
        `OfferInvalid`, or what a call raises.
        """
        if isinstance(user, Keys):
            self._connection.access.use(user)
        worker = await self._workers.find(id, patience)
        rules = (await self._log.judged(lambda ledger: ledger.in_force())).constitution
        known_as = judge_user(user, worker.terms, rules)
        return AsyncServedModel(Asking(self._connection, self._workers, worker, known_as, patience))

    async def verify(self, id: str, lease: str = "") -> ServedWorker:
        """A worker of a service (with this lease; any if empty), verified down from the log's key;
        by the newest log its lease runs and nothing stops it.

        Raises `OfferInvalid`, which says at which step, what `check_running` raises, or what a call
        raises.
        """
        return await self._workers.verify(id, lease)

    async def origin(self, terms: Serve) -> Origin | None:
        """Where the model of a service came from, as the log shows it; None where its card names no
        receipt.

        Raises `DocumentNotFound`, `ReceiptInvalid`, `SignatureInvalid`, or what reading the log
        raises.
        """
        wanted = terms.card.receipt
        if not wanted:
            return None
        council, ledger = await self._council.verify(), self._log.replica.ledger
        envelope = await self._log.envelope(wanted)
        index = inspect(envelope, Receipt).predicate.entry
        if index >= ledger.tree.size:
            raise ReceiptInvalid(
                "The log has no such entry as the receipt names. Do not rely on it.", claim="entry"
            )
        entry, hashes = self._log.replica.entry(index), ledger.tree.inclusion_proof(index)
        proof = LogProof(index, hashes, self._log.memory.note).to_bytes()
        receipt = verify_receipt(envelope, proof, entry, council)
        model = terms.model.object.digest
        outputs = receipt.receipt.predicate.outputs.items()
        return Origin(receipt, next((name for name, d in outputs if d.digest == model), ""))
