# SPDX-License-Identifier: Apache-2.0
"""Evidence looked at in full: every check with what was expected and found, and what was not
checked.

`verify_authority` raises at the first thing that is wrong; this shows all of them. Only what leaves
nothing to look at still raises: evidence that is not genuine, files that cannot be read.
"""

from dataclasses import dataclass

from placet.attestation import (
    Check,
    Claims,
    Evidence,
    Identity,
    Policy,
    appraise,
    evidence_context,
    report_data,
    verify_binding,
    verify_evidence,
)
from placet.client.errors import FileRefused
from placet.client.trust.artifacts import EvidenceFile
from placet.governance.log import VerifierKey, verify_checkpoint
from placet.refusals import EvidenceBinding, EvidenceMalformed

_ANY = "any"


@dataclass(frozen=True, slots=True)
class Examination:
    """What evidence says, and how that compares."""

    claims: Claims
    log: str  # "" where the evidence speaks for no identity that is known
    checks: tuple[Check, ...]
    not_checked: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def examine_file(
    data: bytes, policy: Policy, *, now: int, log: str = "", charter: str = ""
) -> Examination:
    """Examine what `placet status --evidence` wrote, or evidence alone. Raises as
    `examine_authority`.

    `log` is the verifier key of the log asked for, `charter` the digest of its charter; any if
    empty.
    """
    try:
        alone = Evidence.from_bytes(data)
    except EvidenceMalformed:
        return examine_authority(
            EvidenceFile.from_bytes(data), policy, now=now, log=log, charter=charter
        )
    return examine_alone(alone, policy, now=now)


def examine_alone(evidence: Evidence, policy: Policy, *, now: int) -> Examination:
    """Examine evidence that comes without an identity, as from any enclave. Raises as
    `verify_evidence`."""
    claims = verify_evidence(evidence, now=now)
    said = (
        f"Whom it speaks for: its report data, {claims.report_data.hex()}, was compared with "
        "nothing."
    )
    return _examination(claims, "", (), policy, now, (said,))


def examine_authority(
    shown: EvidenceFile, policy: Policy, *, now: int, log: str = "", charter: str = ""
) -> Examination:
    """Examine an authority's answer to a nonce. Raises `FileRefused`, `IdentityMalformed`,
    `LogCheckpointInvalid`, or as `verify_evidence`."""
    try:
        identity = Identity.from_bytes(shown.identity)
        key = VerifierKey.from_text(identity.log)
    except UnicodeError:
        raise FileRefused("The file holds no identity. Fetch the evidence again.") from None
    if shown.checkpoint:
        verify_checkpoint(shown.checkpoint, key)
    claims = verify_evidence(Evidence.from_bytes(shown.evidence), now=now)
    own = (
        Check("role", "authority", identity.role, identity.role == "authority"),
        Check("log", log or _ANY, identity.log, log in ("", identity.log)),
        Check("charter", charter or _ANY, identity.charter, charter in ("", identity.charter)),
        _binding(claims, identity, shown),
    )
    open_ends = (
        f"Freshness: only the verifier who chose the nonce {shown.nonce.hex()} knows.",
        "Whether the checkpoint extends what was seen of the log before."
        if shown.checkpoint
        else "Anything about the log's entries: the evidence was given before the log was founded.",
    )
    return _examination(claims, identity.log, own, policy, now, open_ends)


def _binding(claims: Claims, identity: Identity, shown: EvidenceFile) -> Check:
    context = evidence_context(identity.log, identity.charter, shown.checkpoint)
    wanted = report_data(identity.digest, shown.nonce, context)
    try:
        verify_binding(claims, identity, shown.nonce, context)
    except EvidenceBinding:
        return Check("report_data", wanted.hex(), claims.report_data.hex(), passed=False)
    return Check("report_data", wanted.hex(), claims.report_data.hex(), passed=True)


def _examination(
    claims: Claims,
    log: str,
    own: tuple[Check, ...],
    policy: Policy,
    now: int,
    open_ends: tuple[str, ...],
) -> Examination:
    root = f"below the root of {claims.kind}"
    genuine = Check("genuine", root, root, passed=True)
    checks = (genuine, *own, *appraise(claims, policy, now=now, launched_for=None).checks)
    free = ", ".join(check.name for check in checks if check.expected == _ANY)
    told = list(open_ends)
    if free:
        told.append(f'Claims that the policy leaves at "any": {free}.')
    if claims.kind == "snp" and not claims.collateral_issued:
        told.append("Whether AMD has revoked a certificate: no revocation list came with it.")
    if claims.kind == "simulation":
        told.append("Any hardware: it is SIMULATED, and anyone can make such evidence.")
    return Examination(claims, log, checks, tuple(told))
