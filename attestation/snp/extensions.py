# SPDX-License-Identifier: Apache-2.0
"""AMD's own extensions of an end key's certificate (AMD 57230) say TCB, chip and provider.

The product name among them is not read: the chain says which line this is, and some are wrong.
"""

from cryptography import x509

from placet.attestation.snp.machine import Machine
from placet.attestation.snp.tcb import Tcb
from placet.refusals import EvidenceMalformed, Refusal

_AMD = "1.3.6.1.4.1.3704.1."
# Of the TCB. Those without a name are reserved: Turin's certificates leave 3.4 out, others have
# zeros.
_NUMBERS = {
    "3.1": "bootloader",
    "3.2": "tee",
    "3.3": "snp",
    "3.4": "",
    "3.5": "",
    "3.6": "",
    "3.7": "",
    "3.8": "microcode",
}
_FMC = {"3.9": "fmc"}
_CHIP, _PROVIDER = _AMD + "4", _AMD + "5"
_INTEGER, _OCTETS, _IA5 = 0x02, 0x04, 0x16


def read_extensions(
    certificate: x509.Certificate, kind: str, machine: Machine
) -> tuple[bytes | None, str, Tcb]:
    """Return chip (64 bytes; None for a VLEK), provider ("" for a VCEK) and TCB of an end key.

    Raises EvidenceMalformed; what cryptography raises for extensions passes through.
    """
    found = {
        one.oid.dotted_string: one.value.value
        for one in certificate.extensions
        if isinstance(one.value, x509.UnrecognizedExtension)
    }
    if (_CHIP in found, _PROVIDER in found) != (kind == "VCEK", kind == "VLEK"):
        raise EvidenceMalformed(
            "A VCEK names a chip, a VLEK a provider, and neither both.", claim="ek", actual=kind
        )
    chip = _chip(found[_CHIP], machine) if kind == "VCEK" else None
    provider = _text(found[_PROVIDER]) if kind == "VLEK" else ""
    return chip, provider, _tcb(found, machine)


def _tcb(found: dict[str, bytes], machine: Machine) -> Tcb:
    named = _NUMBERS | _FMC if "fmc" in machine.tcb else _NUMBERS
    numbers = {"fmc": 0}
    for oid, name in named.items():
        value = found.get(_AMD + oid, b"")
        if name:
            numbers[name] = _small_integer(value)
        elif value and _small_integer(value):
            raise EvidenceMalformed("The end key has a TCB number that is reserved.")
    return Tcb(**numbers)


def _small_integer(der: bytes) -> int:
    """Read a DER INTEGER from 0 to 255."""
    content = _content(der, _INTEGER)
    number = int.from_bytes(content, "big", signed=True)
    if not 0 <= number <= 255 or len(content) != 1 + (number > 127):
        raise _unreadable()
    return number


def _chip(value: bytes, machine: Machine) -> bytes:
    """Read a chip id as reports have it; AMD has issued it raw and as an OCTET STRING."""
    chip = value if len(value) == machine.id_bytes else _content(value, _OCTETS)
    if len(chip) != machine.id_bytes:
        raise _unreadable()
    return chip.ljust(64, b"\0")


def _text(der: bytes) -> str:
    content = _content(der, _IA5)
    if not content.isascii() or not content.decode("ascii").isprintable():
        raise _unreadable()
    return content.decode("ascii")


def _content(der: bytes, tag: int) -> bytes:
    """Return the content of one short DER value."""
    if len(der) < 3 or der[0] != tag or der[1] != len(der) - 2 or der[1] > 127:
        raise _unreadable()
    return der[2:]


def _unreadable() -> Refusal:
    return EvidenceMalformed("The end key has an AMD extension that cannot be read.")
