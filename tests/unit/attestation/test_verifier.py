# SPDX-License-Identifier: Apache-2.0
"""Genuine or not: everything that a host could change about evidence is refused, with a reason."""

import datetime
import json
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from placet.attestation import SIMULATION_ROOT, SIMULATION_SIGNER, Claims, Evidence, verify_evidence
from placet.attestation.dcap import verify_dcap
from placet.host.simulation.platform import TCB, Platform, make_platform
from placet.host.simulation.quote import EnclaveReport, QuotingEnclave
from placet.host.simulation.root import SIMULATION_SVN, Issuer, published_root
from placet.refusals import (
    CollateralStale,
    EvidenceDebug,
    EvidenceInvalid,
    EvidenceMalformed,
    Refusal,
)

PPID = bytes(range(16))
REPORT = EnclaveReport(b"\xaa" * 32, bytes(64), b"\x55" * 64)
DAY = 24 * 3600


def quote(platform: Platform, report: EnclaveReport = REPORT) -> Evidence:
    """Return a quote by a fresh quoting enclave on the machine."""
    return Evidence("simulation", QuotingEnclave(platform).quote(report), platform.collateral)


def foreign_root() -> Issuer:
    """Return a root of somebody else's that has the name of ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = published_root().certificate.subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2049, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return Issuer(key, builder.sign(key, hashes.SHA256()))


def test_claims(claims: Claims, measurements: dict[str, str], launched_for: str, now: int) -> None:
    assert claims.kind == "simulation"
    assert claims.measurement == measurements["worker"]
    assert claims.signer == SIMULATION_SIGNER
    assert claims.svn == SIMULATION_SVN
    assert not claims.debug
    assert claims.launched_for == launched_for
    assert (claims.tcb_status, claims.advisories) == ("UpToDate", ())
    assert claims.tcb_evaluation == 1
    assert 0 <= now - claims.collateral_issued <= 3600


def test_root_is_self_signed_by_the_published_key() -> None:
    root = published_root()
    root.certificate.verify_directly_issued_by(root.certificate)
    assert root.certificate.public_key() == root.key.public_key()
    assert root.certificate.public_bytes(serialization.Encoding.DER) == SIMULATION_ROOT


def test_foreign_root(now: int) -> None:
    root = foreign_root()
    evidence = quote(make_platform(root, PPID, now))
    with pytest.raises(EvidenceInvalid):
        verify_evidence(evidence, now=now)
    der = root.certificate.public_bytes(serialization.Encoding.DER)
    assert verify_dcap(evidence, der, now).platform == PPID.hex()  # nothing else is wrong with it


def test_foreign_collateral_or_quote(now: int) -> None:
    ours = quote(make_platform(published_root(), PPID, now))
    other = quote(make_platform(foreign_root(), PPID, now))
    for mixed in (
        replace(ours, collateral=other.collateral),
        replace(other, collateral=ours.collateral),
    ):
        with pytest.raises(EvidenceInvalid):
            verify_evidence(mixed, now=now)


def test_revoked_machine(now: int) -> None:
    evidence = quote(make_platform(published_root(), PPID, now, revoked=True))
    with pytest.raises(EvidenceInvalid, match="Revoked"):
        verify_evidence(evidence, now=now)


@pytest.mark.parametrize("age", [-3600, 31 * DAY, 3650 * DAY])
def test_stale_collateral(evidence: Evidence, now: int, age: int) -> None:
    with pytest.raises(CollateralStale):
        verify_evidence(evidence, now=now + age)


def test_clock_tolerance(evidence: Evidence, claims: Claims, now: int) -> None:
    assert verify_evidence(evidence, now=now - 300) == claims
    assert verify_evidence(evidence, now=now + 29 * DAY) == claims


@pytest.mark.parametrize("moment", [-1, 2**63])
def test_now_must_be_a_date(evidence: Evidence, moment: int) -> None:
    with pytest.raises(ValueError, match="year 10000"):
        verify_evidence(evidence, now=moment)


def test_debug(now: int) -> None:
    evidence = quote(make_platform(published_root(), PPID, now), replace(REPORT, debug=True))
    with pytest.raises(EvidenceDebug):
        verify_evidence(evidence, now=now)


def test_tcb_is_claimed_not_judged(now: int) -> None:
    tcb = TCB("SWHardeningNeeded", ("INTEL-SA-00615",), 17)
    claims = verify_evidence(quote(make_platform(published_root(), PPID, now, tcb=tcb)), now=now)
    assert claims.tcb_status == "SWHardeningNeeded"
    assert claims.advisories == ("INTEL-SA-00615",)
    assert claims.tcb_evaluation == 17


def test_launched_for_nothing(now: int) -> None:
    evidence = quote(make_platform(published_root(), PPID, now))
    assert verify_evidence(evidence, now=now).launched_for == ""


def test_config_id_has_one_form(now: int) -> None:
    report = replace(REPORT, config_id=b"\xcd" * 32 + bytes(31) + b"\x01")
    evidence = quote(make_platform(published_root(), PPID, now), report)
    with pytest.raises(EvidenceMalformed, match="CONFIGID"):
        verify_evidence(evidence, now=now)


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_simulation_is_no_hardware(evidence: Evidence, now: int, kind: str) -> None:
    with pytest.raises(EvidenceInvalid):
        verify_evidence(replace(evidence, kind=kind), now=now)


@pytest.mark.parametrize("size", [1, 47, 431, 432, 435, 436, 1000, -1])
def test_cut_off(evidence: Evidence, now: int, size: int) -> None:
    with pytest.raises(EvidenceMalformed):
        verify_evidence(replace(evidence, quote=evidence.quote[:size]), now=now)


@pytest.mark.parametrize("tail", [b"\x00", b"\n", bytes(4000)])
def test_trailing_bytes(evidence: Evidence, now: int, tail: bytes) -> None:
    with pytest.raises(EvidenceMalformed, match="strip"):
        verify_evidence(replace(evidence, quote=evidence.quote + tail), now=now)


def test_flipped_quote(evidence: Evidence, claims: Claims, now: int) -> None:
    certificates = evidence.quote.index(b"-----BEGIN")
    for position in range(0, len(evidence.quote), 5):
        changed = bytearray(evidence.quote)
        changed[position] ^= 1 << position % 8
        try:
            found = verify_evidence(replace(evidence, quote=bytes(changed)), now=now)
        except Refusal:
            continue
        # Line breaks of the PEM text and the copy of the root that comes along are not used.
        assert position > certificates
        assert found == claims


def test_flipped_collateral(evidence: Evidence, claims: Claims, now: int) -> None:
    for position in range(0, len(evidence.collateral), 11):
        changed = bytearray(evidence.collateral.encode())
        changed[position] ^= 1 << position % 7
        try:
            found = verify_evidence(replace(evidence, collateral=changed.decode()), now=now)
        except Refusal:
            continue
        assert found == claims


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity", "pck_crl", "root_ca_crl"])
def test_collateral_of_another_time(evidence: Evidence, now: int, name: str) -> None:
    older = make_platform(published_root(), PPID, now - 60 * DAY)
    document = json.loads(evidence.collateral)
    document[name] = json.loads(older.collateral)[name]
    with pytest.raises(Refusal):
        verify_evidence(replace(evidence, collateral=json.dumps(document)), now=now)


@pytest.mark.parametrize("collateral", ["{}", "null", "[" * 5000, '{"tcb_info": 1}'])
def test_no_collateral(evidence: Evidence, now: int, collateral: str) -> None:
    with pytest.raises(EvidenceMalformed):
        verify_evidence(replace(evidence, collateral=collateral), now=now)
