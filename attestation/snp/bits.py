# SPDX-License-Identifier: Apache-2.0
"""The single bits of a report by name: what machine, guest and firmware say (AMD 56860).

A bit that this version knows has a word (`platform.ecc`). Any other has its number (`platform.8`),
so that a policy can accept it before Placet knows what it means. Left out are the bits that other
claims or checks are made of: SMT of the platform, and of the guest's policy ABI, bit 17, migration
and debug.
"""

from collections.abc import Mapping
from typing import Final

from placet.attestation.snp.report import Report
from placet.refusals import PolicyInvalid

_PLATFORM: Final = {
    1: "tsme",
    2: "ecc",
    3: "rapl_disabled",
    4: "ciphertext_hiding",
    5: "alias_check",
    6: "iommu_write_safe",
    7: "tio",
}
_POLICY: Final = {
    16: "smt",
    20: "single_socket",
    21: "cxl",
    22: "aes_256_xts",
    23: "rapl_disabled",
    24: "ciphertext_hiding",
    25: "page_swap_disabled",
}


def _names(register: str, numbers: set[int], known: Mapping[int, str]) -> dict[int, str]:
    return {number: f"{register}.{known.get(number, number)}" for number in sorted(numbers)}


# Each bit that is named, by the field of the report that holds it.
_NAMES: Final = {
    "platform_info": _names("platform", set(range(1, 64)), _PLATFORM),
    "policy": _names("policy", set(range(16, 64)) - {17, 18, 19}, _POLICY),
    "flags": _names("flags", set(range(5, 32)), {}),
    "launch_mitigations": _names("launch_mitigation", set(range(64)), {}),
    "current_mitigations": _names("current_mitigation", set(range(64)), {}),
}
# A mitigation that is in place is never a reason to refuse; AMD's bulletins say which bit is which.
MITIGATIONS: Final = frozenset(
    name for field, names in _NAMES.items() if "mitigations" in field for name in names.values()
)
KNOWN: Final = MITIGATIONS.union(
    (f"platform.{word}" for word in _PLATFORM.values()),
    (f"policy.{word}" for word in _POLICY.values()),
)
BITS: Final = frozenset(name for names in _NAMES.values() for name in names.values())


def bits_of(report: Report) -> tuple[str, ...]:
    """The names of the bits that are set."""
    return tuple(
        name
        for field, names in _NAMES.items()
        for number, name in names.items()
        if getattr(report, field) >> number & 1
    )


def check_bit(value: object) -> str:
    """Return the name of a bit; raise PolicyInvalid for any other text."""
    if isinstance(value, str) and value in BITS:
        return value
    raise PolicyInvalid(
        "An SNP bit is named as docs/formats.md says: a word where it has one, else its number.",
        claim="snp_bits",
        expected="for example platform.ecc, policy.cxl or platform.8",
    )
