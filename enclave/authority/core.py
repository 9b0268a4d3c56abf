# SPDX-License-Identifier: Apache-2.0
"""Every answer of the authority stands on this: judge, append, and say what may leave.

A handler judges, appends, and returns an `Effect`: what leaves once all that the log has by then is
covered. It waits for nothing after it has appended; waiting is done in one place (service.py).
Between judging and appending nothing is awaited, so no two requests see one state. A judgement that
needs what is not in memory (documents, wrapped keys) is made anew once that has been fetched.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from google.protobuf.message import Message

from placet.attestation import Attester
from placet.enclave.authority.boot import Life
from placet.enclave.authority.clock import Clock
from placet.enclave.authority.documents import missing_digest, read_entry
from placet.enclave.authority.journal import Covering
from placet.enclave.authority.keys import KeyNotAtHand, KeyStore
from placet.enclave.peer import BootKeys, Keys
from placet.governance.account import Times
from placet.governance.entries.kind import Entry
from placet.governance.evaluate import Ticket
from placet.governance.judgements import admission
from placet.governance.ledger import Ledger
from placet.governance.log import LogProof
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import DocumentNotFound

T = TypeVar("T")

# What leaves, made from the checkpoint that covers what it was judged over.
Effect = Callable[[Covering], Message]


class Core:
    """One life of the authority, its keys of this boot, and the way entries are made."""

    def __init__(self, life: Life, keys: BootKeys, attester: Attester, clock: Clock) -> None:
        self.life = life
        self.boot_keys = keys
        self.attester = attester
        self.store = KeyStore(life)
        self._clock = clock
        self._keys: Keys | None = None

    @property
    def keys(self) -> Keys:
        """The keys of this boot, named for the log. Raises `NotFounded` before there is one."""
        if self._keys is None:
            self._keys = self.boot_keys.of(self.life.log_keys.log, self.charter)
        return self._keys

    @property
    def charter(self) -> str:
        """The digest by which documents name the council."""
        return self.ledger.state.charter

    @property
    def ledger(self) -> Ledger:
        return self.life.ledger

    def now(self) -> Times:
        """The time by which the next entry is judged: never before the last one's. Raises
        `ClockJumped`."""
        return self._clock.times(self.ledger.state.times)

    def believed(self) -> Times:
        """The same for what says no, or lets go on what goes on: no jump of the clock keeps it."""
        return self._clock.believed(self.ledger.state.times)

    async def judged(self, judge: Callable[[], T]) -> T:
        """The judgement, made again for every document and every wrapped key that it turned out to
        need.

        Nothing is awaited after the one that is returned.
        """
        fetched: set[str] = set()
        while True:
            try:
                return judge()
            except DocumentNotFound as error:
                digest = missing_digest(error)
                if digest in fetched:
                    raise
                fetched.add(digest)
                await self.life.documents.fetch(digest)
            except KeyNotAtHand as error:
                await self.store.fetch(error.name)

    async def document(self, digest: str) -> bytes:
        """The envelope of a document that the log names."""
        return await self.judged(lambda: self.life.documents.envelope(digest))

    def append(
        self,
        entry: Entry,
        documents: Mapping[str, bytes] | None = None,
        secrets: Sequence[enclaves_pb2.Secret] = (),
    ) -> int:
        """Append what has been judged; its documents and wrapped secrets stay at hand.

        The keys that are useless once the log has it are overwritten in the same step.
        """

        def stored() -> list[enclaves_pb2.Secret]:
            retired = self.store.retired(self.ledger.state.over)
            for secret in (*secrets, *retired):
                self.store.keep(secret)
            return [*secrets, *retired]

        index = self.life.journal.append(entry, documents, stored)
        for digest, document in (documents or {}).items():
            self.life.documents.keep(digest, document)
        return index

    def append_unknown(self, admitted: admission.Admission) -> None:
        """Documents of a bundle that the log does not have are appended: the log is what was judged
        by."""
        proposal = admitted.ticket.proposal
        if admitted.new_proposal:
            entry = admission.enter_proposal(self.ledger, proposal, self.now())
            self.append(entry, {proposal.digest: proposal.envelope})
        for ballot in admitted.new_ballots:
            entry = admission.enter_ballot(self.ledger, ballot, self.now())
            self.append(entry, {ballot.digest: ballot.envelope})

    async def stored_entry(self, index: int) -> bytes:
        """An entry, from the host, once that has it. Raises `AuthorityUnavailable` or
        `LogProofInvalid`."""
        await self.life.journal.covered(index)
        return await read_entry(self.life.connection, self.ledger.tree, index)

    def proof(self, index: int, covering: Covering) -> bytes:
        """The tlog-proof of an entry under a checkpoint that covers it."""
        hashes = self.ledger.tree.inclusion_proof(index, covering.size)
        return LogProof(index, hashes, covering.note).to_bytes()


def committed(index: int, digest: str) -> Callable[[Covering], common_pb2.Committed]:
    """The answer to whoever sent a document: where its entry is, and a checkpoint that covers
    it."""
    return lambda covering: common_pb2.Committed(
        digest=digest, index=index, checkpoint=covering.note
    )


def ticket_of(message: common_pb2.Ticket) -> Ticket:
    """The bundle as governance takes it."""
    return Ticket(message.proposal, tuple(message.ballots))
