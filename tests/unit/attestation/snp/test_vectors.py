# SPDX-License-Identifier: Apache-2.0
"""Evidence of real machines, below AMD's own roots: each file has the outcome stated for it."""

import hashlib
from collections.abc import Callable

import pytest

from placet.attestation import Evidence, verify_evidence
from placet.attestation.snp import MACHINES, Collateral, Machine, Tcb, verify_report
from placet.refusals import EvidenceInvalid, Refusal

Read = Callable[[str], bytes]
TIMES = {
    "v2_milan_vcek": 1690135106,
    "v3_genoa_vcek": 1785809107,
    "v3_milan_vcek": 1785805473,
    "v3_milan_vlek": 1749420861,
}
TCBS = {
    "v2_milan_vcek": "0.3.0.8.115",
    "v3_genoa_vcek": "0.10.0.23.84",
    "v3_milan_vcek": "0.4.0.24.219",
    "v3_milan_vlek": "0.4.0.24.217",
}


def real(read: Read, name: str, ek: str = "") -> Evidence:
    """The evidence of a machine, with the end key's certificate of this or of another."""
    _, line, kind = name.split("_")
    signer = "SEV-VLEK-" if kind == "vlek" else "SEV-"
    line = line.capitalize()
    collateral = Collateral(
        read(f"ARK-{line}.der"), read(f"{signer}{line}.der"), read(f"{ek or name}.ek.der"), None
    )
    return Evidence("snp", read(f"{name}.report.bin"), collateral.to_text())


@pytest.mark.parametrize("name", TIMES)
def test_genuine(snp_vectors: Read, name: str) -> None:
    found = verify_report(real(snp_vectors, name), TIMES[name])
    _, line, kind = name.split("_")
    assert (found.machine.lower(), found.key.lower()) == (line, kind)
    assert found.tcb == Tcb.from_text(TCBS[name])


@pytest.mark.parametrize("name", [name for name in TIMES if name.endswith("vcek")])
def test_claims(snp_vectors: Read, name: str) -> None:
    evidence = real(snp_vectors, name)
    claims = verify_evidence(evidence, now=TIMES[name])
    assert claims.measurement == evidence.quote[0x90:0xC0].hex()
    assert claims.report_data == evidence.quote[0x50:0x90]
    assert claims.platform == evidence.quote[0x1A0:0x1E0].hex()
    host_data = evidence.quote[0xC0:0xE0]
    assert claims.launched_for == ("sha256:" + host_data.hex() if any(host_data) else "")


def test_another_vmpl_than_0(snp_vectors: Read) -> None:
    with pytest.raises(Refusal) as caught:
        verify_evidence(real(snp_vectors, "v3_milan_vlek"), now=TIMES["v3_milan_vlek"])
    assert caught.value.details["claim"] == "vmpl"


def test_forged(snp_vectors: Read) -> None:
    forged = real(snp_vectors, "v2_milan_vcek", "v2_milan_vcek_forged_fail")
    with pytest.raises(EvidenceInvalid):
        verify_evidence(forged, now=1700000000)


def test_another_machines_certificate(snp_vectors: Read) -> None:
    with pytest.raises(EvidenceInvalid):
        verify_evidence(
            real(snp_vectors, "v2_milan_vcek", "v3_milan_vcek"), now=TIMES["v3_milan_vcek"]
        )


@pytest.mark.parametrize("name", TIMES)
def test_every_byte_counts(snp_vectors: Read, name: str) -> None:
    evidence = real(snp_vectors, name)
    for index in range(len(evidence.quote)):
        quote = bytearray(evidence.quote)
        quote[index] ^= 1 << index % 8
        with pytest.raises(Refusal):
            verify_report(Evidence("snp", bytes(quote), evidence.collateral), TIMES[name])


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_the_pinned_roots_are_amds(snp_vectors: Read, machine: Machine) -> None:
    assert hashlib.sha256(snp_vectors(f"ARK-{machine.name}.der")).hexdigest() == machine.root


@pytest.mark.parametrize("signer", ["SEV-", "SEV-VLEK-"])
def test_turins_chain(snp_vectors: Read, signer: str) -> None:
    """No report of a Turin is at hand, so the chain ends at another line's end key."""
    kind = "vcek" if signer == "SEV-" else "vlek"
    files = ("ARK-Turin.der", f"{signer}Turin.der", f"v3_milan_{kind}.ek.der")
    ark, ask, ek = map(snp_vectors, files)
    report = snp_vectors(f"v3_milan_{kind}.report.bin")
    evidence = Evidence("snp", report, Collateral(ark, ask, ek, None).to_text())
    with pytest.raises(EvidenceInvalid) as caught:
        verify_report(evidence, TIMES[f"v3_milan_{kind}"])
    assert caught.value.details["expected"] == f"SEV-{kind.upper()}"
