# SPDX-License-Identifier: Apache-2.0
"""Genuine reports of closed guests are believed; every other is refused for what is wrong."""

from typing import Any

import pytest

from placet.attestation import verify_evidence
from placet.attestation.snp import verify_report, verify_snp
from placet.refusals import (
    CollateralStale,
    EvidenceDebug,
    EvidenceInvalid,
    EvidenceMalformed,
    Refusal,
)

LINES = ("Milan", "Genoa", "Turin")
VERSIONS = (2, 3, 5)
TEXT = {"Milan": "0.4.1.24.219", "Genoa": "0.4.1.24.219", "Turin": "2.4.1.24.219"}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["VCEK", "VLEK"])
def test_genuine(vendor: Any, line: str, version: int, kind: str) -> None:
    evidence = vendor.evidence(line, version, kind, crl=vendor.crl(line, [99]))
    found = verify_report(evidence, vendor.now, vendor.machines)
    assert (found.machine, found.key, found.tcb.to_text()) == (line, kind, TEXT[line])
    assert found.provider == ("" if kind == "VCEK" else "CN=cloud.ex")
    claims = verify_snp(evidence, vendor.now, vendor.machines)
    assert (claims.kind, claims.debug, claims.smt, claims.svn) == ("snp", False, True, 5)
    assert claims.measurement == b"m".hex() * 48
    assert claims.signer == b"k".hex() * 48
    assert claims.launched_for == "sha256:" + b"h".hex() * 32
    assert claims.report_data == b"r" * 64
    chip = bytes(range(8 if line == "Turin" else 64)) if kind == "VCEK" else b""
    assert claims.platform == chip.ljust(64, b"\0").hex()
    assert claims.collateral_issued == vendor.now - 86400
    assert claims.collateral_expires == vendor.now + 86400


def test_the_roots_are_amds_by_default(vendor: Any) -> None:
    with pytest.raises(EvidenceInvalid) as caught:
        verify_evidence(vendor.evidence(), now=vendor.now)
    assert caught.value.details["claim"] == "ark"


def test_without_a_revocation_list_collateral_is_as_old_as_can_be(vendor: Any) -> None:
    claims = verify_snp(vendor.evidence(), vendor.now, vendor.machines)
    assert claims.collateral_issued == 0
    assert claims.collateral_expires == vendor.now + 365 * 86400


def test_launched_for_nothing_and_smt_off(vendor: Any) -> None:
    edits = {0xC0: bytes(32), 0x40: b"\x24"}
    claims = verify_snp(vendor.evidence(edits=edits), vendor.now, vendor.machines)
    assert (claims.launched_for, claims.smt) == ("", False)


@pytest.mark.parametrize("line", LINES)
def test_a_hidden_chip_is_the_one_of_the_certificate(vendor: Any, line: str) -> None:
    shown = verify_snp(vendor.evidence(line), vendor.now, vendor.machines)
    hidden = vendor.evidence(line, edits={0x1A0: bytes(64)})
    assert verify_snp(hidden, vendor.now, vendor.machines).platform == shown.platform


def test_a_vlek_may_show_the_chip(vendor: Any) -> None:
    evidence = vendor.evidence(kind="VLEK", edits={0x1A0: b"c" * 64})
    claims = verify_snp(evidence, vendor.now, vendor.machines)
    assert claims.platform == b"c".hex() * 64


def test_the_tcb_is_the_lowest_that_the_guest_depends_on(vendor: Any) -> None:
    committed, launch = bytes((3, 1, 0, 0, 0, 0, 24, 219)), bytes((9, 1, 0, 0, 0, 0, 20, 255))
    edits = {0x1E0: committed, 0x1F0: launch, 0x38: bytes((4, 1, 0, 0, 0, 0, 24, 230))}
    found = verify_report(vendor.evidence(edits=edits), vendor.now, vendor.machines)
    assert found.tcb.to_text() == "0.3.1.20.219"


