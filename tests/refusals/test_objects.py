# SPDX-License-Identifier: Apache-2.0
"""Sealed objects that are not what was granted: other keys, and blobs that are missing, short, long
or in another order."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from placet.client import Client
from placet.client.data.objects import seal_file
from placet.governance.contexts import provision_info
from placet.governance.documents import Output
from placet.governance.envelope import parse_envelope
from placet.proto.v1 import keys_pb2
from placet.sealing import HPKEPublicKey, StreamKey, seal_envelope

SEGMENT = 64 * 1024


def provision(world: Any, grant: bytes, envelope: bytes) -> Callable[[], Any]:
    request = keys_pb2.ProvisionRequest(grant=grant, key_envelope=envelope)
    return lambda: world.stubs.keys.Provision(request, metadata=world.metadata)


def test_a_key_that_is_not_the_object_s(world: Any) -> None:
    """The SDK finds out before anything is sent; the authority when somebody sends it all the
    same."""
    made = world.seal()
    grant = world.client.grants.sign(world.owner, made.descriptor, world.terms())
    info = provision_info(parse_envelope(grant).digest)
    authority = HPKEPublicKey.from_text(world.client.authority.verify().attested.identity.hpke)
    other, key = StreamKey.generate(), made.open_key(world.owner.hpke)
    call = lambda: world.client.grants.provision(world.owner, grant, other)
    world.refused(call, "KEY_COMMITMENT_MISMATCH")
    cases = [
        (seal_envelope(other.to_bytes(), authority, info), "KEY_COMMITMENT_MISMATCH"),
        (seal_envelope(key.to_bytes(), authority, provision_info("x")), "ENVELOPE_FORGED"),
        (seal_envelope(key.to_bytes(), world.owner.hpke.public, info), "ENVELOPE_KEY_MISMATCH"),
        (seal_envelope(key.to_bytes()[:-1], authority, info), "KEY_MALFORMED"),
        (seal_envelope(key.to_bytes(), authority, info)[:-1], "ENVELOPE_FORGED"),
        (b"", "ENVELOPE_MALFORMED"),
    ]
    for envelope, reason in cases:
        world.refused(provision(world, grant, envelope), reason)
    world.client.grants.provision(world.owner, grant, key)  # the grant was not spoilt by any of it


def test_an_object_under_a_label_that_the_constitution_does_not_know(world: Any) -> None:
    plain = world.folder / "plain"
    plain.write_bytes(b"x")
    made = seal_file(
        plain, world.folder / "s", world.owner.hpke.public, kind="dataset", labels=("helth",)
    )
    grant = world.client.grants.sign(world.owner, made.descriptor, world.terms())
    call = lambda: world.client.grants.provision(
        world.owner, grant, made.open_key(world.owner.hpke)
    )
    world.refused(call, "DOCUMENT_MALFORMED", "expected", claim="object.labels", actual="helth")


def reordered(sealed: bytes) -> bytes:
    return (
        sealed[:SEGMENT]
        + sealed[2 * SEGMENT : 3 * SEGMENT]
        + sealed[SEGMENT : 2 * SEGMENT]
        + sealed[3 * SEGMENT :]
    )


BLOBS: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "missing": (lambda s: None, "STREAM_LENGTH"),
    "empty": (lambda s: b"", "STREAM_LENGTH"),
    "short by a byte": (lambda s: s[:-1], "STREAM_LENGTH"),
    "short by a segment": (lambda s: s[:-SEGMENT], "STREAM_LENGTH"),
    "long by a byte": (lambda s: s + b"x", "STREAM_LENGTH"),
    "long by a segment": (lambda s: s + bytes(SEGMENT), "STREAM_LENGTH"),
    "reordered": (reordered, "OBJECT_ROOT_MISMATCH"),
    "flipped": (
        lambda s: s[:100_000] + bytes([s[100_000] ^ 1]) + s[100_001:],
        "OBJECT_ROOT_MISMATCH",
    ),
    "another object": (lambda s: os.urandom(len(s)), "OBJECT_ROOT_MISMATCH"),
}


@pytest.mark.parametrize("case", BLOBS)
def test_a_blob_that_is_not_the_object(world: Any, case: str) -> None:
    """By the owner's own means: a blob is deleted, and put again as something else."""
    data = world.data()
    change, reason = BLOBS[case]
    changed, blob = change(data.sealed.read_bytes()), data.object.descriptor.id
    world.client.blobs.delete(blob, world.owner)
    if changed is not None:
        world.client.blobs.put(blob, changed)
    job = world.job(world.bundle(world.copy).digest, {"data": data})
    ended = world.failed(world.ticket(job), reason)
    if reason == "STREAM_LENGTH":
        world.check_refusal(ended.refusal, reason, "claim", "expected", "actual")


