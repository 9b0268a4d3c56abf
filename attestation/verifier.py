# SPDX-License-Identifier: Apache-2.0
"""Is this evidence genuine? One verifier for each kind, in one table.

Steps for an SGX quote (`simulation` takes the same road below a root of its own):

1. the kind has a verifier here;
2. the quote ends where its own length says: hardware pads some quotes, whoever makes evidence
   strips that, and bytes that no signature covers are refused here;
3. dcap-qvl verifies signatures, certificates, revocation, QE identity, TCB and the dates;
4. the claims are read from what dcap-qvl reports, never from the bytes.

Whether a genuine enclave is *wanted* is for `appraise`; that it speaks for an identity, for
`verify_binding`. The caller MUST do both.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from placet.attestation import _dcap, _strict
from placet.attestation.claims import Claims
from placet.attestation.errors import EvidenceKindUnsupportedError, EvidenceMalformedError
from placet.attestation.evidence import Evidence
from placet.attestation.simulation.root import SIMULATION_ROOT

_DEBUG = 0x02  # bit 1 of the first byte of ATTRIBUTES
_SIGNATURE_LENGTH = slice(432, 436)  # after the header (48) and the report (384)


def verify_evidence(evidence: Evidence, *, now: int) -> Claims:
    """Return what genuine evidence says at `now` (Unix seconds).

    Raises a kind of EvidenceError: EvidenceKindUnsupportedError, EvidenceMalformedError,
    EvidenceNotGenuineError, EvidenceDebugError or CollateralStaleError.
    """
    verify = _VERIFIERS.get(evidence.kind)  # 1
    if verify is None:
        raise EvidenceKindUnsupportedError(
            f"Evidence of kind {evidence.kind} cannot be verified by this version.",
            claim="kind",
            expected=", ".join(_VERIFIERS),
            actual=evidence.kind,
            remedy="use a version that has a verifier for this hardware",
        )
    return verify(evidence, now)


def _verify_simulation(evidence: Evidence, now: int) -> Claims:
    return verify_sgx(evidence, SIMULATION_ROOT, now)


def verify_sgx(evidence: Evidence, root: bytes, now: int) -> Claims:
    """Verify an SGX quote below a DER root; errors as `verify_evidence`."""
    _check_length(evidence.quote)  # 2
    verified = _dcap.verify_quote(evidence.quote, evidence.collateral, root, now)  # 3
    if verified.kind != "SgxEnclave":
        raise EvidenceMalformedError(
            "The evidence holds a quote of other hardware than its kind says.",
            claim="kind",
            expected="SgxEnclave",
            actual=verified.kind,
        )
    return _sgx_claims(evidence.kind, verified)  # 4


def _check_length(quote: bytes) -> None:
    expected = _SIGNATURE_LENGTH.stop + int.from_bytes(quote[_SIGNATURE_LENGTH], "little")
    if len(quote) != expected:
        raise EvidenceMalformedError(
            f"The quote has {len(quote)} bytes where it says {expected}; strip what follows it.",
            claim="quote",
            expected=str(expected),
            actual=str(len(quote)),
        )


def _sgx_claims(kind: str, verified: _dcap.Verified) -> Claims:
    report = verified.report
    return Claims(
        kind=kind,
        measurement=_field(report, "mr_enclave", 32).hex(),
        signer=_field(report, "mr_signer", 32).hex(),
        product=_number(report, "isv_prod_id"),
        svn=_number(report, "isv_svn"),
        debug=bool(_field(report, "attributes", 16)[0] & _DEBUG),
        bound_to=_bound_to(_field(report, "reserved3", 96)[32:]),
        report_data=_field(report, "report_data", 64),
        platform=verified.ppid,
        tcb_status=verified.tcb_status,
        advisories=verified.advisories,
        tcb_evaluation=verified.tcb_evaluation,
        collateral_issued=verified.collateral_issued,
    )


def _bound_to(config_id: bytes) -> str:
    """Read CONFIGID, 64 bytes: a SHA-256 digest and zeros, or all zeros for nothing."""
    if any(config_id[32:]):
        raise EvidenceMalformedError(
            "The second half of CONFIGID must be zero.", claim="bound_to", expected="zeros"
        )
    return "sha256:" + config_id[:32].hex() if any(config_id) else ""


def _field(report: dict[str, object], name: str, size: int) -> bytes:
    value = _strict.hexadecimal(name, report.get(name), (2 * size,), EvidenceMalformedError)
    return bytes.fromhex(value)


def _number(report: dict[str, object], name: str) -> int:
    return _strict.integer(name, report.get(name), 0, 2**16 - 1, EvidenceMalformedError)


_VERIFIERS: Final[Mapping[str, Callable[[Evidence, int], Claims]]] = MappingProxyType(
    {"simulation": _verify_simulation}
)