NEWER = bytes((4, 1, 0, 0, 0, 0, 24, 220))  # microcode above the current one
# What is changed in a report before it is signed, and what the refusal is about.
REPORTS: dict[str, tuple[dict[int, bytes], str, type[Refusal]]] = {
    "version 1": ({0x00: b"\x01"}, "version", EvidenceMalformed),
    "version 4": ({0x00: b"\x04"}, "version", EvidenceMalformed),
    "version 6": ({0x00: b"\x06"}, "version", EvidenceMalformed),
    "policy: debug": ({0x0A: b"\x0b"}, "policy.debug", EvidenceDebug),
    "policy: migration": ({0x0A: b"\x07"}, "policy.migrate_ma", EvidenceInvalid),
    "policy: bit 17": ({0x0A: b"\x01"}, "policy", EvidenceMalformed),
    "VMPL 1": ({0x30: b"\x01"}, "vmpl", EvidenceInvalid),
    "VMPL 3": ({0x30: b"\x03"}, "vmpl", EvidenceInvalid),
    "asked for by the host": ({0x30: b"\xff" * 4}, "vmpl", EvidenceMalformed),
    "algorithm": ({0x34: b"\x02"}, "signature_algo", EvidenceMalformed),
    "signing key 2": ({0x48: b"\x08"}, "signing_key", EvidenceMalformed),
    "signing key none": ({0x48: b"\x1c"}, "signing_key", EvidenceMalformed),
    "masked chip key": ({0x48: b"\x02"}, "mask_chip_key", EvidenceMalformed),
    "author without digest": ({0x48: b"\x01"}, "author_key_en", EvidenceMalformed),
    "digest without author": ({0x110: b"a"}, "author_key_en", EvidenceMalformed),
    "author of nothing": (
        {0x48: b"\x01", 0x110: b"a", 0xE0: bytes(48)},
        "id_key_digest",
        EvidenceMalformed,
    ),
    "a VLEK's, with a VCEK": ({0x48: b"\x04"}, "chain", EvidenceInvalid),
    "another chip": ({0x1A0: b"\xff"}, "chip_id", EvidenceInvalid),
    "Genoa's processor": ({0x188: b"\x19\x11"}, "processor", EvidenceInvalid),
    "unknown processor": ({0x188: b"\x1b\x01"}, "processor", EvidenceInvalid),
    "lower reported TCB": ({0x187: b"\xda"}, "reported_tcb", EvidenceInvalid),
    "higher reported TCB": ({0x187: b"\xdc"}, "reported_tcb", EvidenceInvalid),
    "reported above current": ({0x3F: b"\xda"}, "committed_tcb", EvidenceInvalid),
    "only reported above current": (
        {0x3F: b"\xda", 0x1E7: b"\xda"},
        "reported_tcb",
        EvidenceInvalid,
    ),
    "committed above current": ({0x1E0: NEWER}, "committed_tcb", EvidenceInvalid),
    "committed firmware above": ({0x1EC: b"\x05"}, "committed_version", EvidenceInvalid),
    "reserved TCB bits": ({0x3A: b"\x01"}, "tcb", EvidenceMalformed),
    "reserved launch TCB bits": ({0x1F2: b"\x01"}, "tcb", EvidenceMalformed),
}


@pytest.mark.parametrize("name", REPORTS)
def test_refused_reports(vendor: Any, name: str) -> None:
    edits, claim, kind = REPORTS[name]
    with pytest.raises(Refusal) as caught:
        verify_snp(vendor.evidence(edits=edits), vendor.now, vendor.machines)
    assert type(caught.value) is kind
    assert caught.value.details["claim"] == claim


@pytest.mark.parametrize("svn", [0, 5, 2**16 - 1, 2**16, 65547, 2**32 - 1])
def test_a_guest_svn_has_32_bits(vendor: Any, svn: int) -> None:
    evidence = vendor.evidence(edits={0x04: svn.to_bytes(4, "little")})
    assert verify_snp(evidence, vendor.now, vendor.machines).svn == svn


@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_that_must_be_zero(vendor: Any, version: int) -> None:
    zeros = [0x4C, 0x4F, 0x18B, 0x19F, 0x1EB, 0x1EF, 0x208, 0x29F]
    zeros += [0x188, 0x18A] if version < 3 else []
    zeros += [0x1F8, 0x207] if version < 5 else []
    for offset in zeros:
        with pytest.raises(EvidenceMalformed, match="zeros"):
            verify_snp(
                vendor.evidence(version=version, edits={offset: b"\x01"}),
                vendor.now,
                vendor.machines,
            )


@pytest.mark.parametrize("version", VERSIONS)
def test_every_byte_of_a_report_counts(vendor: Any, version: int) -> None:
    evidence = vendor.evidence(version=version)
    believed = verify_snp(evidence, vendor.now, vendor.machines)
    accepted: list[int] = []
    for index in range(len(evidence.quote)):
        quote = bytearray(evidence.quote)
        quote[index] ^= 1 << index % 8
        changed = type(evidence)("snp", bytes(quote), evidence.collateral)
        try:
            found = verify_snp(changed, vendor.now, vendor.machines)
        except Refusal:
            continue
        accepted.append(index)
        assert found == believed
    assert len(evidence.quote) == 1184
    assert accepted == []  # no byte is without a meaning or a demand


@pytest.mark.parametrize("size", [0x2A0, 1183, 1185, 2368])
def test_another_length(vendor: Any, size: int) -> None:
    evidence = vendor.evidence()
    changed = type(evidence)("snp", (evidence.quote * 2)[:size], evidence.collateral)
    with pytest.raises(EvidenceMalformed, match="length"):
        verify_snp(changed, vendor.now, vendor.machines)


@pytest.mark.parametrize("zero", [0x2A0, 0x2E8])
def test_a_signature_of_zeros(vendor: Any, zero: int) -> None:
    evidence = vendor.evidence()
    quote = evidence.quote[:zero] + bytes(72) + evidence.quote[zero + 72 :]
    with pytest.raises(EvidenceInvalid):
        verify_snp(type(evidence)("snp", quote, evidence.collateral), vendor.now, vendor.machines)


def test_no_date(vendor: Any) -> None:
    for now in (-1, 10**12):
        with pytest.raises(ValueError, match="year"):
            verify_snp(vendor.evidence(), now, vendor.machines)


def test_collateral_has_a_time(vendor: Any) -> None:
    for now in (vendor.now - 366 * 86400, vendor.now + 366 * 86400):
        with pytest.raises(CollateralStale):
            verify_snp(vendor.evidence(), now, vendor.machines)
