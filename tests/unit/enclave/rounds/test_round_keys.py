# SPDX-License-Identifier: Apache-2.0
"""The keys of a round, between authority and worker: exactly what was meant, or refused, and never
shown."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.enclave.round_keys import BaseKey, RoundKeys, UpdateKey, key_text
from placet.governance.codec import encode
from placet.governance.envelope import sign_payload
from placet.governance.keys import SigningKey
from placet.refusals import KeyCommitmentMismatch, KeyMalformed, LeaseInvalid, Refusal
from placet.sealing import StreamKey
from tests.support.council import seal

KEY = StreamKey.generate()
AUTHORITY = SigningKey.generate()
LEASE = "sha256:" + "cd" * 32
TYPE = "application/vnd.placet.round-keys.v1+json"
UPDATE = UpdateKey(
    client="ana",
    organisation="o0",
    object="ab" * 16,
    commitment=KEY.commitment,
    key=key_text(KEY.to_bytes()),
    norm=(1.5).hex(),
    scale=(1.0).hex(),
    weight=3,
)


def _through(keys: RoundKeys) -> RoundKeys:
    return RoundKeys.from_bytes(keys.to_bytes(AUTHORITY), LEASE, AUTHORITY.public)


@given(norm=st.floats(0, allow_infinity=False), scale=st.floats(0, width=32, allow_infinity=False))
def test_numbers_arrive_exactly(norm: float, scale: float) -> None:
    update = replace(UPDATE, norm=norm.hex(), scale=scale.hex())
    [found] = _through(RoundKeys(LEASE, None, (update,))).updates
    assert (float.fromhex(found.norm), float.fromhex(found.scale)) == (norm, scale)


def test_a_full_roster_fits() -> None:
    sealed = seal(b"model")
    base = BaseKey(sealed.descriptor, key_text(sealed.key.to_bytes()))
    updates = tuple(
        replace(UPDATE, client=f"{n:03}".ljust(64, "x"), organisation="o" * 64) for n in range(512)
    )
    keys = RoundKeys(LEASE, base, updates)
    found = _through(keys)
    assert found == keys
    assert found.base is not None
    assert found.base.stream_key().to_bytes() == sealed.key.to_bytes()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"base":null}', b'{"base":null,"updates":[{}]}', b"{" * 2_000_000]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    for envelope in (data, sign_payload(data, TYPE, AUTHORITY)):
        with pytest.raises(Refusal):
            RoundKeys.from_bytes(envelope, LEASE, AUTHORITY.public)


def test_keys_are_the_authority_s_and_of_one_lease() -> None:
    keys = RoundKeys(LEASE, None, (UPDATE,))
    for data, lease in (
        (keys.to_bytes(SigningKey.generate()), LEASE),
        (keys.to_bytes(AUTHORITY), LEASE.replace("cd", "ef")),
        (sign_payload(encode(keys), TYPE.replace("round-keys", "lease"), AUTHORITY), LEASE),
    ):
        with pytest.raises(LeaseInvalid):
            RoundKeys.from_bytes(data, lease, AUTHORITY.public)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("???", LeaseInvalid),
        ("", KeyMalformed),
        (key_text(bytes(31)), KeyMalformed),
        (key_text(bytes(32)), KeyCommitmentMismatch),
    ],
)
def test_a_key_is_the_one_that_was_committed_to(key: str, error: type[Exception]) -> None:
    assert UPDATE.stream_key().to_bytes() == KEY.to_bytes()
    with pytest.raises(error):
        replace(UPDATE, key=key).stream_key()


def test_nothing_of_a_client_is_shown() -> None:
    shown = repr(RoundKeys(LEASE, None, (UPDATE,)))
    assert "ana" in shown
    for secret in (UPDATE.key, UPDATE.norm, UPDATE.scale, "weight"):
        assert secret not in shown
