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
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from placet.auditing.audit import audit
from placet.governance.account import Times
from placet.governance.admission import admit, enter_ballot, enter_proposal, judge_charter
from placet.governance.codec import encode
from placet.governance.documents import (
    Ballot,
    Charter,
    Constitution,
    Demand,
    Evidence,
    Job,
    Limits,
    Organisation,
    Output,
    Party,
    Proposal,
    Recipient,
    Rule,
    Seat,
    Seen,
    When,
    new_header,
)
from placet.governance.envelope import digest_of, parse_envelope, sign
from placet.governance.evaluate import Ticket
from placet.governance.keys import SigningKey
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import (
    Checkpoint,
    NoteSigner,
    Tree,
    leaf_hash,
    sign_checkpoint,
    verify_checkpoint,
)
from placet.governance.state import Entry
from placet.sealing import HPKEPrivateKey

NOW = 1_800_000_000
SEATS = 5
TICKETS = 40
ENTRIES = 56_000
PASSES = 15
# A folder in memory, so that no disk is measured where the cost of judging is meant.
MEMORY = Path("/dev/shm")

Task = Callable[[], object]


def run() -> Iterator[dict[str, object]]:
    """Yield one line for each figure: name, value, unit, against, ratio.

    For `admission_over_signatures` and `durable_append_on_disk` value and against are milliseconds,
    so a ratio is better the smaller it is; for `replay_over_parse` they are entries a second.
    """
    council = Council()
    yield _admission(council)
    yield _replay(council.signer)
    yield _audit(council)
    yield _disk()


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
        proposal = Proposal(
            header=new_header(self.name, self.seen),
            constitution=self.digest,
            proposer="lab",
            action="job",
            purpose="research",
            reason="To find out whether the outcome can be foretold from what is known at "
            "admission.",
            not_before=NOW,
            not_after=NOW + 86400,
            uses=1,
            body=self._job(),
        )
        digest = digest_of(encode(proposal))
        ballots = (self._ballot(f"seat-{i}", digest, key) for i, key in enumerate(self.keys))
        return Ticket(sign(proposal, self.lab), tuple(ballots))

    def _ballot(self, seat: str, proposal: str, key: SigningKey) -> bytes:
        ballot = Ballot(
            header=new_header(self.name, self.seen),
            seat=seat,
            proposal=proposal,
            constitution=self.digest,
            sequence=1,
            vote="placet",
            interests="none",
            rationale="The purpose is within the consent, and the outputs are aggregates.",
            expires=NOW + 86400,
        )
        return sign(ballot, key)

    def _job(self) -> Job:
        return Job(
            program="sha256:" + "ab" * 32,
            inputs={},
            parameters={"epochs": 10, "rate": "0.01", "seed": 7},
            outputs={"weights": Output(1 << 20), "metrics": Output(1 << 12)},
            recipients=(Recipient("lab", self.reader),),
            privacy=None,
            attempts=2,
            deadline_seconds=3600,
        )

    def _constitution(self) -> Constitution:
        names = range(SEATS)
        seats = (
            Seat(f"seat-{i}", f"org-{i}", "member", (key.public,), NOW - 1, NOW + 10**6)
            for i, key in enumerate(self.keys)
        )
        demand = Demand(SEATS, SEATS, {"member": 1}, ("member",), ("submitter",), True, 86400, 1)
        return Constitution(
            nonce="00" * 16,
            version=1,
            predecessor=None,
            name="Bench",
            organisations=tuple(Organisation(f"org-{i}", f"org {i}") for i in (*names, "lab")),
            seats=tuple(seats),
            parties=(Party("lab", "org-lab", (self.lab.public,)),),
            labels=("health",),
            rules=(Rule("all", "All of them", When(("job",), ("research",), "any"), demand),),
            evidence=Evidence({}, {}),
            limits=Limits(300, 3600),
            witnesses="none",
            recovery="none",
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


def _admission(council: Council) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = Store(Path(folder))
        authority = Authority(council, store)
        fresh = iter([council.ticket() for _ in range(TICKETS * (PASSES + 1))])
        checks = [_signatures(council, council.ticket()) for _ in range(TICKETS)]

        def ours() -> None:
            for _ in range(TICKETS):
                authority.admit(next(fresh))

        def bare() -> None:
            for key, signature, message in (check for ticket in checks for check in ticket):
                key.verify(signature, message)

        seconds = _interleaved({"ours": ours, "bare": bare})
        store.close()
    value, against = (_milliseconds(seconds[name], TICKETS) for name in ("ours", "bare"))
    ratio = _ratio(seconds["ours"], seconds["bare"])
    return _line("admission_over_signatures", value, "ms", against, ratio)


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


def _replay(signer: NoteSigner) -> dict[str, object]:
    entries = [encode(entry) for entry in _entries()]
    tree = Tree(map(leaf_hash, entries))
    note = sign_checkpoint(Checkpoint(signer.verifier_key.name, tree.size, tree.root()), signer)

    def ours() -> None:
        ledger = Ledger(_NoDocuments())
        ledger.replay_all(entries, verify_checkpoint(note, signer.verifier_key))

    def bare() -> None:
        for data in entries:
            hashlib.sha256(data).digest()
            json.loads(data)

    seconds = _interleaved({"ours": ours, "bare": bare})
    value, against = (
        round(len(entries) / statistics.median(seconds[name])) for name in ("ours", "bare")
    )
    ratio = _ratio(seconds["bare"], seconds["ours"])
    return _line("replay_over_parse", value, "entries/s", against, ratio)


def _audit(council: Council) -> dict[str, object]:
    """A whole log judged again, every signature checked, over the same log replayed as at a
    restart."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = Store(Path(folder))
        authority = Authority(council, store)
        for _ in range(TICKETS):
            authority.admit(council.ticket())
        store.close()
    entries, key = authority.entries, council.signer.verifier_key

    def ours() -> None:
        report = audit(entries, authority, council.name, authority.note, attest=_no_enclaves)
        if report.checked != len(entries):
            raise AssertionError("every entry is checked")

    def bare() -> None:
        ledger = Ledger(_NoDocuments())
        ledger.replay_all(entries, verify_checkpoint(authority.note, key))

    seconds = _interleaved({"ours": ours, "bare": bare})
    value, against = (
        round(len(entries) / statistics.median(seconds[name])) for name in ("ours", "bare")
    )
    ratio = _ratio(seconds["bare"], seconds["ours"])
    return _line("audit_over_replay", value, "entries/s", against, ratio)


def _no_enclaves(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the log has no boot and no join")


class _NoDocuments:
    """A replay takes none."""

    def envelope(self, digest: str) -> bytes:
        raise missing_document(digest)


def _entries() -> Iterator[Entry]:
    """The entries of a log in which job after job is proposed, voted on, leased, renewed and
    released."""
    names = iter(range(10**9))

    def digest() -> str:
        return digest_of(str(next(names)).encode())

    def entry(kind: str, **fields: object) -> Entry:
        return {"kind": kind, "at": [NOW, NOW], **fields}

    def nonce() -> str:
        return digest()[7:39]

    yield entry(
        "charter", log="bench.example/log", constitution=digest(), charter=digest(), nonce=nonce()
    )
    yield entry("boot", boot=nonce(), identity=digest(), evidence=digest(), nonce=digest()[7:])
    grant, program = digest(), digest()
    ends = {"expires": NOW + 10**7}
    yield entry("grant", grant=grant, nonce=nonce(), object=digest(), owner="hospital-a", **ends)
    for number in range(ENTRIES // 8):
        proposal, worker, lease, job = digest(), digest(), digest(), f"job-{number}"
        yield entry("proposal", proposal=proposal, nonce=nonce())
        for seat in ("chair", "officer", "ethics"):
            yield entry(
                "ballot", ballot=digest(), nonce=nonce(), proposal=proposal, seat=seat, sequence=1, vote="placet"
            )  # fmt: skip
        yield entry(
            "join", worker=worker, bound_to=program, measurement=program[7:], evidence=digest(), nonce=digest()[7:],
            lapses=NOW + 3600,
        )  # fmt: skip
        yield entry(
            "lease", lease=lease, proposal=proposal, job=job, attempt=1, worker=worker, grants=[grant],
            deadline=NOW + 300, judged=number, charges={},
        )  # fmt: skip
        yield entry("renewal", lease=lease, deadline=NOW + 600)
        yield entry(
            "release", lease=lease, proposal=proposal, job=job, release=digest(), receipt=digest()
        )


def _disk() -> dict[str, object]:
    """One small entry with its document and checkpoint, on the disk and in memory."""
    with (
        tempfile.TemporaryDirectory() as disk,
        tempfile.TemporaryDirectory(dir=MEMORY) as memory,
    ):
        stores = {"disk": Store(Path(disk)), "memory": Store(Path(memory))}
        sizes = dict.fromkeys(stores, 0)

        def append(name: str) -> None:
            for _ in range(TICKETS):
                size = sizes[name] = sizes[name] + 1
                stores[name].write(size, [b"x" * 300], {str(size): b"x" * 1500}, b"x" * 200)

        seconds = _interleaved({name: partial(append, name) for name in stores})
        for store in stores.values():
            store.close()
    value, against = (_milliseconds(seconds[name], TICKETS) for name in ("disk", "memory"))
    ratio = _ratio(seconds["disk"], seconds["memory"])
    return _line("durable_append_on_disk", value, "ms", against, ratio)


def _interleaved(tasks: dict[str, Task]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for number in range(PASSES + 1):
        # Neither always comes first, and the first round only warms up.
        for name in names if number % 2 else reversed(names):
            start = time.perf_counter()
            tasks[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _milliseconds(seconds: list[float], count: int) -> float:
    return round(statistics.median(seconds) / count * 1000, 3)


def _ratio(over: list[float], under: list[float]) -> float:
    """The median over pairs of neighbouring passes, which slow down together."""
    return round(statistics.median(a / b for a, b in zip(over, under, strict=True)), 3)


def _line(name: str, value: float, unit: str, against: float, ratio: float) -> dict[str, object]:
    return {"name": name, "value": value, "unit": unit, "against": against, "ratio": ratio}


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure), flush=True)
