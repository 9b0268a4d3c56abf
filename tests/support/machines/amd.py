# SPDX-License-Identifier: Apache-2.0
"""A vendor of SNP machines with keys of its own: the same certificates, extensions and reports."""

import functools
import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from placet.attestation import Evidence
from placet.attestation.snp import MACHINES, REPORT_BYTES, Collateral, Machine

NOW = 1_800_000_000
YEAR = 365 * 86400
PSS = padding.PSS(mgf=padding.MGF1(SHA384()), salt_length=48)
AMD = "1.3.6.1.4.1.3704.1."
CPUID = {"Milan": b"\x19\x01\x01", "Genoa": b"\x19\x11\x01", "Turin": b"\x1a\x02\x01"}
CHIP = bytes(range(64))
# Bootloader 4, TEE 1, SNP 24, microcode 219; on Turin FMC 2 before them.
TCB = {
    "Milan": bytes((4, 1, 0, 0, 0, 0, 24, 219)),
    "Genoa": bytes((4, 1, 0, 0, 0, 0, 24, 219)),
    "Turin": bytes((2, 4, 1, 24, 0, 0, 0, 219)),
}
NUMBERS = {"3.1": 4, "3.2": 1, "3.3": 24, "3.4": 0, "3.5": 0, "3.6": 0, "3.7": 0, "3.8": 219}

Edits = Mapping[int, bytes]