# Of a longer blob the analyst fetches what the receipt names, which is the whole of the object.
@pytest.mark.parametrize("case", [c for c in BLOBS if not c.startswith(("long", "another"))])
def test_a_result_that_is_not_what_was_released(world: Any, tmp_path: Path, case: str) -> None:
    """The analyst's own proof against the host: nothing of it is opened, and asking again changes
    nothing."""
    data = world.data(b"r" * 300)
    bundle = world.bundle(world.copy).digest
    job = world.job(bundle, {"data": data}, outputs={"out": Output(4 * SEGMENT)})
    ended = world.client.runs.wait(world.client.runs.start(world.ticket(job)).id)
    receipt, _, _ = world.client.jobs.receipt(ended.id, "analyst")
    blob = receipt.receipt.predicate.outputs["out"].id
    path = world.client.blobs.get(blob, tmp_path / "sealed")
    change, reason = BLOBS[case]
    changed = change(path.read_bytes())
    world.client.blobs.delete(blob, world.analyst)
    if changed is not None:
        world.client.blobs.put(blob, changed)
    with world.unchanged():
        folder = tmp_path / "result"
        refusal = world.refusal_of(
            lambda: world.client.jobs.result(ended.id, world.analyst, folder)
        )
    # The host's own word where it has fewer bytes than asked for; ours where it has other ones.
    found = refusal.reason
    assert found in (reason, "BLOB_NOT_FOUND", "BLOB_OFFSET"), refusal
    assert not (folder / "out").exists()


def test_a_result_for_somebody_else(world: Any) -> None:
    data = world.data(b"r")
    job = world.job(world.bundle(world.copy).digest, {"data": data})
    ended = world.client.runs.wait(world.client.runs.start(world.ticket(job)).id)
    call = lambda: world.client.jobs.result(ended.id, world.owner, world.folder / "theirs")
    world.refused(call, "RECIPIENT_UNKNOWN", "claim", "expected")
    call = lambda: world.client.jobs.result(
        ended.id, world.owner, world.folder / "theirs", recipient="analyst"
    )
    world.refused(call, "ENVELOPE_KEY_MISMATCH")
    world.refused(lambda: world.client.runs.get("0" * 32), "RUN_NOT_FOUND", "claim")


@pytest.mark.parametrize("length", [6, 10_000, 0])
def test_a_squatter_keeps_nobody_s_bundle_away(world: Any, length: int) -> None:
    """Another principal has put other bytes under the bundle's id, fewer, more, or as many."""
    bundle = world.bundle(f"def main(job): pass  # {length}", put=False)
    with Client.connect(
        world.address, world.pin, memory=world.memory, keys=world.owner
    ) as squatter:
        squatter.blobs.put(bundle.blob, bytes(length or len(bundle.data)))
    assert world.client.blobs.put(bundle.blob, bundle.data).complete
    sink = world.folder / f"bundle-{length}"
    assert world.client.blobs.get(bundle.blob, sink).read_bytes() == bundle.data
