# SPDX-License-Identifier: Apache-2.0
"""A log judged again from its first entry, as it is and with every kind of tampering."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.auditing.audit import AuditReport, audit
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import Charged, Exactly, Receipt
from placet.governance.envelope import digest_of, sign
from placet.governance.log import Checkpoint, NoteSigner, Tree, leaf_hash, sign_checkpoint
from placet.refusals import DocumentNotFound, LogCheckpointInvalid, LogEntryInvalid


@pytest.fixture
def written(ready: Any) -> Any:
    """A log with a bit of everything: a release, a closed attempt, a stop, an amendment, a second
    boot."""
    first = ready.ticket(ready.proposal(uses=2))
    lease = ready.lease(first, ready.join("worker 1"))["lease"]
    ready.times = Times(ready.times.at_least + 5, ready.times.at_most + 5)
    ready.renew(lease)
    ready.release(lease)
    lost = ready.lease(first, ready.join("worker 2"), "job-2")["lease"]
    ready.close(lost)
    ready.boot("boot 2")
    again = ready.lease(first, ready.join("worker 3"), "job-2")["lease"]
    ready.release(again)
    second = ready.proposal()
    ready.record(second, "lab")
    ready.record(ready.ballot("data-b", digest_of(encode(second)), "non placet"), "data-b")
    ready.record(ready.stop("chair-a", "pause", digest_of(encode(second))), "chair-a")
    ready.record(ready.stop("chair-a", "revoke-program", "sha256:" + "00" * 32), "chair-a/2")
    ready.amend(name="The council of five")
    return ready


def run(world: Any, entries: list[bytes] | None = None) -> AuditReport:
    """Audit these entries under a checkpoint that the log's key has signed over them."""
    entries = list(world.entries) if entries is None else entries
    tree = Tree(map(leaf_hash, entries))
    name = world.signer.verifier_key.name
    note = sign_checkpoint(Checkpoint(name, tree.size, tree.root()), world.signer)
    return audit(entries, world, world.name, note, attest=world.attest)


def find(world: Any, kind: str, number: int = 0) -> int:
    """Index of an entry by kind."""
    indexes = [i for i, data in enumerate(world.entries) if json.loads(data)["kind"] == kind]
    return indexes[number]


def test_an_honest_log_is_checked_from_end_to_end(written: Any) -> None:
    report = run(written)
    assert report.complete
    assert report.size == report.checked == len(written.entries)
    assert (report.size, report.root) == written.ledger.head()
    assert report.log == written.log
    kinds = {json.loads(data)["kind"] for data in written.entries}
    assert kinds == {
        "charter", "constitution", "boot", "proposal", "ballot", "stop", "grant", "join", "lease",
        "renewal", "release", "close",
    }  # fmt: skip


def test_what_is_not_given_is_listed_and_not_checked(written: Any) -> None:
    index = find(written, "release")
    entry = json.loads(written.entries[index])
    del written.store[entry["receipt"]], written.store[entry["release"]]
    report = run(written)
    assert not report.complete
    (left,) = report.not_checked
    assert (left.index, left.kind) == (index, "release")
    assert left.missing == (entry["release"], entry["receipt"])
    assert report.checked == report.size - 1


def test_what_depends_on_what_is_not_given_is_not_checked_either(written: Any) -> None:
    join = json.loads(written.entries[find(written, "join")])
    del written.store[join["evidence"]]
    report = run(written)
    kinds = [left.kind for left in report.not_checked]
    assert kinds == ["join", "lease", "renewal", "release"]
    assert {d for left in report.not_checked[1:] for d in left.missing} == {join["evidence"]}
    boot = json.loads(written.entries[find(written, "boot")])
    del written.store[boot["identity"]]
    assert "boot" in {left.kind for left in run(written).not_checked}


def test_with_the_charter_alone_nothing_is_checked_but_the_root(written: Any) -> None:
    charter = written.store[written.name]
    written.store.clear()
    with pytest.raises(DocumentNotFound):
        run(written)  # without the charter nobody knows whose log it is
    written.store[written.name] = charter
    report = run(written)
    assert report.checked == 1  # the closing of an attempt takes no document
    assert (report.size, report.root) == written.ledger.head()


Change = Callable[[dict[str, Any]], object]

