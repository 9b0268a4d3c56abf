# SPDX-License-Identifier: Apache-2.0
"""A simulated quoting enclave: writes DCAP version 3 quotes as hardware does.

Layout: Intel SGX ECDSA quote library reference, appendix A. Little endian.

    header 48 | enclave report 384 | u32 length | signature data
    signature data: signature 64 | attestation key 64 | QE report 384 | QE report signature 64 |
                    u16 length, authentication data | u16 kind 5, u32 length, PCK chain (PEM)
"""

import hashlib
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from placet.attestation.simulation.root import SIMULATION_SIGNER
from placet.host.simulation import pki
from placet.host.simulation.platform import (
    CPU_SVN,
    PCE_SVN,
    QE_ATTRIBUTES,
    QE_PRODUCT,
    QE_SIGNER,
    QE_SVN,
    Platform,
)
from placet.host.simulation.root import SIMULATION_PRODUCT, SIMULATION_SVN

_HEADER = struct.Struct("<HHIHH16s20s")
_REPORT = struct.Struct("<16s4s28s16s32s32s32s32s64sHH60s64s")
_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_ECDSA_P256 = 2
_PCK_CHAIN = 5
_AUTHENTICATION_DATA = bytes(32)
_QE_MEASUREMENT = hashlib.sha256(b"placet/simulation/quoting-enclave/v1/code").digest()
# Initialised, 64-bit; the second half is XFRM: x87, SSE, AVX, AVX-512.
_ATTRIBUTES = bytes([0x05]) + bytes(7) + bytes([0xE7]) + bytes(7)
_DEBUG = 0x02


@dataclass(frozen=True, slots=True)
class EnclaveReport:
    """The fields of an SGX report that the simulation fills; the rest is zero."""

    measurement: bytes  # 32 bytes
    config_id: bytes  # 64 bytes
    report_data: bytes  # 64 bytes, the enclave's choice
    signer: bytes = bytes.fromhex(SIMULATION_SIGNER)
    product: int = SIMULATION_PRODUCT
    svn: int = SIMULATION_SVN
    attributes: bytes = _ATTRIBUTES
    debug: bool = False

    def to_bytes(self) -> bytes:
        """Return the 384 bytes of the report."""
        first = self.attributes[0] | (_DEBUG if self.debug else 0)
        return _REPORT.pack(
            CPU_SVN,
            bytes(4),
            bytes(28),
            bytes([first]) + self.attributes[1:],
            self.measurement,
            bytes(32),
            self.signer,
            bytes(32),
            self.config_id,
            self.product,
            self.svn,
            bytes(60),
            self.report_data,
        )


class QuotingEnclave:
    """Holds an attestation key that the machine's PCK has vouched for."""

    def __init__(self, platform: Platform) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        point = pki.public_point(self._key)
        own = EnclaveReport(
            measurement=_QE_MEASUREMENT,
            config_id=bytes(64),
            report_data=hashlib.sha256(point + _AUTHENTICATION_DATA).digest() + bytes(32),
            signer=QE_SIGNER,
            product=QE_PRODUCT,
            svn=QE_SVN,
            attributes=QE_ATTRIBUTES,
        ).to_bytes()
        chain = platform.chain.encode()
        self._header = _HEADER.pack(3, _ECDSA_P256, 0, QE_SVN, PCE_SVN, _VENDOR, bytes(20))
        self._tail = b"".join(
            (
                point,
                own,
                pki.sign_raw(platform.pck.key, own),
                struct.pack("<H", len(_AUTHENTICATION_DATA)),
                _AUTHENTICATION_DATA,
                struct.pack("<HI", _PCK_CHAIN, len(chain)),
                chain,
            )
        )

    def quote(self, report: EnclaveReport) -> bytes:
        """Return a quote of the report."""
        signed = self._header + report.to_bytes()
        signature = pki.sign_raw(self._key, signed)
        return signed + struct.pack("<I", 64 + len(self._tail)) + signature + self._tail
