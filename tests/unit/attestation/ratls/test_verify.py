# SPDX-License-Identifier: Apache-2.0
"""Issued certificates are verified; evidence for anything else than the certificate's key is
not."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from placet.attestation import Policy
from placet.ratls import (
    EVIDENCE_EXTENSION,
    cbor,
    issue_certificate,
    read_certificate,
    verify_certificate,
)
from placet.ratls.payload import encode_payload, report_data
from placet.refusals import (
    AppraisalRefused,
    EvidenceBinding,
    EvidenceDebug,
    EvidenceInvalid,
    EvidenceMalformed,
    EvidenceNonce,
)

EVIDENCE = bytes.fromhex("678105050409")
LEGACY = bytes.fromhex("06092a864886f84d8a3906")
INTENDED_LEGACY = bytes.fromhex("2a864886f84d8a3906")
Claims = dict[str, cbor.Item]


def entry(algorithm: int, digest: bytes) -> bytes:
    """The value of pubkey-hash."""
    return cbor.encode((algorithm, digest))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
)
def test_issued(make: Any, attester: Any, policy: Policy, launched_for: str, now: int) -> None:
    made = issue_certificate(attester, make(), now=now, lifetime_seconds=60)
    collateral = made.evidence.collateral
    claims = verify_certificate(
        made.certificate, policy, collateral=collateral, now=now, launched_for=launched_for
    )
    assert claims.measurement == policy.measurements[0]
    assert claims.report_data == read_certificate(made.certificate, now=now).report_data
    with pytest.raises(EvidenceInvalid, match="not valid at this time"):
        verify_certificate(
            made.certificate, policy, collateral=collateral, now=now + 61, launched_for=launched_for
        )


def test_issued_is_what_others_read(server: Any, now: int) -> None:
    der, _ = server.issued(nonce=b"n" * 32)
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(certificate)
    found = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(EVIDENCE_EXTENSION))
    assert not found.critical
    assert isinstance(found.value, x509.UnrecognizedExtension)
    tag = cbor.decode(found.value.value, 2**17)
    assert isinstance(tag, cbor.Tag) and isinstance(tag.item, tuple)
    _, buffer = tag.item
    assert isinstance(buffer, bytes)
    claims = cbor.decode(buffer, 2**17)
    digest = hashlib.sha256(server.spki).digest()
    assert claims == {"nonce": b"n" * 32, "pubkey-hash": entry(1, digest)}
    assert read_certificate(der, now=now).report_data == hashlib.sha256(buffer).digest() + bytes(32)


def test_policy(server: Any, policy: Policy, launched_for: str, now: int) -> None:
    der, collateral = server.issued()
    other = replace(policy, measurements=("ff" * 32,))
    with pytest.raises(AppraisalRefused, match="measurement"):
        verify_certificate(der, other, collateral=collateral, now=now, launched_for=launched_for)
    with pytest.raises(AppraisalRefused, match="launched_for"):
        verify_certificate(der, policy, collateral=collateral, now=now, launched_for="")


def test_nonce(server: Any, policy: Policy, now: int) -> None:
    def verify(made: tuple[bytes, str], nonce: bytes | None) -> None:
        der, collateral = made
        verify_certificate(
            der, policy, collateral=collateral, now=now, launched_for=None, nonce=nonce
        )

    with_nonce, without = server.issued(nonce=b"n" * 32), server.issued()
    verify(with_nonce, b"n" * 32)
    verify(with_nonce, None)
    for made, nonce in ((with_nonce, b"m" * 32), (without, b"n" * 32), (without, b"")):
        with pytest.raises(EvidenceNonce):
            verify(made, nonce)
    with pytest.raises(EvidenceNonce):
        server.issued(nonce=b"short")


@pytest.mark.parametrize(("algorithm", "name"), [(1, "sha256"), (7, "sha384"), (8, "sha512")])
def test_every_hash_of_the_specification(
    server: Any, policy: Policy, now: int, algorithm: int, name: str
) -> None:
    hashed = entry(algorithm, hashlib.new(name, server.spki).digest())
    # Out of the deterministic order and with a claim of somebody's own, as others write it.
    forge, collateral = server.forge({"pubkey-hash": hashed, "key_0": b"value\0"})
    verify_certificate(forge.der(), policy, collateral=collateral, now=now, launched_for=None)


def test_claims_that_are_refused(server: Any, policy: Policy, now: int) -> None:
    digest = hashlib.sha256(server.spki).digest()
    good = entry(1, digest)
    head, pair = b"\xa2", cbor.encode({"pubkey-hash": good})[1:]
    cases: tuple[tuple[Any, str], ...] = (
        ({}, "one pubkey-hash"),
        ({"nonce": b"n"}, "one pubkey-hash"),
        ({"Pubkey-Hash": good}, "one pubkey-hash"),
        ((), "one pubkey-hash"),
        ({"pubkey-hash": "text"}, "one pubkey-hash"),
        ({"pubkey-hash": (1, digest)}, "one pubkey-hash"),
        ({"pubkey-hash": good, "nonce": "text"}, "nonce"),
        ({"pubkey-hash": entry(2, digest)}, "must name"),
        ({"pubkey-hash": cbor.encode((1,))}, "must name"),
        ({"pubkey-hash": cbor.encode((1, digest, 1))}, "must name"),
        ({"pubkey-hash": cbor.encode(("1", digest))}, "must name"),
        ({"pubkey-hash": cbor.encode(digest)}, "must name"),
        ({"pubkey-hash": good + b"\0"}, "bytes follow"),
        ({"pubkey-hash": b"\x82\x18\x01" + good[2:]}, "shortest"),
        (head + pair + pair, "twice"),
        (b"\xbf" + pair + b"\xff", "definite"),
        (cbor.encode({"pubkey-hash": good}) + b"\0", "bytes follow"),
        ({"pubkey-hash": good, "nonce": bytes(5000)}, "at most"),
    )
    for claims, what in cases:
        forge, collateral = server.forge(claims)
        with pytest.raises(EvidenceMalformed, match=what):
            verify_certificate(
                forge.der(), policy, collateral=collateral, now=now, launched_for=None
            )


def test_claims_about_another_key(server: Any, policy: Policy, now: int) -> None:
    for digest in (hashlib.sha256(b"other").digest(), hashlib.sha256(server.spki).digest()[:16]):
        forge, collateral = server.forge({"pubkey-hash": entry(1, digest)})
        with pytest.raises(EvidenceBinding, match="another key"):
            verify_certificate(
                forge.der(), policy, collateral=collateral, now=now, launched_for=None
            )


def test_evidence_of_somebody_else(
    server: Any, policy: Policy, make_extension: Callable[..., bytes], now: int
) -> None:
    """A host takes an enclave's quote and puts it beside claims about a key of its own."""
    forge, _ = server.forge()
    mine = cbor.encode({"pubkey-hash": entry(1, hashlib.sha256(server.spki).digest())})
    for data in (
        report_data(b"the claims of the enclave's own key"),
        hashlib.sha256(mine).digest() + bytes(31) + b"\1",
        hashlib.sha256(mine).digest() * 2,
    ):
        evidence = server.attester.evidence(data)
        value = encode_payload(evidence.kind, evidence.quote, mine)
        certificate = forge.changed(extensions=(make_extension(EVIDENCE, value),)).der()
        with pytest.raises(EvidenceBinding, match="another key or other claims"):
            verify_certificate(
                certificate, policy, collateral=evidence.collateral, now=now, launched_for=None
            )


