# SPDX-License-Identifier: Apache-2.0
"""Everything this component can refuse.

AttestationError
├── IdentityMalformedError         an identity document that cannot be read, or is of another role
├── OtherCouncilError              an identity of another log or charter
├── EvidenceError                  evidence that is not believed
│   ├── EvidenceMalformedError     it cannot be read
│   ├── EvidenceNotGenuineError    a signature, certificate or revocation check failed
│   ├── EvidenceDebugError         the enclave can be read by a debugger
│   ├── CollateralStaleError       the collateral is not valid at the time of the check
│   ├── EvidenceNonceError         the verifier's nonce is missing or has the wrong size
│   └── EvidenceBindingError       genuine, but it vouches for something else
├── PolicyMalformedError           a policy that cannot be read or leaves something open
├── AppraisalRefusedError          genuine, but not what the policy wants
├── MeasurementError               the code of an enclave cannot be measured
│   └── KernelMissingError         it has no compiled kernel, and so cannot run
└── QuotingError                   the enclave got no quote or sealing key
    └── SealingUnavailableError    this hardware has no key to seal with

Foreign exceptions are converted where they are met; none leaves this component.
"""

from typing import ClassVar


class AttestationError(Exception):
    """Base class; `reason` names a value of placet.v1.Reason, `details` what was compared.

    The keys of `details` are among claim, expected, actual, rule and remedy.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class IdentityMalformedError(AttestationError):
    """An identity document is not the one encoding of a valid identity, or is of another role."""

    reason = "IDENTITY_MALFORMED"


class OtherCouncilError(AttestationError):
    """An enclave is of another log or charter than the verifier's."""

    reason = "OTHER_LOG"


class EvidenceError(AttestationError):
    """Evidence is not believed."""

    reason = "EVIDENCE_INVALID"


class EvidenceMalformedError(EvidenceError):
    """Evidence, quote or collateral cannot be read."""

    reason = "EVIDENCE_MALFORMED"


class EvidenceNotGenuineError(EvidenceError):
    """The quote does not lead to the pinned root, or was changed."""

    reason = "EVIDENCE_INVALID"


class EvidenceDebugError(EvidenceError):
    """The enclave was started in debug mode: its memory is open to the host."""

    reason = "EVIDENCE_INVALID"


class CollateralStaleError(EvidenceError):
    """Collateral has expired, or is from the future."""

    reason = "EVIDENCE_INVALID"


class EvidenceNonceError(EvidenceError):
    """The verifier's nonce is not 32 bytes."""

    reason = "EVIDENCE_NONCE"


class EvidenceBindingError(EvidenceError):
    """The report data is for another identity, nonce or context."""

    reason = "EVIDENCE_BINDING"


class PolicyMalformedError(AttestationError):
    """An evidence policy is incomplete, unknown or empty somewhere."""

    reason = "POLICY_INVALID"


class AppraisalRefusedError(AttestationError):
    """At least one check of the policy failed; the message names each of them."""

    reason = "APPRAISAL_REFUSED"


class MeasurementError(AttestationError):
    """The code of an enclave cannot be measured."""

    reason = "ATTESTER_UNAVAILABLE"


class KernelMissingError(MeasurementError):
    """There is no compiled kernel, so there is no enclave that could have the measurement."""

    reason = "KERNEL_MISSING"


class QuotingError(AttestationError):
    """The quoting service refused, answered nonsense or went away."""

    reason = "ATTESTER_UNAVAILABLE"


class SealingUnavailableError(QuotingError):
    """The hardware has no key of its own for this measurement; the remedy says where there is
    one."""