CHANGES: dict[str, tuple[str, Change]] = {
    "another vote": ("ballot", lambda e: e.update(vote="non placet")),
    "another seat": ("ballot", lambda e: e.update(seat="second-a")),
    "another number": ("ballot", lambda e: e.update(sequence=2)),
    "another nonce": ("proposal", lambda e: e.update(nonce="00" * 16)),
    "another owner": ("grant", lambda e: e.update(owner="lab")),
    "another object": ("grant", lambda e: e.update(object="sha256:" + "00" * 32)),
    "another target": ("stop", lambda e: e.update(target="sha256:" + "11" * 32)),
    "another program": ("join", lambda e: e.update(launched_for="sha256:" + "00" * 32)),
    "another measurement": ("join", lambda e: e.update(measurement="00" * 32)),
    "a later lapse": ("join", lambda e: e.update(lapses=e["lapses"] + 1)),
    "another verifier nonce": ("join", lambda e: e.update(nonce="00" * 32)),
    "a nonce that is none": ("join", lambda e: e.update(nonce="x")),
    "another boot": ("boot", lambda e: e.update(boot="00" * 16)),
    "more grants": ("lease", lambda e: e.update(grants=e["grants"] * 2)),
    "no grants": ("lease", lambda e: e.update(grants=[])),
    "a later deadline": ("lease", lambda e: e.update(deadline=e["deadline"] + 1)),
    "another attempt": ("lease", lambda e: e.update(attempt=2)),
    "another size": ("lease", lambda e: e.update(judged=e["judged"] - 1)),
    "a smaller charge": ("lease", lambda e: e.update(charges={"owner-b": [0, 1, 0]})),
    "another's charge": ("lease", lambda e: e.update(charges={"lab": "unbounded"})),
    "no charge": ("lease", lambda e: e.update(charges={})),
    "charges that are none": ("lease", lambda e: e.update(charges={"owner-b": [-1, 0, 0]})),
    "a list of charges": ("lease", lambda e: e.update(charges=[])),
    "a list for a text": ("close", lambda e: e.update(why=[])),
    "a longer renewal": ("renewal", lambda e: e.update(deadline=e["deadline"] + 1)),
    "a renewal of nothing": ("renewal", lambda e: e.update(lease="sha256:" + "00" * 32)),
    "another job": ("release", lambda e: e.update(job="job-9")),
    "an earlier time": ("release", lambda e: e.update(at=[1, 1])),
    "times out of order": ("release", lambda e: e.update(at=[e["at"][1] + 1, e["at"][1]])),
    "times that are none": ("release", lambda e: e.update(at=["now", "then"])),
    "one time": ("release", lambda e: e.update(at=e["at"][:1])),
    "a field more": ("close", lambda e: e.update(because="of this")),
    "a field less": ("close", lambda e: e.pop("why")),
    "a field of another type": ("close", lambda e: e.update(why=1)),
    "an unknown kind": ("close", lambda e: e.update(kind="open-round")),
    "no kind": ("close", lambda e: e.pop("kind")),
    "the document of another entry": ("lease", lambda e: e.update(lease=e["proposal"])),
    "an amendment by another proposal": (
        "constitution",
        lambda e: e.update(proposal=e["constitution"]),
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_entry_is_found(written: Any, case: str) -> None:
    kind, change = CHANGES[case]
    index = find(written, kind)
    entry = json.loads(written.entries[index])
    change(entry)
    entries = [*written.entries]
    entries[index] = encode(entry)
    with pytest.raises(LogEntryInvalid) as refusal:
        run(written, entries)
    assert refusal.value.details["claim"] == f"entry {index}"


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"kind":1e999}', b'{ "kind":"close"}', b"\xff"]
)
def test_what_is_no_entry_is_found(written: Any, data: bytes) -> None:
    with pytest.raises(LogEntryInvalid):
        run(written, [*written.entries, data])


def test_another_encoding_of_an_entry_is_found(written: Any) -> None:
    entries = [*written.entries]
    entries[3] = json.dumps(json.loads(entries[3])).encode()
    with pytest.raises(LogEntryInvalid, match="Entry 3"):
        run(written, entries)


@pytest.mark.parametrize("kind", ["charter", "boot", "proposal", "grant", "join", "lease", "close"])
def test_a_dropped_entry_is_found(written: Any, kind: str) -> None:
    entries = [*written.entries]
    del entries[find(written, kind)]
    with pytest.raises(LogEntryInvalid):
        run(written, entries)


@pytest.mark.parametrize(
    "kind", ["boot", "proposal", "ballot", "join", "lease", "release", "close"]
)
def test_entries_in_another_order_are_found(written: Any, kind: str) -> None:
    index = find(written, kind)
    entries = [*written.entries]
    entries[index - 1], entries[index] = entries[index], entries[index - 1]
    with pytest.raises(LogEntryInvalid):
        run(written, entries)


