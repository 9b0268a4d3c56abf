# SPDX-License-Identifier: Apache-2.0
"""Documents that are not quite documents, at every door of a real host that takes one."""

import base64
import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from placet.client import Keys
from placet.governance.codec import encode
from placet.governance.documents import (
    Amendment,
    Ballot,
    Charter,
    Constitution,
    Delete,
    Grant,
    Header,
    Seen,
    Stop,
    new_header,
)
from placet.governance.envelope import (
    Document,
    inspect,
    parse_envelope,
    payload_type,
    sign,
    sign_payload,
)
from placet.governance.evaluate import Ticket
from placet.governance.keys import SigningKey
from placet.proto.limits import KIB, MAX_DOCUMENT
from placet.proto.v1 import blobs_pb2, common_pb2, governance_pb2, keys_pb2, runs_pb2


class Doors:
    """A proposal, a grant and an amendment in the log; a document for each door, and the way
    through it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.data = world.data()
        bundle = world.bundle(world.copy)
        self.blob = bundle.blob
        self.job = world.job(bundle.digest, {"data": self.data})
        self.proposal = world.propose(self.job, uses=5)
        self.logged = world.client.council.ticket(self.proposal).proposal
        newest = world.client.council.verify().newest
        self.constitution = newest.digest
        self.successor = dataclasses.replace(
            newest.document, version=2, predecessor=newest.digest, nonce=os.urandom(16).hex()
        )
        body = Amendment(parse_envelope(sign(self.successor, SigningKey.generate())).digest)
        amend = world.client.council.propose(world.analyst, body, **world.window()).digest
        world.vote(amend, "ada", "ben")
        self.amend_ticket: Ticket = world.client.council.ticket(amend)

    def document(self, door: str) -> tuple[Document, Keys]:
        """What would pass the door, and whose signature it takes."""
        world = self.world
        ada, owner, analyst = world.seats["ada"], world.owner, world.analyst
        match door:
            case "propose" | "submit":
                return world.draft(self.job), analyst
            case "vote" | "ballot in a ticket":
                return world.ballot("ada", self.proposal), ada
            case "stop" | "withdraw":
                return Stop(world.header(), "ada", "pause", self.proposal, ""), ada
            case "withdraw":
                return Stop(world.header(), "owner", "withdraw", self.data.grant, ""), owner
            case "provision":
                made = world.client.grants.sign(owner, self.data.object.descriptor, world.terms())
                return inspect(made, Grant), owner
            case "amend":
                return self.successor, ada
            case "delete":
                return Delete(world.header(), self.blob), analyst
            case _:
                raise AssertionError(door)

    def send(self, door: str, envelope: bytes) -> Any:
        """Hand it in by gRPC; the SDK would not."""
        stubs, metadata = self.world.stubs, self.world.metadata
        document = governance_pb2.DocumentRequest(envelope=envelope)
        match door:
            case "propose":
                return stubs.governance.Propose(document, metadata=metadata)
            case "vote":
                return stubs.governance.Vote(document, metadata=metadata)
            case "stop" | "withdraw":
                return stubs.governance.Stop(document, metadata=metadata)
            case "provision":
                grant = keys_pb2.ProvisionRequest(grant=envelope, key_envelope=b"x")
                return stubs.keys.Provision(grant, metadata=metadata)
            case "submit" | "ballot in a ticket":
                ticket = common_pb2.Ticket(proposal=envelope)
                if door != "submit":
                    ticket = common_pb2.Ticket(proposal=self.logged, ballots=[envelope])
                submit = runs_pb2.StartRequest(ticket=ticket, request_id=os.urandom(16))
                return stubs.runs.Start(submit, metadata=metadata)
            case "amend":
                ticket = common_pb2.Ticket(
                    proposal=self.amend_ticket.proposal, ballots=self.amend_ticket.ballots
                )
                amend = governance_pb2.AmendRequest(ticket=ticket, constitution=envelope)
                return stubs.governance.Amend(amend, metadata=metadata)
            case "delete":
                delete = blobs_pb2.DeleteBlobRequest(id=self.blob, envelope=envelope)
                return stubs.blobs.Delete(delete, metadata=metadata)
            case _:
                raise AssertionError(door)


DOORS = [
    "propose",
    "vote",
    "stop",
    "withdraw",
    "provision",
    "submit",
    "ballot in a ticket",
    "amend",
    "delete",
]


@pytest.fixture(scope="module")
def doors(world: Any) -> Doors:
    return Doors(world)


def with_field(envelope: bytes, name: str, value: object) -> bytes:
    return json.dumps({**json.loads(envelope), name: value}).encode()


def doubled(data: bytes) -> bytes:
    """The first field of an object twice."""
    name = next(iter(json.loads(data)))
    return data[:-1] + f',"{name}":{json.dumps(json.loads(data)[name])}}}'.encode()


def short_of(data: bytes) -> bytes:
    value = json.loads(data)
    value.popitem()
    return json.dumps(value).encode()


# What the bytes of the envelope become.
OUTSIDE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda e: b"", "DOCUMENT_MALFORMED"),
    "no JSON": (lambda e: b"\x80\x81" + e, "DOCUMENT_MALFORMED"),
    "a list": (lambda e: b"[" + e + b"]", "DOCUMENT_MALFORMED"),
    "nested without end": (lambda e: b'{"a":' * 50_000, "DOCUMENT_MALFORMED"),
    "truncated by a byte": (lambda e: e[:-1], "DOCUMENT_MALFORMED"),
    "truncated by half": (lambda e: e[: len(e) // 2], "DOCUMENT_MALFORMED"),
    "with something after it": (lambda e: e + b"{}", "DOCUMENT_MALFORMED"),
    "with an unknown field": (lambda e: with_field(e, "more", 1), "DOCUMENT_MALFORMED"),
    "with a field twice": (doubled, "DOCUMENT_MALFORMED"),
    "without a field": (short_of, "DOCUMENT_MALFORMED"),
    "without signatures": (lambda e: with_field(e, "signatures", []), "DOCUMENT_MALFORMED"),
    "no base64": (lambda e: with_field(e, "payload", "*"), "DOCUMENT_MALFORMED"),
    "oversized": (lambda e: e + b" " * (MAX_DOCUMENT + 1 - len(e)), "DOCUMENT_TOO_LARGE"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", OUTSIDE)
def test_an_envelope_that_is_not_quite_one(doors: Doors, door: str, case: str) -> None:
    document, keys = doors.document(door)
    change, reason = OUTSIDE[case]
    envelope = change(sign(document, keys.signing))
    doors.world.refused(lambda: doors.send(door, envelope), reason, "expected", "actual")


# What the payload becomes, under a good signature.
INSIDE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda p: b"",
    "truncated": lambda p: p[:-1],
    "with an unknown field": lambda p: with_field(p, "more", 1),
    "with a field twice": doubled,
    "without a field": short_of,
    "with a number that is no integer": lambda p: with_field(p, "nonce", 1.5),
    "with infinity": lambda p: p[:-1] + b',"more":Infinity}',
    "with a deep nest": lambda p: with_field(p, "more", json.loads("[" * 500 + "]" * 500)),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", INSIDE)
def test_a_payload_that_is_not_quite_a_document(doors: Doors, door: str, case: str) -> None:
    document, keys = doors.document(door)
    payload = INSIDE[case](encode(document))
    envelope = sign_payload(payload, payload_type(type(document)), keys.signing)
    call = lambda: doors.send(door, envelope)
    doors.world.refused(call, "DOCUMENT_MALFORMED", "claim", "expected", "actual")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", [payload_type(Charter), "text/plain", "", "x" * 500, "a\u202eb"])
def test_another_payload_type(doors: Doors, door: str, kind: str) -> None:
    document, keys = doors.document(door)
    envelope = sign_payload(encode(document), kind, keys.signing)
    call = lambda: doors.send(door, envelope)
    refusal = doors.world.refused(call, "PAYLOAD_TYPE", "claim", "expected", "actual")
    assert str(refusal).isprintable()
    assert "vnd.placet" in refusal.details["expected"]


@pytest.mark.parametrize("door", DOORS)
def test_signed_by_another(doors: Doors, door: str) -> None:
    document, keys = doors.document(door)
    stranger, other = SigningKey.generate(), doors.world.seats["cleo"].signing
    good = json.loads(sign(document, keys.signing))
    borrowed = json.loads(sign(document, stranger))["signatures"][0]["sig"]
    good["signatures"][0]["sig"] = borrowed  # the right key id over a wrong signature
    envelopes = [sign(document, stranger), json.dumps(good).encode()]
    if not isinstance(document, Constitution):  # which any of its seats may hand in
        envelopes.append(sign(document, other))
    for envelope in envelopes:
        call = lambda envelope=envelope: doors.send(door, envelope)
        doors.world.refused(call, "SIGNATURE_INVALID", "claim", "expected", "actual")


@pytest.mark.parametrize("door", DOORS)
def test_a_payload_changed_under_its_signature(doors: Doors, door: str) -> None:
    document, keys = doors.document(door)
    envelope = json.loads(sign(document, keys.signing))
    payload = base64.b64decode(envelope["payload"])
    # Still JSON, still the same document but for its bytes: signatures are over bytes.
    envelope["payload"] = base64.b64encode(payload + b" ").decode()
    call = lambda: doors.send(door, json.dumps(envelope).encode())
    doors.world.refused(call, "SIGNATURE_INVALID", "claim", "expected", "actual")


def elsewhere(header: Header) -> Header:
    return new_header("sha256:" + os.urandom(32).hex(), header.seen)


# A header that is of another log, of another history of this log, or was used before.
HEADERS: dict[str, tuple[Callable[[Doors, Header], Header], str]] = {
    "of another log": (lambda doors, h: elsewhere(h), "OTHER_LOG"),
    "replayed": (
        lambda doors, h: Header(inspect_header(doors.logged).nonce, h.charter, h.seen),
        "DOCUMENT_REPLAYED",
    ),
    "of a fork": (
        lambda doors, h: new_header(h.charter, Seen(h.seen.size, "sha256:" + "00" * 32)),
        "SEEN_UNKNOWN",
    ),
    "of a longer log": (
        lambda doors, h: new_header(h.charter, Seen(h.seen.size + 1, h.seen.root)),
        "SEEN_UNKNOWN",
    ),
}
# A constitution has no header; a deletion is the host's own affair and is checked for the log
# alone.
WITH_HEADER = [door for door in DOORS if door not in ("amend", "delete")]


def inspect_header(envelope: bytes) -> Header:
    payload = json.loads(parse_envelope(envelope).payload)["header"]
    return Header(payload["nonce"], payload["charter"], Seen(**payload["seen"]))


@pytest.mark.parametrize("door", WITH_HEADER)
@pytest.mark.parametrize("case", HEADERS)
def test_a_document_of_another_log_or_replayed(doors: Doors, door: str, case: str) -> None:
    document, keys = doors.document(door)
    change, reason = HEADERS[case]
    good: Any = document
    envelope = sign(dataclasses.replace(good, header=change(doors, good.header)), keys.signing)
    call = lambda: doors.send(door, envelope)
    doors.world.refused(call, reason, "claim", "expected", "actual")


def test_a_deletion_for_another_log(doors: Doors) -> None:
    document = Delete(elsewhere(doors.world.header()), doors.blob)
    envelope = sign(document, doors.world.analyst.signing)
    call = lambda: doors.send("delete", envelope)
    doors.world.refused(call, "NOT_PERMITTED", "claim", "expected")
    assert doors.world.client.blobs.stat(doors.blob).complete


@pytest.mark.parametrize("door", ["propose", "vote", "stop", "provision"])
def test_the_very_same_document_twice(doors: Doors, door: str) -> None:
    world = doors.world
    if door == "provision":
        made = world.client.grants.sign(world.owner, doors.data.object.descriptor, world.terms())
        key = doors.data.object.open_key(world.owner.hpke)
        world.client.grants.provision(world.owner, made, key)
        again = lambda: world.client.grants.provision(world.owner, made, key)
    else:
        document, keys = doors.document(door)
        if door == "stop":  # of a proposal that nobody needs any more
            document = Stop(world.header(), "ada", "pause", world.propose(doors.job), "")
        envelope = sign(document, keys.signing)
        doors.send(door, envelope)
        again = lambda: doors.send(door, envelope)
    world.refused(again, "DOCUMENT_REPLAYED", "claim", "expected", "actual")


def test_a_deletion_twice(doors: Doors) -> None:
    world = doors.world
    blob, owner = os.urandom(16).hex(), world.analyst.signing
    envelope = sign(Delete(world.header(), blob), owner)
    request = blobs_pb2.DeleteBlobRequest(id=blob, envelope=envelope)
    world.client.blobs.put(blob, b"bytes", owner=owner.public)
    world.stubs.blobs.Delete(request, metadata=world.metadata)
    world.client.blobs.put(blob, b"bytes", owner=owner.public)
    call = lambda: world.stubs.blobs.Delete(request, metadata=world.metadata)
    world.refused(call, "DOCUMENT_REPLAYED")
    assert world.client.blobs.stat(blob).complete


# An amendment is the largest message there is: gRPC itself refuses what is above its bound.
MESSAGES: dict[str, Callable[[Any, bytes], Any]] = {
    "Propose": lambda stubs, text: stubs.governance.Propose(
        governance_pb2.DocumentRequest(envelope=text), metadata=stubs.metadata
    ),
    "Stop": lambda stubs, text: stubs.governance.Stop(
        governance_pb2.DocumentRequest(envelope=text), metadata=stubs.metadata
    ),
    "Provision": lambda stubs, text: stubs.keys.Provision(
        keys_pb2.ProvisionRequest(grant=text), metadata=stubs.metadata
    ),
    "Submit": lambda stubs, text: stubs.runs.Start(
        runs_pb2.StartRequest(ticket=common_pb2.Ticket(ballots=[text] * 8), request_id=b"r" * 16),
        metadata=stubs.metadata,
    ),
    "Delete": lambda stubs, text: stubs.blobs.Delete(
        blobs_pb2.DeleteBlobRequest(envelope=text), metadata=stubs.metadata
    ),
    "Found": lambda stubs, text: stubs.governance.Found(
        governance_pb2.FoundRequest(charter=text * 2), metadata=stubs.metadata
    ),
}


@pytest.mark.parametrize("method", MESSAGES)
def test_a_message_above_its_bound(doors: Doors, method: str) -> None:
    stubs = doors.world.stubs
    stubs.metadata = doors.world.metadata
    call = lambda: MESSAGES[method](stubs, bytes(MAX_DOCUMENT + 8 * KIB))
    doors.world.refused(call, "MESSAGE_TOO_LARGE", "claim", "expected", "actual")


def test_a_founding_that_is_not_quite_one(new_world: Any) -> None:
    """Before entry 0 there is no log: whatever was refused, the council can still be founded,
    once."""
    world = new_world().start(founding=False)
    draft = unsigned = world.client.founding.draft(world.constitution())
    for keys in world.seats.values():
        unsigned, draft = draft, world.client.founding.sign(draft, keys)
    constitution, charter = draft.constitution_envelope, draft.charter_envelope

    def found(constitution: bytes, charter: bytes) -> Callable[[], Any]:
        request = governance_pb2.FoundRequest(constitution=constitution, charter=charter)
        return lambda: world.stubs.governance.Found(request, metadata=world.metadata)

    other = sign(world.constitution(), *(keys.signing for keys in world.seats.values()))
    cases = [
        (found(b"", charter), "DOCUMENT_MALFORMED"),
        (found(constitution, charter[:-1]), "DOCUMENT_MALFORMED"),
        (found(with_field(constitution, "more", 1), charter), "DOCUMENT_MALFORMED"),
        (found(constitution, doubled(charter)), "DOCUMENT_MALFORMED"),
        (found(constitution + b" " * MAX_DOCUMENT, charter), "DOCUMENT_TOO_LARGE"),
        (found(charter, constitution), "PAYLOAD_TYPE"),
        (found(unsigned.constitution_envelope, charter), "SIGNATURE_INVALID"),
        (found(constitution, unsigned.charter_envelope), "SIGNATURE_INVALID"),
        (found(other, charter), "OTHER_CONSTITUTION"),
    ]
    for call, reason in cases:
        world.check_refusal(world.refusal_of(call), reason, "expected", "actual")
        world.check_refusal(world.refusal_of(world.client.log.checkpoint), "NOT_FOUNDED")
    world.client.founding.found(draft)
    world.refused(found(constitution, charter), "ALREADY_FOUNDED")
    world.stop()


def test_every_ballot_is_a_ballot_of_the_ticket(doors: Doors) -> None:
    """The doors above passed for the right reason: what they changed was all that was wrong."""
    world = doors.world
    good = world.ballot("ada", doors.proposal, sequence=7)
    assert isinstance(good, Ballot)
    doors.send("vote", sign(good, world.seats["ada"].signing))
    for door in ("propose", "stop", "amend", "delete"):
        document, keys = doors.document(door)
        doors.send(door, sign(document, keys.signing))
