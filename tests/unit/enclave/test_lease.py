# SPDX-License-Identifier: Apache-2.0
"""A worker believes a lease only if every step of `open_lease` holds: each of them fails alone
here."""

import base64
import json
import os
import time
from dataclasses import replace
from typing import Any

import pytest

from placet.attestation import Attested, Genuine
from placet.enclave.peer import BootKeys, Peer
from placet.enclave.worker.joining import Membership
from placet.enclave.worker.lease import OpenedLease, open_lease, read_ticket
from placet.governance.codec import encode
from placet.governance.contexts import lease_info
from placet.governance.documents import Lease, Seen, new_header
from placet.governance.envelope import parse_envelope, sign
from placet.governance.log import (
    Checkpoint,
    LogProof,
    NoteSigner,
    Tree,
    leaf_hash,
    sign_checkpoint,
)
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import LeaseInvalid
from placet.sealing import seal_envelope
from tests.support.council import Council, seal

PROGRAM = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
DEADLINE = 2**33


class World:
    """A log, its authority and one member, with every key at hand, so that anything can be
    signed."""

    def __init__(self) -> None:
        self.council = Council()
        self.signer = NoteSigner("council.test/log", os.urandom(32))
        self.council.log = self.signer.verifier_key.to_text()
        self.authority = BootKeys("authority").of(self.council.log, self.council.name)
        peer = Peer(
            # The lease does not look at claims.
            attested=Attested(Genuine(self.authority.identity, None), ()),  # type: ignore[arg-type]
            hpke=self.authority.hpke.public,
            signing=self.authority.signing.public,
        )
        constitutions = {self.council.digest: self.council.constitution}
        worker = BootKeys("worker").of(self.council.log, self.council.name)
        self.member = Membership(
            worker, peer, self.signer.verifier_key, self.council.name, constitutions
        )
        self.sealed = seal(b"plain")
        self.ticket = self.council.ticket(PROGRAM, {"data": self.sealed.descriptor})

    def lease(self, **changed: Any) -> Lease:
        root = "sha256:" + Tree().root().hex()
        lease = Lease(
            header=new_header(self.council.name, Seen(0, root)),
            boot=self.authority.identity.boot,
            proposal=parse_envelope(self.ticket.proposal).digest,
            constitution=self.council.digest,
            job="j1",
            attempt=1,
            worker=self.member.keys.identity.digest,
            deadline=DEADLINE,
        )
        return replace(lease, **changed)

    def package(
        self,
        lease: Lease | None = None,
        *,
        key: Any = None,
        ticket: Any = None,
        keys: Any = None,
        entry: Any = None,
        signer: NoteSigner | None = None,
    ) -> enclaves_pb2.LeasePackage:
        envelope = sign(lease or self.lease(), key or self.authority.signing)
        digest = parse_envelope(envelope).digest
        data = encode(entry or {"kind": "lease", "lease": digest, "at": [1, 1]})
        signer, tree = signer or self.signer, Tree([leaf_hash(b"{}"), leaf_hash(data)])
        checkpoint = Checkpoint(signer.verifier_key.name, 2, tree.root())
        note = sign_checkpoint(checkpoint, signer)
        plain = keys
        if plain is None:
            secret = base64.b64encode(self.sealed.key.to_bytes()).decode()
            plain = json.dumps({"data": secret}).encode()
        return enclaves_pb2.LeasePackage(
            lease=envelope,
            ticket=ticket or self.ticket,
            entry=data,
            proof=LogProof(1, tree.inclusion_proof(1, 2), note).to_bytes(),
            key_envelope=seal_envelope(plain, self.member.keys.hpke.public, lease_info(digest)),
            constitution=self.council.digest,
        )

    def open(self, package: enclaves_pb2.LeasePackage, **options: Any) -> OpenedLease:
        now = options.get("now", int(time.time()))
        return open_lease(package, self.member, options.get("program", PROGRAM), now)


@pytest.fixture
def world() -> World:
    return World()


def reason(world: World, package: enclaves_pb2.LeasePackage, **options: Any) -> str:
    with pytest.raises(Exception) as error:
        world.open(package, **options)
    return str(getattr(error.value, "reason", repr(error.value)))


def test_a_ticket_read_before_saves_reading_it_and_decides_nothing(world: World) -> None:
    read, now = read_ticket(world.ticket, world.member), int(time.time())
    other = world.council.ticket(PROGRAM, {"data": world.sealed.descriptor})
    for expected in (read, read_ticket(other, world.member)):
        with open_lease(world.package(), world.member, PROGRAM, now, expected) as opened:
            assert opened.proposal.envelope == world.ticket.proposal
    assert reason(world, world.package(ticket=other)) == "LEASE_INVALID"
    with pytest.raises(LeaseInvalid):
        open_lease(world.package(ticket=other), world.member, PROGRAM, now, read)


