# SPDX-License-Identifier: Apache-2.0
"""Claims from Intel's quotes: SGX (version 3) and TDX (versions 4 and 5).

Each claim is read from:

    claim        SGX                    TDX
    measurement  MRENCLAVE              SHA-384("placet/tdx/v1" ‖ P(MRTD) ‖ P(RTMR0) ‖ P(RTMR1)
                                        ‖ P(RTMR2))
    signer       MRSIGNER               MRSIGNERSEAM: who signed the TDX module; zero for Intel
    product, svn ISVPRODID, ISVSVN      0: a trust domain has neither
    launched_for     CONFIGID               MRCONFIGID

P(x) is the length of x as 8 bytes, big-endian, followed by x. MRTD covers the firmware alone: RTMR0
to RTMR2 are what it measured of its settings, of the boot loader, and of kernel, command line and
initial RAM disk, so only all four together say what runs. RTMR3 is left to what runs in the domain,
which may extend it as it likes and so cannot be trusted to say what it was launched for; MRCONFIGID
is fixed before its first instruction.

Source: Intel TDX DCAP quoting library API, appendix 3; Intel SGX ECDSA quote library reference,
appendix A.
"""

import hashlib

from placet.attestation import _dcap, _strict
from placet.attestation.claims import RAW, Claims
from placet.attestation.evidence import Evidence
from placet.attestation.quote import quote_length
from placet.refusals import EvidenceInvalid, EvidenceMalformed

_REPORTS = {"simulation": ("SgxEnclave",), "sgx": ("SgxEnclave",), "tdx": ("TD10", "TD15")}
_TDX_DOMAIN = b"placet/tdx/v1"
_SGX_DEBUG = 0x02  # bit 1 of the first byte of ATTRIBUTES
_TDX_DEBUG = 0xFF  # the first byte of TDATTRIBUTES: all of it is for domains under debug
_DIGEST_BYTES = 32


def provisioning(quote: bytes) -> tuple[str, str]:
    """Return the FMSPC (12 hexadecimal digits) and "processor" or "platform": what to ask Intel
    for.

    It is read from the PCK certificate in the quote, not verified. Raises EvidenceMalformed.
    """
    return _dcap.provisioning(quote)


def verify_dcap(evidence: Evidence, root: bytes | None, now: int) -> Claims:
    """Verify a quote below a DER root (None: Intel's); steps and errors as `verify_evidence`."""
    _check_length(evidence.quote)  # 2
    verified = _dcap.verify_quote(evidence.quote, evidence.collateral, root, now)  # 3
    if verified.kind not in _REPORTS[evidence.kind]:
        raise EvidenceMalformed(
            "The evidence holds a quote of other hardware than its kind says.",
            claim="kind",
            expected=" or ".join(_REPORTS[evidence.kind]),
            actual=verified.kind,
        )
    return (_tdx if evidence.kind == "tdx" else _sgx)(evidence.kind, verified)  # 4


def _check_length(quote: bytes) -> None:
    expected = quote_length(quote)
    if len(quote) != expected:
        raise EvidenceMalformed(
            f"The quote has {len(quote)} bytes where it says {expected}; strip what follows it.",
            claim="quote",
            expected=str(expected),
            actual=str(len(quote)),
        )


def _sgx(kind: str, verified: _dcap.Verified) -> Claims:
    report = verified.report
    config_id = _field(report, "reserved3", 96)[32:]
    launched_for = _launched_for(config_id)
    if launched_for.startswith(RAW):
        raise EvidenceMalformed(
            "The second half of CONFIGID must be zero.", claim="launched_for", expected="zeros"
        )
    return _claims(
        kind,
        verified,
        report_data=_field(report, "report_data", 64),
        measurement=_field(report, "mr_enclave", 32).hex(),
        signer=_field(report, "mr_signer", 32).hex(),
        product=_number(report, "isv_prod_id"),
        svn=_number(report, "isv_svn"),
        debug=bool(_field(report, "attributes", 16)[0] & _SGX_DEBUG),
        launched_for=launched_for,
    )


def _tdx(kind: str, verified: _dcap.Verified) -> Claims:
    report = verified.report
    if verified.kind == "TD15":  # what module 1.5 added stands beside the older report
        report = report | _strict.mapping(report.get("base"), EvidenceMalformed)
    signer = _field(report, "mr_signer_seam", 48)
    if any(signer) or any(_field(report, "seam_attributes", 8)):
        raise EvidenceInvalid(
            "The TDX module is not one of Intel's for production.",
            claim="signer",
            actual=signer.hex(),
        )
    # dcap-qvl refuses it too. Such a domain can be moved and read by the other one.
    if verified.kind == "TD15" and any(_field(report, "mr_service_td", 48)):
        raise EvidenceInvalid(
            "Another trust domain is bound to this one and could read it.", claim="service_td"
        )
    return _claims(
        kind,
        verified,
        report_data=_field(report, "report_data", 64),
        measurement=_tdx_measurement(report),
        signer=signer.hex(),
        product=0,
        svn=0,
        debug=bool(_field(report, "td_attributes", 8)[0] & _TDX_DEBUG),
        launched_for=_launched_for(_field(report, "mr_config_id", 48)),
    )


def _tdx_measurement(report: dict[str, object]) -> str:
    total = hashlib.sha384(_TDX_DOMAIN)
    for name in ("mr_td", "rt_mr0", "rt_mr1", "rt_mr2"):
        register = _field(report, name, 48)
        total.update(len(register).to_bytes(8, "big") + register)
    return total.hexdigest()


def _claims(
    kind: str,
    verified: _dcap.Verified,
    *,
    report_data: bytes,
    measurement: str,
    signer: str,
    product: int,
    svn: int,
    debug: bool,
    launched_for: str,
) -> Claims:
    return Claims(
        kind=kind,
        measurement=measurement,
        signer=signer,
        product=product,
        svn=svn,
        debug=debug,
        launched_for=launched_for,
        report_data=report_data,
        platform=verified.ppid,
        smt=verified.smt,
        dynamic_platform=verified.dynamic_platform,
        tcb_status=verified.tcb_status,
        advisories=verified.advisories,
        snp_tcb="",
        snp_bits=None,
        tcb_evaluation=verified.tcb_evaluation,
        collateral_issued=verified.collateral_issued,
        collateral_expires=verified.collateral_expires,
    )


def _launched_for(register: bytes) -> str:
    """Read a register: a SHA-256 digest and zeros; all zeros for nothing; else it is shown as it
    is."""
    if any(register[_DIGEST_BYTES:]):
        return RAW + register.hex()
    return "sha256:" + register[:_DIGEST_BYTES].hex() if any(register) else ""


def _field(report: dict[str, object], name: str, size: int) -> bytes:
    value = _strict.hexadecimal(name, report.get(name), (2 * size,), EvidenceMalformed)
    return bytes.fromhex(value)


def _number(report: dict[str, object], name: str) -> int:
    return _strict.integer(name, report.get(name), 0, 2**16 - 1, EvidenceMalformed)
