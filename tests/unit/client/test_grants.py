# SPDX-License-Identifier: Apache-2.0
"""Owners: sealing at home, granting, and provisioning only to an authority that was checked."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.client import (
    Client,
    FileRefused,
    GrantTerms,
    Keys,
    SealedObject,
    open_file,
    seal_file,
)
from placet.governance.documents import Constitution, Evidence, Grant
from placet.governance.envelope import inspect
from placet.refusals import (
    AppraisalRefused,
    EvidenceBinding,
    KeyCommitmentMismatch,
    ObjectRootMismatch,
    Refusal,
    SegmentForged,
    SignatureInvalid,
)
from placet.sealing import StreamKey
from tests.support.inside.relay import Call


def terms(**changes: Any) -> GrantTerms:
    given = GrantTerms(
        purposes=("research",),
        programs="any",
        parameters="any",
        recipients="any",
        combine_with="any",
        evidence=None,
        witnesses="any",
        approvals=(),
        privacy="any",
        uses=3,
        expires=int(time.time()) + 1000,
        recoverable=False,
    )
    return replace(given, **changes)


@pytest.fixture
def sealed(people: dict[str, Keys], tmp_path: Path) -> SealedObject:
    """A sealed file at tmp_path / "rows.sealed"."""
    (tmp_path / "rows").write_bytes(os.urandom(200_000))
    owner = people["owner"].hpke.public
    return seal_file(
        tmp_path / "rows", tmp_path / "rows.sealed", owner, kind="dataset", labels=("health",)
    )


def test_a_sealed_file_opens_again(
    sealed: SealedObject, people: dict[str, Keys], tmp_path: Path
) -> None:
    again = SealedObject.from_bytes(sealed.to_bytes())
    assert again == sealed
    told: list[tuple[int, int]] = []
    open_file(
        tmp_path / "rows.sealed",
        tmp_path / "back",
        again,
        people["owner"].hpke,
        lambda done, total: told.append((done, total)),
    )
    assert (tmp_path / "back").read_bytes() == (tmp_path / "rows").read_bytes()
    assert told[-1] == (200_000, 200_000)
    with pytest.raises(Refusal):
        sealed.open_key(people["alice"].hpke)


def test_a_changed_file_leaves_nothing(
    sealed: SealedObject, people: dict[str, Keys], tmp_path: Path
) -> None:
    path = tmp_path / "rows.sealed"
    data = bytearray(path.read_bytes())
    data[100_000] ^= 1
    path.write_bytes(data)
    with pytest.raises((SegmentForged, ObjectRootMismatch)):
        open_file(path, tmp_path / "back", sealed, people["owner"].hpke)
    assert not list(tmp_path.glob("*back*"))


def test_no_file_no_object(people: dict[str, Keys], tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        seal_file(
            tmp_path / "none", tmp_path / "s", people["owner"].hpke.public, kind="x", labels=()
        )
    assert not list(tmp_path.iterdir())
    for content in (b"", b"{}", b'{"descriptor": 1, "key": 2}'):
        with pytest.raises(FileRefused):
            SealedObject.from_bytes(content)


def test_the_authority_gets_the_key_under_the_grant(
    founded: Client, sealed: SealedObject, people: dict[str, Keys], host: Any
) -> None:
    keys = people["owner"]
    envelope = founded.grants.sign(keys, sealed.descriptor, terms())
    key = sealed.open_key(keys.hpke)
    recorded = founded.grants.provision(keys, envelope, key)
    held = host.do(lambda: host.core.store.open_grant(recorded.digest))
    assert held.to_bytes() == key.to_bytes()
    assert founded.council.stop(keys, "withdraw", recorded.digest).index == recorded.index + 1


def test_the_grants_own_policy_decides(
    founded: Client,
    sealed: SealedObject,
    constitution: Constitution,
    people: dict[str, Keys],
    host: Any,
) -> None:
    keys, evidence = people["owner"], constitution.evidence
    strict = Evidence({**evidence.authority, "measurements": ["dd" * 32]}, evidence.worker)
    envelope = founded.grants.sign(keys, sealed.descriptor, terms(evidence=strict))
    assert inspect(envelope, Grant).evidence == strict
    with pytest.raises(AppraisalRefused):
        founded.grants.provision(keys, envelope, sealed.open_key(keys.hpke))
    assert "Keys.Provision" not in host.called


def test_old_evidence_is_not_taken(
    founded: Client, sealed: SealedObject, people: dict[str, Keys], host: Any
) -> None:
    async def replay(call: Call) -> Any:
        call.request.nonce = bytes(32)
        return await call.answer()

    host.relay.lie("Keys.GetEvidence", replay)
    keys = people["owner"]
    envelope = founded.grants.sign(keys, sealed.descriptor, terms())
    with pytest.raises(EvidenceBinding):
        founded.grants.provision(keys, envelope, sealed.open_key(keys.hpke))
    assert "Keys.Provision" not in host.called


def test_only_the_objects_own_key_under_ones_own_grant(
    founded: Client, sealed: SealedObject, people: dict[str, Keys], host: Any
) -> None:
    keys = people["owner"]
    envelope = founded.grants.sign(keys, sealed.descriptor, terms())
    with pytest.raises(KeyCommitmentMismatch):
        founded.grants.provision(keys, envelope, StreamKey.generate())
    with pytest.raises(SignatureInvalid):
        founded.grants.provision(people["alice"], envelope, sealed.open_key(keys.hpke))
    assert "Keys.Provision" not in host.called
