# SPDX-License-Identifier: Apache-2.0
"""Each bit of a report that may be set is a claim by a name of its own, and a policy judges it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from placet.attestation import Claims, Policy, verify_appraisal
from placet.attestation.snp import verify_snp
from placet.attestation.snp.bits import BITS, KNOWN, MITIGATIONS
from placet.refusals import AppraisalRefused
from tests.support.policies import ANY_MACHINE, policy

# What the vendor's reports say by themselves.
OWN = {
    "platform.ecc",
    "platform.alias_check",
    "policy.smt",
    "launch_mitigation.0",
    "current_mitigation.0",
    "current_mitigation.1",
}
# Offset and size of each register, its first value, and the bits that are judged elsewhere.
REGISTERS = {
    "platform": (0x40, 8, 0x25, {0}),
    "policy": (0x08, 8, 0x3001F, {*range(16), 17, 18, 19}),
    "flags": (0x48, 4, 0, {*range(5)}),
    "launch_mitigation": (0x1F8, 8, 1, set[int]()),
    "current_mitigation": (0x200, 8, 3, set[int]()),
}
WORDS = {
    "platform": dict(enumerate(
        ("tsme", "ecc", "rapl_disabled", "ciphertext_hiding", "alias_check", "iommu_write_safe",
         "tio"), 1,
    )),
    "policy": {16: "smt"} | dict(enumerate(
        ("single_socket", "cxl", "aes_256_xts", "rapl_disabled", "ciphertext_hiding",
         "page_swap_disabled"), 20,
    )),
}  # fmt: skip


def every_bit() -> Iterator[tuple[str, dict[int, bytes]]]:
    """The name of each bit by AMD's tables, and what sets it in a report."""
    for register, (offset, size, value, elsewhere) in REGISTERS.items():
        for number in set(range(8 * size)) - elsewhere:
            name = WORDS.get(register, {}).get(number, str(number))
            yield f"{register}.{name}", {offset: (value | 1 << number).to_bytes(size, "little")}


def wanted(claims: Claims, **changed: Any) -> Policy:
    fields = {"kinds": [claims.kind], "measurements": [claims.measurement], **ANY_MACHINE}
    return policy(**(fields | changed))


def refusal(vendor: Any, claims: Claims, **changed: Any) -> str:
    """The check that refuses, or nothing."""
    try:
        verify_appraisal(claims, wanted(claims, **changed), now=vendor.now, launched_for=None)
    except AppraisalRefused as error:
        return error.details["claim"]
    return ""


def test_each_bit_is_one_name() -> None:
    assert {name for name, _ in every_bit()} == BITS
    assert {name for name in BITS if not name.rpartition(".")[2].isdigit()} | MITIGATIONS == KNOWN


@pytest.mark.parametrize("register", REGISTERS)
def test_each_bit_is_read_and_judged_by_the_policy_alone(vendor: Any, register: str) -> None:
    bare = verify_snp(vendor.evidence(version=5), vendor.now, vendor.machines)
    assert set(bare.snp_bits or ()) == OWN
    for name, edits in every_bit():
        if not name.startswith(register + "."):
            continue
        evidence = vendor.evidence(version=5, edits=edits)
        claims = verify_snp(evidence, vendor.now, vendor.machines)
        assert set(claims.snp_bits or ()) == OWN | {name}
        # A bit without a word is refused until a policy names it.
        expected = "" if name in KNOWN else "snp_bits_allowed"
        assert refusal(vendor, claims) == expected
        assert refusal(vendor, claims, snp_bits_allowed="any") == ""
        assert refusal(vendor, claims, snp_bits_allowed=(*sorted(OWN - {name}), name)) == ""
        harmless = name in OWN | MITIGATIONS
        listed = refusal(vendor, claims, snp_bits_allowed=tuple(sorted(OWN)))
        assert listed == ("" if harmless else "snp_bits_allowed")
        # Required is allowed too, and missed where it is not set.
        assert refusal(vendor, claims, snp_bits_required=(name,)) == ""
        missed = refusal(vendor, bare, snp_bits_required=(name,))
        assert missed == ("" if name in OWN else "snp_bits_required")


def test_none_allows_what_is_required_alone(vendor: Any) -> None:
    claims = verify_snp(vendor.evidence(version=5), vendor.now, vendor.machines)
    assert refusal(vendor, claims, snp_bits_allowed="none") == "snp_bits_allowed"
    own = tuple(sorted(OWN))
    assert refusal(vendor, claims, snp_bits_allowed="none", snp_bits_required=own) == ""


def test_other_hardware_has_no_such_bits(vendor: Any) -> None:
    claims = verify_snp(vendor.evidence(), vendor.now, vendor.machines)
    other = replace(claims, kind="sgx", snp_bits=None)
    strict = {"snp_bits_required": ("platform.ecc",), "snp_bits_allowed": "none"}
    assert refusal(vendor, other, kinds=("sgx",), **strict) == ""
    # No bit set is not the same as other hardware.
    nothing = replace(claims, snp_bits=())
    assert refusal(vendor, nothing, **strict) == "snp_bits_required"


@pytest.mark.parametrize("line", ["Milan", "Genoa", "Turin"])
@pytest.mark.parametrize("oid", ["3.4", "3.5", "3.6", "3.7"])
def test_reserved_numbers_of_a_certificate_may_be_left_out(
    vendor: Any, line: str, oid: str
) -> None:
    without = vendor.evidence(line, ek=vendor.ek(line, changed={oid: None}))
    assert verify_snp(without, vendor.now, vendor.machines).snp_tcb
