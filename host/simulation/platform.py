# SPDX-License-Identifier: Apache-2.0
"""A simulated machine: its provisioning certificate, and the collateral that Intel would publish.

Formats: Intel's PCK certificate profile (extension 1.2.840.113741.1.13.1), TCB info version 3 and
QE identity version 2, as the provisioning certification service serves them.
"""

import datetime
import hashlib
import json
from dataclasses import dataclass

from cryptography import x509

from placet.host.simulation import pki
from placet.host.simulation.root import Issuer

CLOCK_TOLERANCE_SECONDS = 600  # collateral starts this much early, for verifiers whose clock lags
COLLATERAL_SECONDS = 30 * 24 * 3600  # what Intel gives
QE_SIGNER = hashlib.sha256(b"placet/simulation/quoting-enclave/v1").digest()
QE_PRODUCT = 1
QE_SVN = 1
QE_ATTRIBUTES = bytes([0x11]) + bytes(15)  # initialised, provisioning key, no debug
CPU_SVN = bytes([1]) * 16
PCE_SVN = 1

_SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
_SGX_ARC = bytes.fromhex("2a864886f84d010d01")  # the same identifier as DER content
_FMSPC = bytes.fromhex("00504c414345")
_PCE_ID = bytes(2)


@dataclass(frozen=True, slots=True)
class TCB:
    """What the collateral says of every machine."""

    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    evaluation: int = 1


@dataclass(frozen=True, slots=True)
class Platform:
    """One machine below a root."""

    pck: Issuer
    chain: str  # PEM: PCK, PCK CA, root
    collateral: str  # JSON as dcap-qvl reads it
    validity: pki.Validity


def make_platform(
    root: Issuer, ppid: bytes, now: int, *, tcb: TCB | None = None, revoked: bool = False
) -> Platform:
    """Return a machine named by 16 bytes, with collateral that is fresh at `now` (Unix seconds)."""
    validity = pki.Validity(now - CLOCK_TOLERANCE_SECONDS, now + COLLATERAL_SECONDS)
    pck_ca = pki.issue_pck_ca(root, validity)
    pck = pki.issue_pck(pck_ca, _sgx_extension(ppid), validity)
    signer = pki.issue_tcb_signer(root, validity)
    tcb = TCB() if tcb is None else tcb
    tcb_info, qe_identity = _tcb_info(validity, tcb), _qe_identity(validity, tcb)
    serials = (pck.certificate.serial_number,) if revoked else ()
    signer_chain = pki.pem([signer.certificate, root.certificate])
    collateral = {
        "pck_crl_issuer_chain": pki.pem([pck_ca.certificate, root.certificate]),
        "root_ca_crl": pki.revocation_list(root, validity).hex(),
        "pck_crl": pki.revocation_list(pck_ca, validity, serials).hex(),
        "tcb_info_issuer_chain": signer_chain,
        "tcb_info": tcb_info,
        "tcb_info_signature": pki.sign_raw(signer.key, tcb_info.encode()).hex(),
        "qe_identity_issuer_chain": signer_chain,
        "qe_identity": qe_identity,
        "qe_identity_signature": pki.sign_raw(signer.key, qe_identity.encode()).hex(),
    }
    chain = pki.pem([pck.certificate, pck_ca.certificate, root.certificate])
    return Platform(pck, chain, json.dumps(collateral), validity)


def _dates(validity: pki.Validity, tcb: TCB) -> dict[str, object]:
    return {
        "issueDate": _rfc3339(validity.first),
        "nextUpdate": _rfc3339(validity.last),
        "tcbEvaluationDataNumber": tcb.evaluation,
    }


def _tcb_info(validity: pki.Validity, tcb: TCB) -> str:
    components = [{"svn": svn} for svn in CPU_SVN]
    level = {
        "tcb": {"sgxtcbcomponents": components, "pcesvn": PCE_SVN},
        "tcbDate": _rfc3339(validity.first),
        "tcbStatus": tcb.status,
        "advisoryIDs": list(tcb.advisories),
    }
    document = {
        "id": "SGX",
        "version": 3,
        **_dates(validity, tcb),
        "fmspc": _FMSPC.hex().upper(),
        "pceId": _PCE_ID.hex(),
        "tcbType": 0,
        "tcbLevels": [level],
    }
    return json.dumps(document, separators=(",", ":"))


def _qe_identity(validity: pki.Validity, tcb: TCB) -> str:
    level = {
        "tcb": {"isvsvn": QE_SVN},
        "tcbDate": _rfc3339(validity.first),
        "tcbStatus": "UpToDate",
    }
    document = {
        "id": "QE",
        "version": 2,
        **_dates(validity, tcb),
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": QE_ATTRIBUTES.hex().upper(),
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_SIGNER.hex().upper(),
        "isvprodid": QE_PRODUCT,
        "tcbLevels": [level],
    }
    return json.dumps(document, separators=(",", ":"))


def _rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _sgx_extension(ppid: bytes) -> x509.UnrecognizedExtension:
    """Encode the extension: a sequence of (identifier, value), the TCB being one more of these."""
    svns = [_entry(b"\x02" + bytes([i + 1]), _der(0x02, bytes([n]))) for i, n in enumerate(CPU_SVN)]
    svns.append(_entry(b"\x02\x11", _der(0x02, bytes([PCE_SVN]))))
    svns.append(_entry(b"\x02\x12", _der(0x04, CPU_SVN)))
    entries = (
        _entry(b"\x01", _der(0x04, ppid)),
        _entry(b"\x02", _der(0x30, b"".join(svns))),
        _entry(b"\x03", _der(0x04, _PCE_ID)),
        _entry(b"\x04", _der(0x04, _FMSPC)),
        _entry(b"\x05", _der(0x0A, b"\x00")),
    )
    return x509.UnrecognizedExtension(_SGX_EXTENSION, _der(0x30, b"".join(entries)))


def _entry(arc: bytes, value: bytes) -> bytes:
    return _der(0x30, _der(0x06, _SGX_ARC + arc) + value)


def _der(tag: int, content: bytes) -> bytes:
    """Encode one DER element of less than 64 KiB (X.690, 8.1.3)."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes(1 if size < 0x100 else 2, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