def test_the_value_of_the_extension(
    server: Any, policy: Policy, make_extension: Callable[..., bytes], now: int
) -> None:
    forge, _ = server.forge()
    claims = cbor.encode({"pubkey-hash": entry(1, hashlib.sha256(server.spki).digest())})
    evidence = server.evidence(claims)
    quote = evidence.quote
    own = cbor.decode(encode_payload(evidence.kind, quote, claims), 2**17)
    assert isinstance(own, cbor.Tag)
    for item, what in (
        (cbor.Tag(60001, (quote, claims)), "nothing known"),
        (cbor.Tag(own.number, (quote, claims, b"")), "not a tag"),
        (cbor.Tag(own.number, (claims,)), "not a tag"),
        (cbor.Tag(own.number, ("quote", claims)), "not a tag"),
        (cbor.Tag(own.number, {"quote": quote}), "not a tag"),
        ((quote, claims), "not a tag"),
        (cbor.Tag(60000, (b"short", claims)), "neither"),
        (cbor.Tag(60000, (b"\3\0\2\0\7\0\0\0" + quote[8:], claims)), "neither"),
        (cbor.Tag(own.number, (b"", claims)), "quote must be"),
        (cbor.Tag(own.number, (quote + b"\0", claims)), "where it says"),
        (cbor.Tag(own.number, (bytes(70_000), claims)), "at most"),
    ):
        extension = make_extension(EVIDENCE, cbor.encode(item))
        with pytest.raises(EvidenceMalformed, match=what):
            verify_certificate(
                forge.changed(extensions=(extension,)).der(),
                policy,
                collateral=evidence.collateral,
                now=now,
                launched_for=None,
            )
    # A simulated quote under the tag of real ones is judged as a real one.
    extension = make_extension(EVIDENCE, cbor.encode(cbor.Tag(60000, (quote, claims))))
    with pytest.raises(EvidenceInvalid):
        verify_certificate(
            forge.changed(extensions=(extension,)).der(),
            policy,
            collateral=evidence.collateral,
            now=now,
            launched_for=None,
        )


def test_debug_is_refused_without_collateral(
    server: Any, policy: Policy, make_extension: Callable[..., bytes], now: int
) -> None:
    forge, _ = server.forge()
    claims = cbor.encode({"pubkey-hash": entry(1, hashlib.sha256(server.spki).digest())})
    quote = bytearray(server.evidence(claims).quote)
    quote[96] |= 2
    value = encode_payload("sgx", bytes(quote), claims)
    certificate = forge.changed(extensions=(make_extension(EVIDENCE, value),)).der()
    with pytest.raises(EvidenceDebug):
        verify_certificate(certificate, policy, collateral="none", now=now, launched_for=None)


def test_the_legacy_form(server: Any, make_extension: Callable[..., bytes], now: int) -> None:
    forge, _ = server.forge()
    [standard] = forge.extensions
    quote = server.evidence(server.spki).quote
    for name in (LEGACY, INTENDED_LEGACY):
        certificate = forge.changed(extensions=(make_extension(name, quote),)).der()
        found = read_certificate(certificate, now=now)
        assert (found.kind, found.quote, found.nonce) == ("sgx", quote, None)
        assert found.report_data == hashlib.sha256(server.spki).digest() + bytes(32)
    both = (make_extension(LEGACY, quote), make_extension(INTENDED_LEGACY, quote))
    with pytest.raises(EvidenceMalformed, match="two older"):
        read_certificate(forge.changed(extensions=both).der(), now=now)
    # The standard form decides where it is there, and there is no way back from a bad one.
    found = read_certificate(forge.changed(extensions=(*both, standard)).der(), now=now)
    assert found.kind == "simulation"
    bad = make_extension(EVIDENCE, b"\0")
    with pytest.raises(EvidenceMalformed):
        read_certificate(forge.changed(extensions=(both[0], bad)).der(), now=now)
