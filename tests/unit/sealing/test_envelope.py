# SPDX-License-Identifier: Apache-2.0
"""HPKE keys and envelopes: round trips, an independent opening, and one family of refusals."""

import base64
import copy
import hashlib
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from placet.refusals import (
    EnvelopeForged,
    EnvelopeKeyMismatch,
    EnvelopeMalformed,
    EnvelopeSuiteUnsupported,
    KeyMalformed,
    Refusal,
)
from placet.sealing import HPKEPrivateKey, HPKEPublicKey, open_envelope, seal_envelope
from tests.support.rfc9180 import expand, extract, key_schedule

KEMS = ["X25519", "MLKEM768-X25519"]
_KEYS = {kem: HPKEPrivateKey.generate(kem) for kem in KEMS}
_PREFIX = 39
_PUBLIC_SIZE = {"X25519": 32, "MLKEM768-X25519": 1216}
_PRIVATE_SIZE = {"X25519": 32, "MLKEM768-X25519": 32}
_SUITE = {
    "X25519": bytes.fromhex("01 0020 0001 0002"),
    "MLKEM768-X25519": bytes.fromhex("01 647a 0001 0002"),
}
_P25519 = 2**255 - 19
# Of order 1, 2, 4 and 8, and encodings of such points that are not reduced (RFC 7748, section 7).
_SMALL_ORDER = [
    number.to_bytes(32, "little")
    for number in (
        0,
        1,
        _P25519 - 1,
        _P25519,
        _P25519 + 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
]
_kems = pytest.mark.parametrize("kem", KEMS)


@_kems
@given(plaintext=st.binary(max_size=200), info=st.binary(max_size=50))
@settings(max_examples=25, deadline=None)
def test_envelopes_go_round(kem: str, plaintext: bytes, info: bytes) -> None:
    key = _KEYS[kem]
    envelope = seal_envelope(plaintext, key.public, info)
    assert open_envelope(envelope, key, info) == plaintext
    assert envelope[:7] == _SUITE[kem]
    assert f"sha256:{envelope[7:_PREFIX].hex()}" == key.public.key_id
    assert seal_envelope(plaintext, key.public, info) != envelope


@_kems
def test_buffers_are_taken_as_they_are(kem: str) -> None:
    key = _KEYS[kem]
    envelope = seal_envelope(memoryview(bytearray(b"plain")), key.public, b"")
    assert open_envelope(memoryview(bytearray(envelope)), key, b"") == b"plain"


@_kems
def test_key_forms_go_round(kem: str) -> None:
    key = _KEYS[kem]
    again = HPKEPrivateKey.from_bytes(key.to_bytes())
    assert again.to_bytes() == key.to_bytes()
    assert again.public == key.public == HPKEPublicKey.from_text(key.public.to_text())
    assert HPKEPublicKey.from_bytes(key.public.to_bytes()) == key.public
    assert hash(again.public) == hash(key.public)
    assert len(key.to_bytes()) == 7 + _PRIVATE_SIZE[kem]
    body = base64.urlsafe_b64decode(key.public.to_text().removeprefix("hpke:") + "==")
    assert body == key.public.to_bytes() == _SUITE[kem] + key.public.raw
    assert len(key.public.raw) == _PUBLIC_SIZE[kem]
    assert key.public.key_id == f"sha256:{hashlib.sha256(body).hexdigest()}"
    envelope = seal_envelope(b"plain", key.public, b"info")
    assert open_envelope(envelope, again, b"info") == b"plain"


def _decapsulate(kem: str, enc: bytes, private: bytes, public: bytes) -> bytes:
    """DHKEM(X25519, HKDF-SHA256) of RFC 9180, 4.1; or X-Wing's combination of the two."""
    if kem != "X25519":
        private = hashlib.shake_256(private).digest(96)
    x25519 = X25519PrivateKey.from_private_bytes(private[-32:])
    shared = x25519.exchange(X25519PublicKey.from_public_bytes(enc[-32:]))
    if kem == "X25519":
        suite = b"KEM" + (0x0020).to_bytes(2, "big")
        prk = extract(suite, b"", b"eae_prk", shared)
        return expand(suite, prk, b"shared_secret", enc + public, 32)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(private[:64]).decapsulate(enc[:-32])
    return hashlib.sha3_256(mlkem + shared + enc[-32:] + public[-32:] + b"\\.//^\\").digest()


@_kems
def test_an_independent_implementation_opens_them(kem: str) -> None:
    """RFC 9180, sections 5.1 and 5.2, base mode, written out."""
    key = _KEYS[kem]
    envelope = seal_envelope(b"plain", key.public, b"info")
    size = {"X25519": 32, "MLKEM768-X25519": 1120}[kem]
    enc, sealed = envelope[_PREFIX : _PREFIX + size], envelope[_PREFIX + size :]
    shared = _decapsulate(kem, enc, key.to_bytes()[7:], key.public.raw)
    secret, nonce = key_schedule(_SUITE[kem], shared, b"info")
    assert AESGCM(secret).decrypt(nonce, sealed, b"") == b"plain"


@_kems
def test_wrong_info_wrong_key_wrong_suite(kem: str) -> None:
    key = _KEYS[kem]
    envelope = seal_envelope(b"plain", key.public, b"info")
    with pytest.raises(EnvelopeForged):
        open_envelope(envelope, key, b"other")
    with pytest.raises(EnvelopeKeyMismatch):
        open_envelope(envelope, HPKEPrivateKey.generate(kem), b"info")
    other = _KEYS[KEMS[1 - KEMS.index(kem)]]
    with pytest.raises(EnvelopeSuiteUnsupported):
        open_envelope(envelope, other, b"info")
    with pytest.raises(EnvelopeMalformed):
        open_envelope(b"\x02" + envelope[1:], key, b"info")
    for field in (2, 4, 6):
        changed = bytearray(envelope)
        changed[field] ^= 1
        with pytest.raises(EnvelopeSuiteUnsupported):
            open_envelope(changed, key, b"info")
    # An envelope relabelled for another key must not open either.
    thief = HPKEPrivateKey.generate(kem)
    label = bytes.fromhex(thief.public.key_id.removeprefix("sha256:"))
    with pytest.raises(EnvelopeForged):
        open_envelope(envelope[:7] + label + envelope[_PREFIX:], thief, b"info")


@_kems
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_one_changed_byte_is_refused(kem: str, data: st.DataObject) -> None:
    key = _KEYS[kem]
    envelope = bytearray(seal_envelope(b"plain", key.public, b"info"))
    at = data.draw(st.integers(0, len(envelope) - 1))
    envelope[at] ^= data.draw(st.integers(1, 255))
    # X25519 ignores the highest bit of a point; HPKE hashes enc as it was sent, so it is bound.
    with pytest.raises(Refusal):
        open_envelope(envelope, key, b"info")


@_kems
def test_every_truncation_and_an_extension_are_refused(kem: str) -> None:
    key = _KEYS[kem]
    envelope = seal_envelope(b"plain", key.public, b"info")
    for size in range(len(envelope)):
        with pytest.raises(Refusal):
            open_envelope(envelope[:size], key, b"info")
    with pytest.raises(EnvelopeForged):
        open_envelope(envelope + b"\x00", key, b"info")


@_kems
@given(tail=st.binary(max_size=2000), kept=st.sampled_from([0, 1, 7, _PREFIX, _PREFIX + 16]))
@settings(max_examples=100, deadline=None)
def test_arbitrary_bytes_raise_nothing_foreign(kem: str, tail: bytes, kept: int) -> None:
    key = _KEYS[kem]
    envelope = seal_envelope(b"plain", key.public, b"info")[:kept] + tail
    with pytest.raises(Refusal):
        open_envelope(envelope, key, b"info")


@_kems
@pytest.mark.parametrize("point", _SMALL_ORDER, ids=lambda point: point[:4].hex())
def test_points_of_small_order_are_refused(kem: str, point: bytes) -> None:
    key = _KEYS[kem]
    envelope = bytearray(seal_envelope(b"plain", key.public, b"info"))
    end = len(envelope) - len(b"plain") - 16
    envelope[end - 32 : end] = point
    with pytest.raises(EnvelopeForged):
        open_envelope(envelope, key, b"info")
    with pytest.raises(KeyMalformed):
        HPKEPublicKey(kem, key.public.raw[:-32] + point)


def test_envelopes_have_a_largest_size() -> None:
    key = _KEYS["X25519"]
    with pytest.raises(ValueError, match="16 MiB"):
        seal_envelope(bytes(16 << 20), key.public, b"")
    with pytest.raises(EnvelopeMalformed):
        open_envelope(_SUITE["X25519"] + bytes(16 << 20), key, b"")
    with pytest.raises(EnvelopeMalformed):
        open_envelope(b"", key, b"")


def test_an_unknown_kem_is_refused() -> None:
    with pytest.raises(KeyMalformed):
        HPKEPrivateKey.generate("P-256")
    with pytest.raises(KeyMalformed):
        HPKEPublicKey("P-256", bytes(65))


def test_an_mlkem_key_out_of_range_is_refused() -> None:
    raw = _KEYS["MLKEM768-X25519"].public.raw
    with pytest.raises(KeyMalformed):
        HPKEPublicKey("MLKEM768-X25519", b"\xff" * 1184 + raw[1184:])


@_kems
def test_other_texts_of_a_key_are_refused(kem: str) -> None:
    text = _KEYS[kem].public.to_text()
    wrong = [
        "",
        "hpke:",
        text.removeprefix("hpke:"),
        text.upper(),
        text + "=",
        text + "A",
        text + "\n",
        " " + text,
        text[:-1],
        "hpke:+" + text[6:],
        "hpke:\u00e9" + text[6:],
        text + "A" * 2048,
    ]
    # The last character of this length carries bits that must be zero.
    if len(text.removeprefix("hpke:")) % 4:
        wrong.append(text[:-1] + chr(ord(text[-1]) + 1))
    for case in wrong:
        with pytest.raises(KeyMalformed):
            HPKEPublicKey.from_text(case)


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_arbitrary_texts_raise_nothing_foreign(text: str) -> None:
    for case in (text, "hpke:" + text):
        with pytest.raises(KeyMalformed):
            HPKEPublicKey.from_text(case)


@_kems
@given(raw=st.binary(max_size=100))
def test_arbitrary_key_bytes_raise_nothing_foreign(kem: str, raw: bytes) -> None:
    for data in (raw, _SUITE[kem] + raw):
        for read in (HPKEPublicKey.from_bytes, HPKEPrivateKey.from_bytes):
            try:
                assert read(data).to_bytes() == data
            except KeyMalformed:
                continue


@_kems
def test_private_keys_are_not_shown_pickled_or_copied(kem: str) -> None:
    key = _KEYS[kem]
    assert repr(key) == str(key) == f"HPKEPrivateKey({kem}, {key.public.key_id})"
    assert repr(key.public) == f"HPKEPublicKey({kem}, {key.public.key_id})"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled"):
            attempt(key)