def test_an_entry_twice_is_found(written: Any) -> None:
    with pytest.raises(LogEntryInvalid):
        run(written, [*written.entries, written.entries[find(written, "release")]])


def test_entries_under_another_checkpoint_are_found(written: Any) -> None:
    shorter = written.entries[:-1]
    with pytest.raises(LogEntryInvalid, match="checkpoint covers"):
        audit(shorter, written, written.name, written.checkpoint(), attest=written.attest)
    other = sign_checkpoint(written.head(), NoteSigner.generate("council.example/log"))
    with pytest.raises(LogCheckpointInvalid):
        audit(written.entries, written, written.name, other, attest=written.attest)


def test_the_log_of_another_charter_is_found(written: Any) -> None:
    """The same seats sign another charter of the same log: it is not the council that is
    audited."""
    another = replace(written.charter, nonce="c5" * 16)
    seats = [seat.id for seat in written.constitution.seats]
    digest = digest_of(encode(another))
    written.store[digest] = written.signed(another, *seats)
    with pytest.raises(LogEntryInvalid):
        audit(written.entries, written, digest, written.checkpoint(), attest=written.attest)
    with pytest.raises(DocumentNotFound):
        audit(written.entries, written, "sha256:" + "00" * 32, b"", attest=written.attest)


def test_a_release_that_the_worker_did_not_sign_is_found(written: Any) -> None:
    world = written
    lease = world.lease(world.ticket(), world.join("worker 9"), "job-9")["lease"]
    world.release(lease, signer=world.join("worker 10"))
    with pytest.raises(LogEntryInvalid, match="not signed by the one it names"):
        run(world)


def test_a_lease_that_the_authority_did_not_sign_is_found(written: Any) -> None:
    index = find(written, "lease")
    digest = json.loads(written.entries[index])["lease"]
    value = json.loads(written.store[digest])
    value["signatures"][0]["sig"] = "AAAA" * 20
    written.store[digest] = json.dumps(value).encode()
    with pytest.raises(LogEntryInvalid, match=f"Entry {index} "):
        run(written)


@pytest.mark.parametrize(
    "field", ["released", "judged_at", "approved_by", "evidence", "marks", "purpose", "privacy"]
)
def test_a_receipt_that_says_something_else_is_found(written: Any, field: str) -> None:
    changed: dict[str, Any] = {"released": 1, "judged_at": 1, "approved_by": (), "evidence": "sgx"}
    changed |= {"marks": (), "purpose": "other", "privacy": Charged({}, declared=False)}
    world = written
    lease = world.lease(world.ticket(), world.join("worker 9"), "job-9")["lease"]

    def changing(receipt: Receipt) -> Receipt:
        return replace(receipt, predicate=replace(receipt.predicate, **{field: changed[field]}))

    world.release(lease, receipt=changing)
    with pytest.raises(LogEntryInvalid, match="receipt"):
        run(world)


def test_evidence_that_is_not_genuine_is_found(written: Any) -> None:
    entry = json.loads(written.entries[find(written, "join")])
    boot = json.loads(written.entries[find(written, "boot")])
    written.store[entry["evidence"]] = written.store[boot["evidence"]]
    with pytest.raises(LogEntryInvalid, match="hardware"):
        run(written)


def test_a_document_under_another_digest_is_found(written: Any) -> None:
    index = find(written, "ballot")
    digest = json.loads(written.entries[index])["ballot"]
    other = json.loads(written.entries[find(written, "ballot", 1)])["ballot"]
    written.store[digest] = written.store[other]
    with pytest.raises(LogEntryInvalid):
        run(written)


def test_a_grant_beyond_its_terms_is_found(ready: Any) -> None:
    """An authority that leased all the same would be caught."""
    ready.lease(ready.ticket(), ready.join())
    entry = json.loads(ready.entries[find(ready, "grant")])
    narrow = ready.grant(parameters={"epochs": Exactly(99), "model": Exactly("linear")})
    envelope = sign(narrow, ready.key("owner-b"))
    forged = {**entry, "grant": digest_of(encode(narrow)), "nonce": narrow.header.nonce}
    ready.store[forged["grant"]] = envelope
    entries = [*ready.entries]
    entries[find(ready, "grant")] = encode(forged)
    lease = json.loads(entries[find(ready, "lease")])
    entries[find(ready, "lease")] = encode({**lease, "grants": [forged["grant"]]})
    with pytest.raises(LogEntryInvalid):
        run(ready, entries)
