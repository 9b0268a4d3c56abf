# SPDX-License-Identifier: Apache-2.0
"""Cases of SEV-SNP: a report, each of its bits alone, and a guest SVN that takes 32 bits.

The vendor is that of the tests of SNP: certificates, extensions and reports as AMD's, below a root
of its own.
"""

from collections.abc import Iterator
from typing import Any

from placet.attestation import Identity
from tests.support.machines.amd import Vendor

_REGISTERS = {
    "platform": (0x40, 8, 0),
    "policy": (0x08, 8, 1 << 17),  # which is always set
    "flags": (0x48, 4, 0),
    "launch_mitigation": (0x1F8, 8, 0),
    "current_mitigation": (0x200, 8, 0),
}
# Each bit with a word, and the first and the last without one.
_BITS = {
    "platform": {
        1: "tsme",
        2: "ecc",
        3: "rapl_disabled",
        4: "ciphertext_hiding",
        5: "alias_check",
        6: "iommu_write_safe",
        7: "tio",
        8: "8",
        63: "63",
    },
    "policy": {
        16: "smt",
        20: "single_socket",
        21: "cxl",
        22: "aes_256_xts",
        23: "rapl_disabled",
        24: "ciphertext_hiding",
        25: "page_swap_disabled",
        26: "26",
        63: "63",
    },
    "flags": {5: "5", 31: "31"},
    "launch_mitigation": {0: "0", 63: "63"},
    "current_mitigation": {0: "0", 63: "63"},
}
_REFUSED = "AppraisalRefused"


def snp_cases(identity: Identity, said: bytes, launched_for: str) -> Iterator[dict[str, Any]]:
    """The fields of each case, for an identity whose report data are `said`."""
    vendor = Vendor()
    bare = {start: value.to_bytes(size, "little") for start, size, value in _REGISTERS.values()}
    bare |= {0x50: said, 0xC0: b"\xcd" * 32}
    wanted = {
        "kinds": ["snp"],
        "measurements": ["6d" * 48],
        "launched_for": [launched_for],
        "platforms": [bytes(range(8)).ljust(64, b"\0").hex()],
        "smt": False,
        "tcb_statuses": ["Unstated"],
        "min_snp_tcb": "2.4.1.24.219",
        "snp_bits_allowed": "none",
        "max_collateral_age_seconds": "any",
    }
    evidence = vendor.evidence("Turin", 5, edits=bare)
    yield {
        "name": "snp",
        "about": "A report of version 5 without a single bit, and a policy that allows none.",
        "evidence": evidence,
        "identity": identity,
        "policy": wanted,
        "root": vendor.ark("Turin"),
    }
    for register, bits in _BITS.items():
        start, size, value = _REGISTERS[register]
        for number, word in bits.items():
            data = (value | 1 << number).to_bytes(size, "little")
            quote = vendor.report("Turin", 5, edits=bare | {start: data})
            yield from _bit(f"{register}.{word}", quote)
    svn = vendor.report("Turin", 5, edits=bare | {0x04: (65547).to_bytes(4, "little")})
    about = "A guest SVN of 65547, which takes more than 16 bits"
    enough, more = {"of": "snp", "min_svn": 65547}, {"of": "snp", "min_svn": 65548}
    yield _case("snp_svn", f"{about}, and is enough.", quote=svn, policy=enough)
    yield _case("snp_svn_fail", f"{about}.", _REFUSED, of="snp_svn", policy=more)


def _bit(bit: str, quote: bytes) -> Iterator[dict[str, Any]]:
    name = "snp_bit_" + bit.replace(".", "_")
    wanted = {"of": "snp"}
    required = {"of": "snp", "snp_bits_required": [bit]}
    yield _case(name, f"{bit} is set, and required.", quote=quote, policy=required)
    about = f"{bit} is required, and not set."
    yield _case(f"{name}_unset_fail", about, _REFUSED, policy=required)
    if "mitigation" in bit:  # which nobody has to allow
        yield _case(f"{name}_allowed", f"{bit} is set, and nobody asked.", of=name, policy=wanted)
        return
    yield _case(f"{name}_fail", f"{bit} is set, and not allowed.", _REFUSED, of=name, policy=wanted)


def _case(name: str, about: str, expected: str = "", **fields: Any) -> dict[str, Any]:
    return {"name": name, "about": about, "expected": expected, "of": "snp", **fields}
