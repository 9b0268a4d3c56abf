# SPDX-License-Identifier: Apache-2.0
"""What governance costs besides the cryptography that nobody can spare it.

Steps of `run`: a ticket of five ballots is judged, entered and written durably, against its six
signature checks alone; a log is replayed, against hashing and parsing its entries alone; a durable
append on the disk of the temporary folder. The passes take turns, so that a busy machine slows both
alike; medians are shown.
"""

import hashlib
import json
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from _figures import Figure, arguments, figure, interleaved, ratio, tell
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from placet.auditing.audit import audit
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import (
    Charter,
    Constitution,
    Evidence,
    Job,
    Output,
    Party,
    Recipient,
    Rule,
    Seat,
    Seen,
    When,
    new_header,
)
from placet.governance.envelope import digest_of, parse_envelope, sign
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import (
    admit,
    enter_ballot,
    enter_proposal,
    judge_charter,
)
from placet.governance.keys import SigningKey
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import (
    Checkpoint,
    NoteSigner,
    Tree,
    sign_checkpoint,
    verify_checkpoint,
)
from placet.governance.rules import (
    Approvals,
    Independence,
    Lifetime,
    Organisations,
    Rationale,
    Role,
    Uses,
    Veto,
)
from placet.sealing import HPKEPrivateKey

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import documents

NOW = 1_800_000_000
SEATS = 5
# A folder in memory, so that no disk is measured where the cost of judging is meant.
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Size:
    """Tickets a pass, tickets of the log that is replayed, and passes."""

    tickets: int = 40
    replayed: int = 4_000
    passes: int = 15


def run(size: Size) -> Iterator[Figure]:
    """Yield one line for each figure: name, value, unit, against, ratio.

    For `admission_over_signatures` and `durable_append_on_disk` value and against are milliseconds,
    so a ratio is better the smaller it is; for `replay_over_parse` they are entries a second.
    """
    council = Council()
    yield _admission(council, size)
    yield _replay(council, size)
    yield _audit(council, size)
    yield _disk(size)


class Council:
    """Five seats of five organisations, a rule that takes them all, and tickets that they have
    signed."""

    def __init__(self) -> None:
        self.signer = NoteSigner.generate("bench.example/log")
        self.log = self.signer.verifier_key.to_text()
        self.keys = [SigningKey.generate() for _ in range(SEATS)]
        self.lab = SigningKey.generate()
        self.reader = HPKEPrivateKey.generate().public.to_text()
        self.constitution = self._constitution()
        self.digest = digest_of(encode(self.constitution))
        self.seen = Seen(0, "sha256:" + Tree().root().hex())
        self.charter = Charter.new(self.log, self.digest)
        self.name = digest_of(encode(self.charter))

    def found(self, ledger: Ledger, store: dict[str, bytes]) -> bytes:
        """Entry 0."""
        constitution = sign(self.constitution, *self.keys)
        charter = sign(self.charter, *self.keys)
        times = Times(NOW, NOW)
        store[self.digest] = constitution
        store[parse_envelope(charter).digest] = charter
        return ledger.append(judge_charter(ledger, constitution, charter, self.log, times))

    def ticket(self) -> Ticket:
        proposal = documents.proposal(
            new_header(self.name, self.seen), self.digest, "lab", self._job(), NOW
        )
        digest = digest_of(encode(proposal))
        ballots = (self._ballot(f"seat-{i}", digest, key) for i, key in enumerate(self.keys))
        return Ticket(sign(proposal, self.lab), tuple(ballots))

    def _ballot(self, seat: str, proposal: str, key: SigningKey) -> bytes:
        header = new_header(self.name, self.seen)
        ballot = documents.ballot(header, self.digest, seat, proposal, NOW)
        return sign(ballot, key)

    def _job(self) -> Job:
        return documents.job(
            Recipient("lab", self.reader),
            parameters={"epochs": 10, "rate": "0.01", "seed": 7},
            outputs={"weights": Output(1 << 20), "metrics": Output(1 << 12)},
        )

    def _constitution(self) -> Constitution:
        seats = (
            Seat(f"seat-{i}", f"org-{i}", "member", (key.public,), NOW - 1, NOW + 10**6)
            for i, key in enumerate(self.keys)
        )
        demands = (
            Approvals(SEATS),
            Organisations(SEATS),
            Role("member", 1),
            Veto("member"),
            Independence("submitter"),
            Rationale(),
            Lifetime(86400),
            Uses(1),
        )
        return documents.constitution(
            seats,
            [Party("lab", "org-lab", (self.lab.public,))],
            rules=(Rule("all", "All of them", When(("job",), ("research",), "any"), demands),),
            evidence=Evidence({}, {}),
        )


