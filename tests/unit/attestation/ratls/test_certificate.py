# SPDX-License-Identifier: Apache-2.0
"""A certificate in which one thing is wrong is refused for that thing, whatever its evidence
says."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from placet.ratls import MAX_CERTIFICATE_BYTES, read_certificate
from placet.refusals import EvidenceInvalid, EvidenceMalformed, Refusal

NULL = b"\x05\x00"
ED25519 = bytes.fromhex("06032b6570")
SHA1 = bytes.fromhex("06072a8648ce3d0401")
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")
ECDSA_SHA384 = bytes.fromhex("06082a8648ce3d040303")
USAGE = b"\x55\x1d\x0f"
TRUE, FALSE = b"\x01\x01\xff", b"\x01\x01\x00"

Element = Callable[..., bytes]


def test_a_synthetic_certificate_is_read(server: Any, now: int) -> None:
    forge, _ = server.forge()
    assert read_certificate(forge.der(), now=now).kind == "simulation"


def test_a_null_of_old_mbedtls_is_read(server: Any, element: Element, now: int) -> None:
    forge, _ = server.forge()
    read_certificate(forge.changed(algorithm=element(0x30, ECDSA_SHA256, NULL)).der(), now=now)


@pytest.mark.parametrize(
    ("part", "value", "what"),
    [
        ("version", "a003020101", "version"),
        ("version", "", "other parts"),
        ("rest", "a400", "other parts"),
        ("outer_algorithm", "300a06082a8648ce3d040303", "two signature algorithms"),
        ("algorithm", "300906072a8648ce3d0401", "not signed with"),
        ("algorithm", "300506032b6570", "not signed with"),
        ("algorithm", "300e06082a8648ce3d04030205000500", "parameters"),
        ("issuer", "30023000", "issuer"),
        ("first", "170d3236303130313030303030305a170d3236303130313030303030305a", "two ends"),
        ("first", "170b323630313031303030305a", "date"),
        ("first", "170d3236313330313030303030305a", "date"),
        ("first", "0400", "date"),
        ("unused_bits", "01", "whole bytes"),
        ("public_key", "3003020101", "key cannot be read"),
    ],
)
def test_one_part_wrong(server: Any, now: int, part: str, value: str, what: str) -> None:
    forge, _ = server.forge()
    with pytest.raises(EvidenceMalformed, match=what):
        read_certificate(forge.changed(**{part: bytes.fromhex(value)}).der(), now=now)


def test_validity(server: Any, element: Element, now: int) -> None:
    forge, _ = server.forge()
    for certificate in (
        forge.changed(first=element(0x17, b"280101000000Z")),
        forge.changed(last=element(0x17, b"260102000000Z")),
        forge.changed(last=element(0x17, b"500102000000Z")),  # 1950
    ):
        with pytest.raises(EvidenceInvalid, match="not valid at this time"):
            read_certificate(certificate.der(), now=now)


def test_signed_by_another_key(server: Any, now: int) -> None:
    forge, _ = server.forge()
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(EvidenceInvalid, match="its own key"):
        read_certificate(forge.changed(signer=other).der(), now=now)


def test_keys_in_another_encoding_or_of_another_kind(server: Any, now: int) -> None:
    forge, _ = server.forge()
    point = server.key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    start = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    with pytest.raises(EvidenceMalformed, match="another encoding"):
        read_certificate(forge.changed(public_key=start + point).der(), now=now)
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public = rsa.generate_private_key(65537, 2048).public_key().public_bytes(*form)
    with pytest.raises(EvidenceMalformed, match="not signed with"):
        read_certificate(forge.changed(public_key=public).der(), now=now)


def test_extensions(server: Any, make_extension: Element, element: Element, now: int) -> None:
    forge, _ = server.forge()
    [evidence] = forge.extensions
    usage = make_extension(USAGE, b"\x03\x02\x07\x80", TRUE)
    read_certificate(forge.changed(extensions=(usage, evidence)).der(), now=now)
    name, value = element(0x06, b"\x2a"), element(0x04, b"")
    for extensions, what in (
        ((evidence, evidence), "twice"),
        ((evidence, usage, usage), "twice"),
        ((evidence, make_extension(b"\x2a", b"", TRUE)), "not known"),
        ((evidence, make_extension(b"\x2a", b"", FALSE)), "an extension is none"),
        ((evidence, make_extension(b"\x2a", b"", b"\x01\x01\x01")), "an extension is none"),
        ((evidence, make_extension(b"\x2a", b"", TRUE, TRUE)), "an extension is none"),
        ((evidence, element(0x30, name)), "an extension is none"),
        ((evidence, element(0x30, value, name)), "an extension is none"),
        ((evidence, element(0x30)), "an extension is none"),
        ((evidence, element(0x31, name, value)), "an extension is none"),
        ((usage,), "no evidence"),
        ((), "no evidence"),
        (tuple(make_extension(b"\x2a" * n, b"") for n in range(1, 70)), "side by side"),
    ):
        with pytest.raises(EvidenceMalformed, match=what):
            read_certificate(forge.changed(extensions=extensions).der(), now=now)


def test_der_is_strict(server: Any, now: int) -> None:
    certificate = server.forge()[0].der()
    size = int.from_bytes(certificate[2:4], "big")
    assert certificate[:2] == b"\x30\x82"
    for changed, what in (
        (certificate + b"\0", "cut off"),
        (certificate + b"\x05\0", "other parts"),
        (certificate[:-1], "cut off"),
        (b"", "other parts"),
        (b"\x30", "cut off"),
        (b"\x30\x83" + size.to_bytes(3, "big") + certificate[4:], "shortest"),
        (b"\x30\x84" + size.to_bytes(4, "big") + certificate[4:], "shortest"),
        (b"\x30\x81\x05" + bytes(5), "shortest"),
        (b"\x30\x80" + certificate[4:] + b"\0\0", "indefinite"),
        (b"\x3f\x30" + certificate[2:], "more than one byte"),
        (b"\x31" + certificate[1:], "other parts"),
        (bytes(MAX_CERTIFICATE_BYTES + 1), "at most"),
    ):
        with pytest.raises(EvidenceMalformed, match=what):
            read_certificate(changed, now=now)


def test_every_byte_of_the_certificate_counts(server: Any, now: int) -> None:
    """No byte is outside what is signed and read in one way only, but within the signature
    itself."""
    certificate = server.forge()[0].der()
    read_certificate(certificate, now=now)
    for at in range(0, len(certificate), 7):
        raw = bytearray(certificate)
        raw[at] ^= 1
        with pytest.raises(Refusal):
            read_certificate(bytes(raw), now=now)


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        read_certificate(data, now=0)
