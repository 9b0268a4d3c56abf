# SPDX-License-Identifier: Apache-2.0
"""A machine with TDX, made of software under any root: quotes of versions 4 and 5, and their
collateral.

Layouts: Intel TDX DCAP quoting library API, appendix 3; Intel provisioning certification service,
TCB info version 3 and QE identity version 2. The public key infrastructure is that of the
simulation.
"""

import hashlib
import json
import struct
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from placet.host.simulation import pki
from placet.host.simulation.platform import (
    PCE_SVN,
    QE_ATTRIBUTES,
    QE_PRODUCT,
    QE_SIGNER,
    QE_SVN,
    TCB,
    Platform,
    make_platform,
)
from placet.host.simulation.quote import EnclaveReport
from placet.host.simulation.root import Issuer

VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
TEE_TDX = 0x81
SEPT_VE_DISABLE = bytes.fromhex(
    "0000001000000000"
)  # bit 28, without which the host can inject exceptions
DEBUG = bytes.fromhex("0100001000000000")


@dataclass(frozen=True, slots=True)
class TDReport:
    """A TD report as the module makes it; each field is as long as its default says."""

    tee_tcb_svn: bytes = bytes([1]) * 16
    mr_seam: bytes = b"\x5e" * 48
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    td_attributes: bytes = SEPT_VE_DISABLE
    xfam: bytes = bytes.fromhex("e702060000000000")
    mr_td: bytes = b"\xd7" * 48
    mr_config_id: bytes = b"\xcd" * 32 + bytes(16)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    rtmr0: bytes = b"\xf0" * 48
    rtmr1: bytes = b"\xf1" * 48
    rtmr2: bytes = b"\xf2" * 48
    rtmr3: bytes = b"\xf3" * 48
    report_data: bytes = bytes(64)
    tee_tcb_svn2: bytes = bytes([1]) * 16
    mr_service_td: bytes = bytes(48)

    def to_bytes(self, *, newer: bool) -> bytes:
        """The 584 bytes of module 1.0, or the 648 of module 1.5."""
        parts = [getattr(self, name) for name in self.__slots__]
        return b"".join(parts if newer else parts[:-2])


def tdx_platform(
    root: Issuer,
    ppid: bytes,
    now: int,
    *,
    tcb: TCB | None = None,
    revoked: bool = False,
    newer_module: bool = False,
) -> Platform:
    """A machine whose collateral is for TDX; `newer_module`: one has come out since the domain was
    started."""
    tcb = TCB() if tcb is None else tcb
    plain = make_platform(root, ppid, now, tcb=tcb, revoked=revoked)
    signer = pki.issue_tcb_signer(root, plain.validity)
    chain = pki.pem([signer.certificate, root.certificate])
    collateral = json.loads(plain.collateral)
    for name, change in (
        ("tcb_info", _with_newer_module if newer_module else _for_tdx),
        ("qe_identity", _for_td_qe),
    ):
        document = json.loads(collateral[name])
        change(document)
        text = json.dumps(document, separators=(",", ":"))
        collateral[name] = text
        collateral[f"{name}_signature"] = pki.sign_raw(signer.key, text.encode()).hex()
        collateral[f"{name}_issuer_chain"] = chain
    return replace(plain, collateral=json.dumps(collateral))


def _for_tdx(tcb_info: dict[str, Any]) -> None:
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    level = {"tcb": {"isvsvn": 1}, "tcbDate": tcb_info["issueDate"], "tcbStatus": "UpToDate"}
    tcb_info["id"] = "TDX"
    tcb_info["tdxModule"] = module
    tcb_info["tdxModuleIdentities"] = [{"id": "TDX_01", **module, "tcbLevels": [level]}]
    for one in tcb_info["tcbLevels"]:
        one["tcb"]["tdxtcbcomponents"] = [{"svn": 1}] * 16


def _with_newer_module(tcb_info: dict[str, Any]) -> None:
    """Make what is known so far out of date, and module SVN 2 up to date."""
    _for_tdx(tcb_info)
    level = tcb_info["tcbLevels"][0]
    module = tcb_info["tdxModuleIdentities"][0]
    newer = {**level["tcb"], "tdxtcbcomponents": [{"svn": 2}] + [{"svn": 1}] * 15}
    tcb_info["tcbLevels"] = [{**level, "tcb": newer}, {**level, "tcbStatus": "OutOfDate"}]
    known = module["tcbLevels"][0]
    module["tcbLevels"] = [
        {**known, "tcb": {"isvsvn": 2}},
        {**known, "tcbStatus": "OutOfDate"},
    ]


def _for_td_qe(qe_identity: dict[str, Any]) -> None:
    qe_identity["id"] = "TD_QE"


def tdx_quote(platform: Platform, report: TDReport, *, version: int, newer: bool) -> bytes:
    """A quote of version 4 (module 1.0 only) or 5, by a fresh quoting enclave on the machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    body = report.to_bytes(newer=newer)
    if version == 5:
        body = struct.pack("<HI", 3 if newer else 2, len(body)) + body
    header = struct.pack("<HHIHH16s20s", version, 2, TEE_TDX, QE_SVN, PCE_SVN, VENDOR, bytes(20))
    signed = header + body
    certified = _certification(platform, pki.public_point(key))
    tail = struct.pack("<HI", 6, len(certified)) + certified
    signature = pki.sign_raw(key, signed) + pki.public_point(key) + tail
    return signed + struct.pack("<I", len(signature)) + signature


def _certification(platform: Platform, point: bytes) -> bytes:
    authentication = bytes(32)
    report = EnclaveReport(
        measurement=b"\x9e" * 32,
        config_id=bytes(64),
        report_data=hashlib.sha256(point + authentication).digest() + bytes(32),
        signer=QE_SIGNER,
        product=QE_PRODUCT,
        svn=QE_SVN,
        attributes=QE_ATTRIBUTES,
    ).to_bytes()
    chain = platform.chain.encode()
    return b"".join(
        (
            report,
            pki.sign_raw(platform.pck.key, report),
            struct.pack("<H", len(authentication)) + authentication,
            struct.pack("<HI", 5, len(chain)) + chain,
        )
    )