class Store:
    """What the host keeps of a step: entries, documents and checkpoint, in one durable transaction
    (SQLite, WAL)."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "log.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        for table in (
            "entries (number INTEGER PRIMARY KEY, data BLOB)",
            "documents (digest TEXT PRIMARY KEY, data BLOB)",
            "checkpoint (size INTEGER PRIMARY KEY, note BLOB)",
        ):
            self._database.execute(f"CREATE TABLE {table}")

    def write(
        self, first: int, entries: list[bytes], documents: dict[str, bytes], note: bytes
    ) -> None:
        run = self._database
        run.execute("BEGIN IMMEDIATE")
        run.executemany("INSERT INTO entries VALUES (?, ?)", enumerate(entries, first))
        run.executemany("INSERT INTO documents VALUES (?, ?)", documents.items())
        run.execute("INSERT INTO checkpoint VALUES (?, ?)", (first + len(entries), note))
        run.execute("COMMIT")

    def close(self) -> None:
        self._database.close()


class Authority:
    """A ledger, and what is written of it."""

    def __init__(self, council: Council, store: Store) -> None:
        self._council = council
        self._store = store
        self._documents: dict[str, bytes] = {}
        self.ledger = Ledger(self)
        self.entries = [council.found(self.ledger, self._documents)]
        self.note = b""

    def envelope(self, digest: str) -> bytes:
        if digest not in self._documents:
            raise missing_document(digest)
        return self._documents[digest]

    def admit(self, ticket: Ticket) -> None:
        """Judge a ticket, enter it, and have it written under a checkpoint."""
        times, ledger = Times(NOW, NOW), self.ledger
        admission = admit(ledger, ticket, "job-1", times)
        first, proposal = ledger.tree.size, admission.ticket.proposal
        entries = [ledger.append(enter_proposal(ledger, proposal, times))]
        documents = {proposal.digest: proposal.envelope}
        for ballot in admission.new_ballots:
            entries.append(ledger.append(enter_ballot(ledger, ballot, times)))
            documents[ballot.digest] = ballot.envelope
        name = self._council.signer.verifier_key.name
        checkpoint = Checkpoint(name, ledger.tree.size, ledger.tree.root())
        self.note = sign_checkpoint(checkpoint, self._council.signer)
        self._store.write(first, entries, documents, self.note)
        self.entries += entries
        self._documents.update(documents)
        if len(admission.new_ballots) != SEATS:
            raise AssertionError("every ballot is new")


def _admission(council: Council, size: Size) -> Figure:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = Store(Path(folder))
        authority = Authority(council, store)
        fresh = iter([council.ticket() for _ in range(size.tickets * (size.passes + 1))])
        checks = [_signatures(council, council.ticket()) for _ in range(size.tickets)]

        def ours() -> None:
            for _ in range(size.tickets):
                authority.admit(next(fresh))

        def bare() -> None:
            for key, signature, message in (check for ticket in checks for check in ticket):
                key.verify(signature, message)

        seconds = interleaved({"ours": ours, "bare": bare}, size.passes)
        store.close()
    return _each("admission_over_signatures", seconds["ours"], seconds["bare"], size)


def _signatures(council: Council, ticket: Ticket) -> list[tuple[Ed25519PublicKey, bytes, bytes]]:
    """Key, signature and message of a proposal and its ballots."""
    checks: list[tuple[Ed25519PublicKey, bytes, bytes]] = []
    for signer, envelope in zip(
        (council.lab, *council.keys), (ticket.proposal, *ticket.ballots), strict=True
    ):
        raw, key = parse_envelope(envelope), signer.private.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise TypeError("the council signs with Ed25519")
        checks.append((key, raw.signatures[signer.public.key_id], raw.signed_bytes))
    return checks


def _log(council: Council, tickets: int) -> Authority:
    """An authority that has judged so many tickets."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = Store(Path(folder))
        authority = Authority(council, store)
        for _ in range(tickets):
            authority.admit(council.ticket())
        store.close()
    return authority


