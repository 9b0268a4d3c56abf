# SPDX-License-Identifier: Apache-2.0
"""Believing an enclave by the identity and the evidence that it shows.

1. identity and evidence are in their one encoding;
2. the identity is of the role that is asked for;
3. it is of the log and the charter that are asked for;
4. the evidence is genuine;
5. it binds the identity to the verifier's nonce, the log, its charter and its checkpoint;
6. it satisfies the policy, and the enclave was launched for what is asked for.

`verify_genuine` takes steps 1 to 5 and returns a `Genuine`, which nobody has said that they want.
Its `appraise` takes step 6 and returns an `Attested`, and nothing else makes one. The `Genuine` of
that keeps what the policy says that the measurement is made for, so a later policy cannot say
otherwise.
"""

from dataclasses import dataclass

from placet.attestation.appraisal import Check, appraise
from placet.attestation.binding import evidence_context, verify_binding
from placet.attestation.claims import Claims
from placet.attestation.evidence import Evidence
from placet.attestation.identity import Identity
from placet.attestation.policy import Policy
from placet.attestation.verifier import verify_evidence
from placet.refusals import (
    AppraisalRefused,
    CollateralStale,
    EvidenceBinding,
    EvidenceDebug,
    EvidenceInvalid,
    EvidenceMalformed,
    EvidenceNonce,
    IdentityMalformed,
    OtherLog,
    PolicyInvalid,
)

# How an enclave is not believed, or not wanted.
NOT_BELIEVED = (
    AppraisalRefused, CollateralStale, EvidenceBinding, EvidenceDebug, EvidenceInvalid,
    EvidenceMalformed, EvidenceNonce, IdentityMalformed, OtherLog, PolicyInvalid,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """Whom a verifier asks for, and what the answer has to be bound to.

    `charter` is empty before a log is founded; then `log` may be empty too, which stands for any.
    """

    role: str
    log: str
    charter: str
    nonce: bytes
    checkpoint: bytes = b""  # the note that came with the evidence


@dataclass(frozen=True, slots=True)
class Genuine:
    """An enclave whose evidence is genuine and speaks for this identity: not yet a wanted one."""

    identity: Identity
    claims: Claims

    def appraise(self, policy: Policy, *, now: int, launched_for: str | None = None) -> "Attested":
        """Make sure that a policy wants it, as often as there are policies; see `appraise`.

        Raises AppraisalRefused.
        """
        checks = appraise(self.claims, policy, now=now, launched_for=launched_for).verify()  # 6
        genuine = Genuine(self.identity, policy.complete(self.claims))
        return Attested(genuine, (*self._checks(), *checks))

    def _checks(self) -> tuple[Check, ...]:
        held = {
            "role": self.identity.role,
            "log": self.identity.log,
            "charter": self.identity.charter or "none yet",
            "genuine": f"below the root of {self.claims.kind}",
            "report_data": self.claims.report_data.hex(),
        }
        return tuple(Check(name, value, value, passed=True) for name, value in held.items())


@dataclass(frozen=True, slots=True)
class Attested:
    """An enclave that is genuine and wanted, with all that was checked."""

    genuine: Genuine
    checks: tuple[Check, ...]

    @property
    def claims(self) -> Claims:
        """Its claims; `launched_for` is also what the policy says the measurement is made for."""
        return self.genuine.claims

    @property
    def identity(self) -> Identity:
        """The identity that the evidence speaks for."""
        return self.genuine.identity

    @property
    def simulated(self) -> bool:
        """Whether no hardware vouches for it."""
        return self.claims.kind == "simulation"


def believe(
    identity: bytes,
    evidence: bytes,
    expected: Expected,
    policy: Policy,
    *,
    now: int,
    launched_for: str | None = None,
) -> Attested:
    """Verify what an enclave shows, and that a policy wants it now; see `verify_genuine`."""
    found = verify_genuine(identity, evidence, expected, at=now)
    return found.appraise(policy, now=now, launched_for=launched_for)


def verify_genuine(identity: bytes, evidence: bytes, expected: Expected, *, at: int) -> Genuine:
    """Verify that evidence was genuine at a time (Unix seconds), and speaks for an identity.

    Raises one of NOT_BELIEVED.
    """
    named, shown = Identity.from_bytes(identity), Evidence.from_bytes(evidence)  # 1
    _check_role(named, expected)  # 2
    _check_council(named, expected)  # 3
    claims = verify_evidence(shown, now=at)  # 4
    context = evidence_context(named.log, named.charter, expected.checkpoint)
    verify_binding(claims, named, expected.nonce, context)  # 5
    return Genuine(named, claims)


def _check_role(named: Identity, expected: Expected) -> None:
    if named.role != expected.role:
        raise IdentityMalformed(
            f"The identity is not that of the {expected.role}.",
            claim="role",
            expected=expected.role,
            actual=named.role,
        )


def _check_council(named: Identity, expected: Expected) -> None:
    any_log = not expected.log and not expected.charter
    for claim, wanted, found in (
        ("log", named.log if any_log else expected.log, named.log),
        ("charter", expected.charter, named.charter),
    ):
        if wanted != found:
            raise OtherLog(
                f"The enclave is of another council, by its {claim}. "
                "Check that this is your council's host.",
                claim=claim,
                expected=wanted or "none yet",
                actual=found or "none yet",
            )
