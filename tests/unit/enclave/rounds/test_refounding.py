# SPDX-License-Identifier: Apache-2.0
"""A host empties its store and founds the same authority once more, with seats of its own under the
same names."""

import secrets
from dataclasses import replace
from typing import Any

import pytest

from placet.client.trust.verify import (
    VerifiedCouncil,
    verify_by_log_key,
    verify_council,
    verify_receipt,
)
from placet.governance.codec import parse_object
from placet.governance.keys import SigningKey
from placet.governance.log import (
    LogProof,
    Tree,
    VerifierKey,
    leaf_hash,
    verify_checkpoint,
)
from placet.proto.v1 import enclaves_pb2
from placet.refusals import Refused, SignatureInvalid
from tests.support import rounds
from tests.support.council import Sealed, seal


def verified(council: Any) -> VerifiedCouncil:
    """A council as its members have verified it."""
    founding = council.founding()
    return verify_council(founding.charter, [founding.constitution])


async def refused(work: Any) -> str:
    with pytest.raises(Refused) as refusal:
        await work
    return refusal.value.reason


async def found_again(stage: Any, *, owner: bool = True) -> None:
    """Found a council whose seats and clients have keys that the host has just made; the owner too,
    unless kept."""
    await stage.end()
    host, council = stage.host, stage.council
    host.entries, host.documents, host.checkpoint = [], {}, b""
    council.seats = {name: SigningKey.generate() for name in council.seats}
    council.clients = {name: SigningKey.generate() for name in council.clients}
    council.submitter = SigningKey.generate()
    council.owner = SigningKey.generate() if owner else council.owner
    keys = {**council.clients, "engineer": council.submitter, "hospital": council.owner}
    old = council.constitution
    council.constitution = replace(
        old,
        nonce=secrets.token_hex(16),
        seats=tuple(replace(seat, keys=(council.seats[seat.id].public,)) for seat in old.seats),
        parties=tuple(replace(party, keys=(keys[party.id].public,)) for party in old.parties),
    )
    await stage.found()


async def released(stage: Any) -> tuple[bytes, bytes, bytes]:
    """Receipt, proof and entry of a round that everybody of the roster took part in."""
    host = stage.host
    federation = rounds.Federation(stage, None)
    await federation.open()
    await federation.send_all(*rounds.ORGANISATIONS)
    await federation.close(1)
    made = await federation.aggregate(1)
    size = verify_checkpoint(host.checkpoint, VerifierKey.from_text(stage.council.log)).size
    path = Tree(map(leaf_hash, host.entries)).inclusion_proof(made.index, size)
    proof = LogProof(made.index, tuple(path), host.checkpoint)
    return made.receipt, proof.to_bytes(), host.entries[made.index]


def test_another_council_of_the_same_root_secret_has_another_log_key(
    scene: Any, federations: Any
) -> None:
    async def story(stage: Any) -> None:
        real, root = verified(stage.council), stage.host.secrets["root"]
        stage.host.secrets = {"root": root}
        await found_again(stage)
        assert stage.host.secrets["root"] == root
        made_up = verified(stage.council)
        assert made_up.log != real.log
        assert made_up.charter.digest != real.charter.digest

        receipt = await released(stage)
        said = verify_receipt(*receipt, made_up).receipt.predicate
        assert set(said.approved_by) <= {seat.id for seat in real.newest.document.seats}
        with pytest.raises(SignatureInvalid):
            verify_receipt(*receipt, real)
        with pytest.raises(SignatureInvalid):
            verify_by_log_key(*receipt, real.log)

    scene(story, federations)


def test_keys_of_the_real_council_stay_shut_in_another(scene: Any, federations: Any) -> None:
    """The host keeps every wrapped secret, and the root secret under which they are wrapped."""

    async def story(stage: Any) -> None:
        host, sealed = stage.host, seal(b"plain")
        request = stage.council.provision(sealed, stage.authority)
        await host.ask(enclaves_pb2.KIND_PROVISION, request)
        [grant] = [e["grant"] for e in map(parse_object, host.entries) if e["kind"] == "grant"]
        kept = dict(host.secrets)
        assert f"grant/{grant}" in kept
        await found_again(stage, owner=False)  # with the real owner's public key
        size = len(host.entries)
        assert await refused(host.ask(enclaves_pb2.KIND_PROVISION, request)) == "OTHER_LOG"
        # A grant of the host's own, for the real object: it does not know the key that this commits
        # to.
        await found_again(stage)
        guessed = Sealed(sealed.descriptor, seal(b"").key, sealed.data)
        assert await refused(stage.provision(guessed)) == "KEY_COMMITMENT_MISMATCH"
        assert len(host.entries) == size
        assert host.secrets[f"grant/{grant}"] == kept[f"grant/{grant}"]

    scene(story, federations)