def _replayed(council: Council, authority: Authority) -> None:
    ledger = Ledger(_NoDocuments())
    checkpoint = verify_checkpoint(authority.note, council.signer.verifier_key)
    ledger.replay_all(authority.entries, checkpoint)


def _replay(council: Council, size: Size) -> Figure:
    authority = _log(council, size.replayed)

    def bare() -> None:
        for data in authority.entries:
            hashlib.sha256(data).digest()
            json.loads(data)

    def ours() -> None:
        _replayed(council, authority)

    seconds = interleaved({"ours": ours, "bare": bare}, size.passes)
    return _rate("replay_over_parse", seconds["ours"], seconds["bare"], len(authority.entries))


def _audit(council: Council, size: Size) -> Figure:
    """A whole log judged again, every signature checked, over the same log replayed as at a
    restart."""
    authority = _log(council, size.tickets)
    entries = authority.entries

    def ours() -> None:
        report = audit(entries, authority, council.name, authority.note, attest=_no_enclaves)
        if report.checked != len(entries):
            raise AssertionError("every entry is checked")

    def bare() -> None:
        _replayed(council, authority)

    seconds = interleaved({"ours": ours, "bare": bare}, size.passes)
    return _rate("audit_over_replay", seconds["ours"], seconds["bare"], len(entries))


def _no_enclaves(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the log has no boot and no join")


class _NoDocuments:
    """A replay takes none."""

    def envelope(self, digest: str) -> bytes:
        raise missing_document(digest)


def _disk(size: Size) -> Figure:
    """One small entry with its document and checkpoint, on the disk and in memory."""
    with (
        tempfile.TemporaryDirectory() as disk,
        tempfile.TemporaryDirectory(dir=MEMORY) as memory,
    ):
        stores = {"disk": Store(Path(disk)), "memory": Store(Path(memory))}
        sizes = dict.fromkeys(stores, 0)

        def append(name: str) -> None:
            for _ in range(size.tickets):
                at = sizes[name] = sizes[name] + 1
                stores[name].write(at, [b"x" * 300], {str(at): b"x" * 1500}, b"x" * 200)

        seconds = interleaved({name: partial(append, name) for name in stores}, size.passes)
        for store in stores.values():
            store.close()
    return _each("durable_append_on_disk", seconds["disk"], seconds["memory"], size)


def _each(name: str, ours: list[float], bare: list[float], size: Size) -> Figure:
    """Milliseconds a ticket, or an entry."""
    value, against = (statistics.median(taken) / size.tickets * 1000 for taken in (ours, bare))
    return figure(name, value, "ms", against, ratio(ours, bare))


def _rate(name: str, ours: list[float], bare: list[float], entries: int) -> Figure:
    value, against = (round(entries / statistics.median(taken)) for taken in (ours, bare))
    return figure(name, value, "entries/s", against, ratio(bare, ours))


if __name__ == "__main__":
    tell(run(Size(2, 10, 1) if arguments(__doc__).parse_args().small else Size()))
