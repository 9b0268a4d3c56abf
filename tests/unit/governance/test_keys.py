# SPDX-License-Identifier: Apache-2.0
"""Keys and envelopes: who has signed, and that one key is one key."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.documents import Stop
from placet.governance.envelope import (
    add_signature,
    parse_envelope,
    sign,
    verified_signers,
    verify_signed,
)
from placet.governance.keys import PublicKey, SigningKey
from placet.refusals import DocumentMalformed, SignatureInvalid

ED25519 = SigningKey.generate()
P256 = SigningKey(ec.generate_private_key(ec.SECP256R1()))
KEYS = {"ed25519": ED25519, "p256": P256}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_verifies_what_it_signed_and_nothing_else(key: SigningKey) -> None:
    signature = key.sign(b"message")
    assert key.public.has_signed(signature, b"message")
    assert not key.public.has_signed(signature, b"other")
    assert not key.public.has_signed(signature[:-1], b"message")
    assert not key.public.has_signed(b"", b"message")
    other = P256 if key is ED25519 else ED25519
    assert not other.public.has_signed(signature, b"message")
    assert PublicKey.from_dict(key.public.to_dict()) == key.public
    assert key.public.text in repr(key) and "private" not in repr(key).lower()


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@given(st.binary(max_size=100))
def test_random_signatures_are_none(key: SigningKey, signature: bytes) -> None:
    assert not key.public.has_signed(signature, b"message")


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_key_has_one_text() -> None:
    public = P256.private.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    compressed = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    ed = ED25519.public.text
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    for text in (
        "",
        "ed25519:",
        "ed448:AAAA",
        ed + "=",
        ed + "A",
        ed.upper(),
        " " + ed,
        ed.replace(":", ":\n"),
        ed.replace("ed25519", "p256"),
        "p256:" + _b64(compressed),
        "p256:" + _b64(other.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
        "ed25519:" + "é" * 43,
        "ed25519:\ud800",
    ):
        with pytest.raises(DocumentMalformed):
            PublicKey(text)
    with pytest.raises(DocumentMalformed):
        PublicKey.from_dict(7)
    with pytest.raises(DocumentMalformed):
        SigningKey(ec.generate_private_key(ec.SECP384R1()))


@given(st.text(max_size=80))
def test_random_texts_are_no_keys(text: str) -> None:
    for prefix in ("", "ed25519:", "p256:"):
        with pytest.raises(DocumentMalformed):
            PublicKey(prefix + text)


def test_raw_bytes_make_the_same_key() -> None:
    private = ED25519.private
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    assert PublicKey.ed25519(private.public_key().public_bytes_raw()) == ED25519.public


def _keys(*keys: SigningKey) -> Callable[[object], list[PublicKey]]:
    return lambda _: [key.public for key in keys]


def test_signers_are_those_of_the_keys_asked_for(founded: Any) -> None:
    stop = founded.stop("chair-a", "pause", "sha256:" + "00" * 32)
    envelope = add_signature(sign(stop, ED25519), P256)
    assert verify_signed(envelope, Stop, _keys(ED25519)).signers == {ED25519.public}
    assert verify_signed(envelope, Stop, _keys(P256, ED25519)).signers == {
        ED25519.public,
        P256.public,
    }
    with pytest.raises(SignatureInvalid):
        verify_signed(envelope, Stop, _keys(SigningKey.generate()))
    with pytest.raises(SignatureInvalid):
        verify_signed(envelope, Stop, _keys())
    again = add_signature(envelope, ED25519)
    assert len(parse_envelope(again).signatures) == 2
    assert parse_envelope(again).digest == parse_envelope(envelope).digest


def test_a_signature_under_another_key_id_counts_for_nobody(founded: Any) -> None:
    """The id selects which signature is checked; whose it is, the key decides."""
    stop = founded.stop("chair-a", "pause", "sha256:" + "00" * 32)
    value = json.loads(sign(stop, ED25519))
    value["signatures"].append({"keyid": P256.public.key_id, "sig": value["signatures"][0]["sig"]})
    envelope = json.dumps(value).encode()
    assert verify_signed(envelope, Stop, _keys(ED25519, P256)).signers == {ED25519.public}
    value["signatures"] = value["signatures"][1:]
    with pytest.raises(SignatureInvalid):
        verify_signed(json.dumps(value).encode(), Stop, _keys(ED25519, P256))


def test_a_payload_that_was_changed_is_signed_by_nobody(founded: Any) -> None:
    stop = founded.stop("chair-a", "pause", "sha256:" + "00" * 32)
    value = json.loads(sign(stop, ED25519))
    other = json.loads(sign(replace(stop, by="second-a"), ED25519))
    value["payload"] = other["payload"]
    with pytest.raises(SignatureInvalid):
        verify_signed(json.dumps(value).encode(), Stop, _keys(ED25519))
    raw = parse_envelope(sign(stop, ED25519))
    assert (
        verified_signers(replace(raw, payload_type="text/plain"), [ED25519.public]) == frozenset()
    )
