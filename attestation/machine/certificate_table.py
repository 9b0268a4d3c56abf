# SPDX-License-Identifier: Apache-2.0
"""The certificates that the host of an SEV-SNP machine hands out, as collateral.

auxblob is the table of the GHCB specification (56421), section 4.1.8.1: entries of GUID (16 bytes),
u32 offset, u32 length, both little-endian, an entry of zeros at the end; then DER certificates.
"""

import uuid

from placet.attestation.snp import Collateral
from placet.refusals import AttesterUnavailable, EvidenceMalformed

_ENTRY_BYTES = 24
_MAX_ENTRIES = 16
_NAMES = {
    uuid.UUID("63da758d-e664-4564-adc5-f4b93be8accd"): "vcek",
    uuid.UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"): "vlek",
    uuid.UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"): "ask",
    uuid.UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"): "ark",
}
_REMEDY = "fetch them with placet collateral fetch, and name the file with --collateral"


def certificates(table: bytes) -> dict[str, bytes]:
    """Return the DER certificates of a table by name (vcek, vlek, ask, ark); raises
    AttesterUnavailable."""
    found: dict[str, bytes] = {}
    for number in range(_MAX_ENTRIES):
        entry = table[number * _ENTRY_BYTES : (number + 1) * _ENTRY_BYTES]
        if len(entry) < _ENTRY_BYTES or not any(entry):
            break
        start = int.from_bytes(entry[16:20], "little")
        size = int.from_bytes(entry[20:24], "little")
        name = _NAMES.get(uuid.UUID(bytes=entry[:16]))
        if name is None:
            continue  # entries of others are allowed there
        if name in found or not 0 < size <= len(table) - start:
            raise AttesterUnavailable("The host's certificate table does not hold together.")
        found[name] = table[start : start + size]
    return found


def collateral_of(report: bytes, table: bytes) -> str:
    """Return the collateral of kind snp for a report, from the host's table; raises
    AttesterUnavailable.

    Which key signed is in bits 2 to 4 at 0x48 of the report: 0 the VCEK, 1 the VLEK. `ask` is the
    certificate above it.
    """
    found = certificates(table)
    signer = "vlek" if report[0x48] >> 2 & 7 == 1 else "vcek"
    wanted = ("ark", "ask", signer)
    if not found.keys() >= set(wanted):
        raise AttesterUnavailable(
            f"The host of this machine does not hand out the certificates for it: {_REMEDY}.",
            claim="collateral",
            expected=", ".join(wanted),
            actual=", ".join(found) or "none",
            remedy=_REMEDY,
        )
    try:
        return Collateral(found["ark"], found["ask"], found[signer], None).to_text()
    except EvidenceMalformed as error:
        raise AttesterUnavailable(str(error), **error.details) from error
