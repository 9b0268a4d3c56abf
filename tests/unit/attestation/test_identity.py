# SPDX-License-Identifier: Apache-2.0
"""Identity documents: one encoding, every field bounded, nothing foreign raised."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation import Identity
from placet.attestation.identity import MAX_IDENTITY_BYTES
from placet.refusals import IdentityMalformed

PLAIN = Identity("authority", "log", "", "0" * 32, "hpke:A", "ed25519:B")


@given(
    st.sampled_from(["authority", "worker"]),
    st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=512),
    st.sampled_from(["", "sha256:" + "ab" * 32]),
    st.binary(min_size=16, max_size=16),
)
def test_round_trip(role: str, log: str, charter: str, boot: bytes) -> None:
    identity = replace(PLAIN, role=role, log=log, charter=charter, boot=boot.hex())
    assert Identity.from_bytes(identity.to_bytes()) == identity


def test_digest_depends_on_every_field() -> None:
    changed = [
        PLAIN,
        replace(PLAIN, role="worker"),
        replace(PLAIN, log="other"),
        replace(PLAIN, boot="1" * 32),
        replace(PLAIN, hpke="other"),
        replace(PLAIN, signing="other"),
    ]
    assert len({identity.digest for identity in changed}) == len(changed)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "client"},
        {"log": ""},
        {"log": "a" * 513},
        {"log": "line\nbreak"},
        {"log": "\ud800"},
        {"boot": "0" * 31},
        {"boot": "A" * 32},
        {"boot": "٠" * 32},
        {"hpke": ""},
        {"hpke": "a" * 7000},
        {"signing": "\u202e"},
        {"role": None},
        {"role": ["worker"]},
        {"boot": 1},
    ],
)
def test_bad_field(change: dict[str, str]) -> None:
    with pytest.raises(IdentityMalformed):
        replace(PLAIN, **change)
    with pytest.raises(IdentityMalformed):
        Identity.from_bytes(json.dumps(asdict(PLAIN) | change).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 15_000,
        b"NaN",
        PLAIN.to_bytes() + b" ",
        PLAIN.to_bytes().replace(b",", b", "),
        PLAIN.to_bytes()[:-1] + b',"extra":1}',
        PLAIN.to_bytes()[:-1] + b',"role":"authority"}',
        PLAIN.to_bytes().replace(b'"log":"log",', b""),
        b" " * (MAX_IDENTITY_BYTES + 1),
    ],
)
def test_other_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(IdentityMalformed):
        Identity.from_bytes(data)


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(IdentityMalformed):
        Identity.from_bytes(data)


@given(st.integers(0, len(PLAIN.to_bytes()) - 1), st.integers(1, 255))
def test_changed_bytes(position: int, change: int) -> None:
    data = bytearray(PLAIN.to_bytes())
    data[position] ^= change
    try:
        found = Identity.from_bytes(bytes(data))
    except IdentityMalformed:
        return
    assert found != PLAIN