def test_a_good_lease_opens_and_its_keys_are_wiped_afterwards(world: World) -> None:
    with world.open(world.package()) as opened:
        key = opened.keys["data"]
        assert key.to_bytes() == world.sealed.key.to_bytes()
        assert "data" in repr(opened)
        assert base64.b64encode(world.sealed.key.to_bytes()).decode() not in repr(opened)
    with pytest.raises(ValueError, match="wiped"):
        key.to_bytes()


def test_step_1_signer_boot_log_and_worker(world: World) -> None:
    stranger = BootKeys("authority").of(world.council.log, world.council.name)
    assert reason(world, world.package(key=stranger.signing)) == "SIGNATURE_INVALID"
    assert reason(world, world.package(key=world.member.keys.signing)) == "SIGNATURE_INVALID"
    assert reason(world, world.package(world.lease(boot="0" * 32))) == "LEASE_INVALID"
    assert reason(world, world.package(world.lease(worker=OTHER))) == "LEASE_INVALID"
    header = new_header(OTHER, Seen(0, "sha256:" + Tree().root().hex()))
    assert reason(world, world.package(world.lease(header=header))) == "OTHER_LOG"
    package = world.package()
    package.lease = b"{}"
    assert reason(world, package) == "DOCUMENT_MALFORMED"


def test_step_2_the_deadline(world: World) -> None:
    now = int(time.time())
    assert reason(world, world.package(world.lease(deadline=now - 1)), now=now) == "LEASE_EXPIRED"
    world.open(world.package(world.lease(deadline=now)), now=now)


def test_step_3_the_entry_is_in_the_log(world: World) -> None:
    forged = NoteSigner("council.test/log", os.urandom(32))
    assert reason(world, world.package(signer=forged)) == "LOG_CHECKPOINT_INVALID"
    other = {"kind": "lease", "lease": OTHER, "at": [1, 1]}
    assert reason(world, world.package(entry=other)) == "LEASE_INVALID"
    package = world.package()
    renewal = {"kind": "renewal", "lease": parse_envelope(package.lease).digest, "at": [1, 1]}
    lease = world.lease()
    renewal["lease"] = parse_envelope(sign(lease, world.authority.signing)).digest
    assert reason(world, world.package(lease, entry=renewal)) == "LEASE_INVALID"
    package.entry = package.entry.replace(b"[1,1]", b"[2,2]")
    assert reason(world, package) == "LOG_PROOF_INVALID"
    package.proof = b"junk"
    assert reason(world, package) == "LOG_PROOF_MALFORMED"


def test_step_4_the_ticket_holds_on_paper_and_is_the_one_leased(world: World) -> None:
    council, data = world.council, {"data": world.sealed.descriptor}
    assert reason(world, world.package(world.lease(constitution=OTHER))) == "LEASE_INVALID"
    another = council.ticket(PROGRAM, data)
    assert reason(world, world.package(ticket=another)) == "LEASE_INVALID"
    assert reason(world, world.package(world.lease(proposal=OTHER))) == "LEASE_INVALID"
    few = common_pb2.Ticket(proposal=world.ticket.proposal, ballots=world.ticket.ballots[:2])
    assert reason(world, world.package(ticket=few)) == "RULE_NOT_MET"
    stranger = Council()
    stranger.log, stranger.constitution = council.log, council.constitution
    forged = common_pb2.Ticket(
        proposal=world.ticket.proposal, ballots=stranger.ballots(world.ticket.proposal)
    )
    assert reason(world, world.package(ticket=forged)) == "SIGNATURE_INVALID"
    late = int(time.time()) + 20_000
    assert reason(world, world.package(), now=late) == "TICKET_EXPIRED"


def test_step_4_only_under_the_newest_constitution_that_we_hold(world: World) -> None:
    newer = Council()
    both = {**world.member.constitutions, newer.digest: newer.constitution}
    world.member = replace(world.member, constitutions=both)
    assert reason(world, world.package()) == "LEASE_INVALID"


def test_step_5_the_program_is_ours(world: World) -> None:
    assert reason(world, world.package(), program=OTHER) == "LEASE_INVALID"


def test_step_6_the_keys(world: World) -> None:
    for plain in (b"", b"[]", b'{"data":1}', b'{"data":"???"}', b"{}", b'{"data":"","more":""}'):
        assert reason(world, world.package(keys=plain)) in ("LEASE_INVALID", "KEY_MALFORMED")
    other = base64.b64encode(seal(b"x").key.to_bytes()).decode()
    wrong = json.dumps({"data": other}).encode()
    assert reason(world, world.package(keys=wrong)) == "KEY_COMMITMENT_MISMATCH"
    package = world.package()
    package.key_envelope = world.package().key_envelope  # of another lease
    assert reason(world, package) == "ENVELOPE_FORGED"
    elsewhere = World()
    package.key_envelope = elsewhere.package().key_envelope  # to another worker
    assert reason(world, package) == "ENVELOPE_KEY_MISMATCH"
