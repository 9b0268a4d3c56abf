# SPDX-License-Identifier: Apache-2.0
"""Is this SNP report genuine, and of a guest that its host cannot open?

Steps of `verify_report`:

1. the report is read: lengths, versions, and every byte that has to be zero;
2. the certificates of its signing key lead to a pinned root, and none is revoked (`verify_chain`);
3. that key signed the report;
4. the report and the certificate agree: processor, reported TCB, chip;
5. the TCBs and firmware versions are in an order that the firmware keeps.

`verify_snp` then refuses guests that a debugger or a migration agent can read, and any but those at
VMPL 0, and puts the rest into the terms of `Claims`. A minimum TCB is the policy's, and so are the
single bits of the report.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from placet.attestation.claims import Claims
from placet.attestation.evidence import Evidence
from placet.attestation.snp.bits import bits_of
from placet.attestation.snp.certificates import EndKey, verify_chain
from placet.attestation.snp.collateral import Collateral
from placet.attestation.snp.machine import MACHINES, Machine
from placet.attestation.snp.report import PLATFORM_SMT, POLICY_DEBUG, POLICY_MIGRATION, Report
from placet.attestation.snp.tcb import Tcb
from placet.refusals import EvidenceDebug, EvidenceInvalid

_LATEST = 253_402_300_799  # the last second of the year 9999, as far as dates go
_AGAIN = "ask for new evidence; if it is refused again, do not trust the machine"


@dataclass(frozen=True, slots=True)
class VerifiedReport:
    """A genuine report; made by `verify_report` only."""

    report: Report
    machine: str  # "Milan", "Genoa" or "Turin"
    key: str  # "VCEK" or "VLEK"
    chip: bytes  # 64 bytes; zeros where a VLEK's machine hides it
    provider: str  # whose VLEK it is; "" for a VCEK
    tcb: Tcb  # the lowest of launch, reported and committed: the weakest firmware of this guest
    smt: bool  # whether threads of others may share the guest's cores
    collateral_issued: int  # Unix seconds: the revocation list; 0 where none was given
    collateral_expires: int  # Unix seconds: the first end among certificates and list


def verify_snp(evidence: Evidence, now: int, machines: Sequence[Machine] = MACHINES) -> Claims:
    """Return what genuine evidence of a closed guest says at `now` (Unix seconds).

    Raises EvidenceMalformed, EvidenceInvalid, EvidenceDebug or CollateralStale; ValueError if `now`
    is no date.
    """
    return _claims(verify_closed(verify_report(evidence, now, machines)))


def verify_report(
    evidence: Evidence, now: int, machines: Sequence[Machine] = MACHINES
) -> VerifiedReport:
    """Return a genuine report; the caller MUST judge its policy and VMPL (`verify_closed`).

    Raises EvidenceMalformed, EvidenceInvalid or CollateralStale; ValueError if `now` is no date.
    """
    if not 0 <= now <= _LATEST:
        raise ValueError("now must be Unix seconds before the year 10000")
    report = Report.from_bytes(evidence.quote)  # 1
    collateral = Collateral.from_text(evidence.collateral)
    moment = datetime.fromtimestamp(now, UTC)
    key = verify_chain(collateral, report.signing_key, moment, machines)  # 2
    _check_signature(report, key)  # 3
    chip = _check_agreement(report, key)  # 4
    return VerifiedReport(
        report=report,
        machine=key.machine.name,
        key=key.kind,
        chip=chip,
        provider=key.provider,
        tcb=_check_order(report, key),  # 5
        smt=bool(report.platform_info & PLATFORM_SMT),
        collateral_issued=key.revocations_issued or 0,
        collateral_expires=key.expires,
    )


def verify_closed(verified: VerifiedReport) -> VerifiedReport:
    """Return the report if nobody outside the guest may read it, and it speaks for all of it.

    Raises EvidenceDebug or EvidenceInvalid.
    """
    policy, vmpl = verified.report.policy, verified.report.vmpl
    if policy & POLICY_DEBUG:
        raise EvidenceDebug(
            "The guest may be read by a debugger.",
            claim="policy.debug",
            expected="clear",
            actual="set",
            remedy="launch it with a policy without bit 19",
        )
    if policy & POLICY_MIGRATION:
        raise EvidenceInvalid(
            "A migration agent may take the guest's memory to another machine.",
            claim="policy.migrate_ma",
            expected="clear",
            actual="set",
            remedy="launch it with a policy without bit 18",
        )
    if vmpl != 0:
        raise EvidenceInvalid(
            f"The report was asked for at VMPL {vmpl}; what runs above it is not known.",
            claim="vmpl",
            expected="0",
            actual=str(vmpl),
            remedy="run the enclave at VMPL 0",
        )
    return verified


def _check_signature(report: Report, key: EndKey) -> None:
    try:
        signature = encode_dss_signature(*report.signature)
        key.public.verify(signature, report.signed, ec.ECDSA(SHA384()))
    except (InvalidSignature, ValueError) as error:
        raise EvidenceInvalid(
            f"The report was not signed by the {key.kind} that came with it.",
            claim="signature",
            remedy=_AGAIN,
        ) from error


def _check_agreement(report: Report, key: EndKey) -> bytes:
    """Check what report and certificate both say; return the id of the chip (64 bytes)."""
    machine = key.machine
    if report.cpuid is not None and not machine.cpuid(*report.cpuid):
        family, model = report.cpuid
        actual = f"family {family:#x}, model {model:#x}"
        raise _disagreement("processor", machine.name, actual)
    reported = Tcb.from_bytes(report.reported_tcb, machine)
    if reported != key.tcb:
        raise _disagreement("reported_tcb", key.tcb.to_text(), reported.to_text())
    if key.chip is None or not any(report.chip_id):
        # A VLEK is not of one chip. A host may hide the chip, but a VCEK is of that chip alone.
        return key.chip or report.chip_id
    if report.chip_id != key.chip:
        raise _disagreement("chip_id", key.chip.hex(), report.chip_id.hex())
    return key.chip


def _check_order(report: Report, key: EndKey) -> Tcb:
    """Check the TCBs; return the lowest of those that the guest depends on.

    The launch TCB has no place in the order: firmware that was not committed can be taken back.
    """
    current, committed, launch = (
        Tcb.from_bytes(one, key.machine)
        for one in (report.current_tcb, report.committed_tcb, report.launch_tcb)
    )
    for name, lower in (("committed_tcb", committed), ("reported_tcb", key.tcb)):
        if not current.at_least(lower):
            raise _disagreement(name, f"at most {current.to_text()}", lower.to_text())
    if report.committed_version > report.current_version:
        most, found = (
            ".".join(map(str, one)) for one in (report.current_version, report.committed_version)
        )
        raise _disagreement("committed_version", f"at most {most}", found)
    return key.tcb.lowest(committed, launch)


def _disagreement(claim: str, expected: str, actual: str) -> EvidenceInvalid:
    return EvidenceInvalid(
        f"The report contradicts its certificate or itself: {claim} must be {expected} "
        f"and is {actual}.",
        claim=claim,
        expected=expected,
        actual=actual,
        remedy="send the certificate for the machine's present firmware",
    )


def _claims(verified: VerifiedReport) -> Claims:
    report = verified.report
    return Claims(
        kind="snp",
        measurement=report.measurement.hex(),
        signer=report.id_key_digest.hex(),
        product=0,
        svn=report.guest_svn,
        debug=False,
        launched_for="sha256:" + report.host_data.hex() if any(report.host_data) else "",
        report_data=report.report_data,
        platform=verified.chip.hex(),
        smt=verified.smt,
        dynamic_platform=None,
        tcb_status="Unstated",
        advisories=(),
        snp_tcb=verified.tcb.to_text(),
        snp_bits=bits_of(report),
        tcb_evaluation=0,
        collateral_issued=verified.collateral_issued,
        collateral_expires=verified.collateral_expires,
    )