class Vendor:
    """What AMD is in the tests; two RSA keys serve every line, because making them takes
    seconds."""

    now = NOW

    def __init__(self) -> None:
        self.root = rsa.generate_private_key(65537, 4096)
        self.authority = rsa.generate_private_key(65537, 4096)
        self.end = ec.generate_private_key(ec.SECP384R1())
        self.certificate = functools.cache(self._certificate)

    @property
    def machines(self) -> tuple[Machine, ...]:
        """AMD's lines below this vendor's roots."""
        return tuple(
            replace(one, root=hashlib.sha256(self.ark(one.name)).hexdigest()) for one in MACHINES
        )

    def _certificate(
        self,
        subject: str,
        issuer: str,
        holder: Any,
        signer: rsa.RSAPrivateKey,
        *,
        serial: int = 1,
        authority: bool = False,
        extensions: tuple[tuple[str, bytes], ...] = (),
        dates: tuple[int, int] = (NOW - YEAR, NOW + YEAR),
        pss: bool = True,
    ) -> bytes:
        start, stop = (datetime.fromtimestamp(one, UTC) for one in dates)
        builder = (
            x509.CertificateBuilder(_name(issuer), _name(subject), holder.public_key())
            .serial_number(max(serial, 1))
            .not_valid_before(start)
            .not_valid_after(stop)
        )
        if authority:
            builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        for oid, value in extensions:
            known = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
            builder = builder.add_extension(known, critical=False)
        made = builder.sign(signer, SHA384(), rsa_padding=PSS if pss else padding.PKCS1v15())
        der = made.public_bytes(Encoding.DER)
        return der if serial else _without_serial(der, made.tbs_certificate_bytes, signer)

    def ark(self, line: str, **options: Any) -> bytes:
        """The root's certificate."""
        name, key = f"ARK-{line}", self.root
        return self.certificate(name, name, key, key, authority=True, **options)

    def ask(self, line: str, kind: str = "VCEK", **options: Any) -> bytes:
        """The ASK, or the ASVK, which is another."""
        name = ("SEV-" if kind == "VCEK" else "SEV-VLEK-") + line
        options = {"serial": 7, "authority": True, "signer": self.root, **options}
        return self.certificate(name, f"ARK-{line}", self.authority, **options)

    def ek(
        self,
        line: str,
        kind: str = "VCEK",
        changed: Mapping[str, bytes | None] | None = None,
        **options: Any,
    ) -> bytes:
        """The end key's certificate, with serial number 0 as AMD has it."""
        found: dict[str, bytes | None] = {"1": _integer(0)}
        found |= {key: _integer(number) for key, number in NUMBERS.items()}
        if line == "Turin":  # whose certificates leave 3.4 out
            found |= {"3.4": None, "3.9": _integer(2)}
        if kind == "VCEK":
            found["4"] = CHIP[:8] if line == "Turin" else CHIP
        else:
            found["5"] = b"\x16\x0bCN=cloud.ex"
        extensions = {**found, **(changed or {})}
        given = tuple((AMD + oid, value) for oid, value in extensions.items() if value is not None)
        issuer = ("SEV-" if kind == "VCEK" else "SEV-VLEK-") + line
        options = {
            "holder": self.end,
            "signer": self.authority,
            "serial": 0,
            "extensions": given,
            **options,
        }
        return self.certificate(f"SEV-{kind}", issuer, **options)

    def crl(
        self,
        line: str,
        serials: Sequence[int] = (),
        *,
        dates: tuple[int, int] = (NOW - 86400, NOW + 86400),
        signer: rsa.RSAPrivateKey | None = None,
    ) -> bytes:
        """The root's revocation list."""
        start, stop = (datetime.fromtimestamp(one, UTC) for one in dates)
        builder = x509.CertificateRevocationListBuilder(_name(f"ARK-{line}"), start, stop)
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder(serial, start).build()
            builder = builder.add_revoked_certificate(revoked)
        made = builder.sign(signer or self.root, SHA384(), rsa_padding=PSS)
        return made.public_bytes(Encoding.DER)

    def report(
        self, line: str, version: int = 3, kind: str = "VCEK", edits: Edits | None = None
    ) -> bytes:
        """A signed report; edits (offset to bytes) are made before it is signed."""
        data = bytearray(REPORT_BYTES)
        chip = (CHIP[:8].ljust(64, b"\0") if line == "Turin" else CHIP) if kind == "VCEK" else b""
        fields: dict[int, bytes] = {
            0x00: struct.pack("<IIQ", version, 5, 0x3001F),
            0x30: struct.pack("<II", 0, 1),
            0x38: TCB[line],
            0x40: struct.pack("<QI", 0x25, 0 if kind == "VCEK" else 1 << 2),
            0x50: b"r" * 64,
            0x90: b"m" * 48,
            0xC0: b"h" * 32,
            0xE0: b"k" * 48,
            0x140: b"i" * 32 + b"\xff" * 32,
            0x180: TCB[line] + (CPUID[line] if version >= 3 else b""),
            0x1A0: chip,
            0x1E0: TCB[line] + bytes((4, 55, 1, 0, 4, 55, 1, 0)) + TCB[line],
            **({0x1F8: b"\x01" + bytes(7) + b"\x03"} if version == 5 else {}),
        }
        for offset, value in (*fields.items(), *(edits or {}).items()):
            data[offset : offset + len(value)] = value
        return self.sign(data)

    def sign(self, data: bytearray) -> bytes:
        """Sign the bytes of a report."""
        signature = self.end.sign(bytes(data[:0x2A0]), ec.ECDSA(SHA384()))
        for offset, number in zip((0x2A0, 0x2E8), decode_dss_signature(signature), strict=True):
            data[offset : offset + 72] = number.to_bytes(72, "little")
        return bytes(data)

    def evidence(
        self,
        line: str = "Milan",
        version: int = 3,
        kind: str = "VCEK",
        *,
        edits: Edits | None = None,
        **collateral: bytes | None,
    ) -> Evidence:
        """Evidence, with the parts of the collateral that are given instead of the right ones."""
        given = {
            "ark": self.ark(line),
            "ask": self.ask(line, kind),
            "ek": self.ek(line, kind),
            "crl": None,
            **collateral,
        }
        text = Collateral(**given).to_text()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return Evidence("snp", self.report(line, version, kind, edits), text)


def _name(common: str) -> x509.Name:
    names = {NameOID.ORGANIZATION_NAME: "Advanced Machines", NameOID.COMMON_NAME: common}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in names.items()])


def _integer(number: int) -> bytes:
    content = number.to_bytes(1 + (number > 127), "big")
    return bytes((2, len(content))) + content


def _without_serial(der: bytes, tbs: bytes, signer: rsa.RSAPrivateKey) -> bytes:
    """The certificate with serial number 0, which builders refuse to make."""
    version, one = bytes.fromhex("a003020102"), bytes.fromhex("020101")
    changed = tbs.replace(version + one, version + bytes.fromhex("020100"), 1)
    return der.replace(tbs, changed)[:-512] + signer.sign(changed, PSS, SHA384())
