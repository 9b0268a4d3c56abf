# SPDX-License-Identifier: Apache-2.0
"""The attestation report, 1,184 bytes, little-endian (AMD 56860, ATTESTATION_REPORT).

Versions 2, 3 and 5 are read: 3 added the processor's CPUID, 5 the mitigation vectors. Every byte is
a field, a part of the signature, or has to be zero; so an accepted report has no second spelling.

Single bits that a later firmware may set are read and not judged: they are claims (`bits_of`).
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from placet.attestation.snp.tcb import TCB_BYTES
from placet.refusals import EvidenceMalformed

REPORT_BYTES: Final = 0x4A0
SIGNED_BYTES: Final = 0x2A0
VERSIONS: Final = (2, 3, 5)
ECDSA_P384_SHA384: Final = 1
KEYS: Final = ("VCEK", "VLEK")  # by SIGNING_KEY

_NUMBER_BYTES = 48  # of r and of s, each in a field of 72 bytes
_R, _S = 0x2A0, 0x2E8
_ALWAYS_ZERO = (
    (0x04C, 0x050),
    (0x18B, 0x1A0),
    (0x1EB, 0x1EC),
    (0x1EF, 0x1F0),
    (0x208, SIGNED_BYTES),
    (_R + _NUMBER_BYTES, _S),
    (_S + _NUMBER_BYTES, REPORT_BYTES),
)
_ZERO_BEFORE = {3: (0x188, 0x18B), 5: (0x1F8, 0x208)}  # fields that a version brought

POLICY_ONE = 1 << 17
POLICY_MIGRATION = 1 << 18
POLICY_DEBUG = 1 << 19
PLATFORM_SMT = 1 << 0
_AUTHOR_KEY = 1 << 0
_MASK_CHIP_KEY = 1 << 1
_SIGNING_KEY_SHIFT, _SIGNING_KEY_MASK = 2, 0b111


@dataclass(frozen=True, slots=True)
class Report:
    """A report's fields, by the names of the ABI; not yet believed."""

    version: int
    guest_svn: int
    policy: int
    family_id: bytes  # 16
    image_id: bytes  # 16
    vmpl: int  # 0 to 3
    current_tcb: bytes  # 8, as all TCBs: their layout depends on the machine
    platform_info: int
    flags: int
    signing_key: str  # one of KEYS
    report_data: bytes  # 64
    measurement: bytes  # 48
    host_data: bytes  # 32
    id_key_digest: bytes  # 48; zeros without an ID block
    author_key_digest: bytes  # 48; zeros where no author signed the ID key
    reported_tcb: bytes
    cpuid: tuple[int, int] | None  # family and model; None in version 2
    chip_id: bytes  # 64; zeros where the host masks it
    committed_tcb: bytes
    current_version: tuple[int, int, int]  # of the firmware: major, minor, build
    committed_version: tuple[int, int, int]
    launch_tcb: bytes
    launch_mitigations: int  # each bit a vulnerability that is mitigated; 0 before version 5
    current_mitigations: int
    signed: bytes  # 672
    signature: tuple[int, int]  # r and s

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a report; raise EvidenceMalformed for what the ABI does not allow."""
        _require(len(data) == REPORT_BYTES, "length", str(REPORT_BYTES), str(len(data)))
        version = _number(data, 0x00, 4)
        allowed = ", ".join(str(one) for one in VERSIONS)
        _require(version in VERSIONS, "version", allowed, str(version))
        _check_zeros(data, version)
        _check_words(data)
        return cls(
            version=version,
            guest_svn=_number(data, 0x04, 4),
            policy=_number(data, 0x08, 8),
            family_id=data[0x10:0x20],
            image_id=data[0x20:0x30],
            vmpl=_number(data, 0x30, 4),
            current_tcb=_tcb(data, 0x38),
            platform_info=_number(data, 0x40, 8),
            flags=_number(data, 0x48, 4),
            signing_key=KEYS[_signing_key(data)],
            report_data=data[0x50:0x90],
            measurement=data[0x90:0xC0],
            host_data=data[0xC0:0xE0],
            id_key_digest=data[0xE0:0x110],
            author_key_digest=data[0x110:0x140],
            reported_tcb=_tcb(data, 0x180),
            cpuid=(data[0x188], data[0x189]) if version >= 3 else None,
            chip_id=data[0x1A0:0x1E0],
            committed_tcb=_tcb(data, 0x1E0),
            current_version=_firmware(data, 0x1E8),
            committed_version=_firmware(data, 0x1EC),
            launch_tcb=_tcb(data, 0x1F0),
            launch_mitigations=_number(data, 0x1F8, 8),
            current_mitigations=_number(data, 0x200, 8),
            signed=data[:SIGNED_BYTES],
            signature=(_number(data, _R, _NUMBER_BYTES), _number(data, _S, _NUMBER_BYTES)),
        )


def _check_zeros(data: bytes, version: int) -> None:
    later = (span for first, span in _ZERO_BEFORE.items() if version < first)
    for start, end in (*_ALWAYS_ZERO, *later):
        zero = not any(data[start:end])
        _require(zero, f"bytes {start:#x} to {end:#x}", "zeros", "other bytes")


def _check_words(data: bytes) -> None:
    """Check the numbers of which only some values have a meaning."""
    policy, flags = _number(data, 0x08, 8), _number(data, 0x48, 4)
    vmpl, algorithm = struct.unpack_from("<II", data, 0x30)
    _require(bool(policy & POLICY_ONE), "policy", "bit 17 set", hex(policy))
    _require(vmpl <= 3, "vmpl", "0 to 3", str(vmpl))
    _require(algorithm == ECDSA_P384_SHA384, "signature_algo", "1", str(algorithm))
    key = _signing_key(data)
    _require(key < len(KEYS), "signing_key", "0 (VCEK) or 1 (VLEK)", str(key))
    # With MASK_CHIP_KEY the firmware signs nothing with the chip's key.
    masked = KEYS[key] == "VCEK" and flags & _MASK_CHIP_KEY
    _require(not masked, "mask_chip_key", "clear under a VCEK", "set")
    author = bool(flags & _AUTHOR_KEY)
    _require(any(data[0x110:0x140]) == author, "author_key_en", "as the digest", str(author))
    # An author vouches for an ID key, so there must be one.
    _require(not author or any(data[0xE0:0x110]), "id_key_digest", "a digest", "zeros")


def _require(holds: bool, claim: str, expected: str, actual: str) -> None:
    if not holds:
        raise EvidenceMalformed(
            f"The SNP report cannot be read: {claim} must be {expected} and is {actual}.",
            claim=claim,
            expected=expected,
            actual=actual,
        )


def _number(data: bytes, offset: int, size: int) -> int:
    return int.from_bytes(data[offset : offset + size], "little")


def _signing_key(data: bytes) -> int:
    return _number(data, 0x48, 4) >> _SIGNING_KEY_SHIFT & _SIGNING_KEY_MASK


def _tcb(data: bytes, offset: int) -> bytes:
    return data[offset : offset + TCB_BYTES]


def _firmware(data: bytes, offset: int) -> tuple[int, int, int]:
    build, minor, major = data[offset : offset + 3]
    return major, minor, build
