# SPDX-License-Identifier: Apache-2.0
"""What enclaves refuse besides what governance, sealing and attestation refuse.

    EnclaveError
    ├── KernelMissing, FrameUnexpected, RequestMalformed
    ├── HostUnfaithful, NotStored, OutputNotStored
    ├── LeaseInvalid
    ├── CohortTooSmall, AggregationCancelled
    └── ProgramEnded
          ProgramMalformed, ProgramOther, ProgramRaised, ProgramMemory, UndeclaredOutput,
          OversizedOutput, MissingOutput

What a program says of itself never becomes part of a message: an end state is one of a fixed list.
"""

from collections.abc import Mapping
from typing import ClassVar


class EnclaveError(Exception):
    """Base of all of them; only leaves are raised."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class KernelMissing(EnclaveError):
    """The compiled kernel is not there; nothing starts without it."""

    reason = "KERNEL_MISSING"


class FrameUnexpected(EnclaveError):
    """A frame of a kind that its sender has no business sending here."""

    reason = "FRAME_UNEXPECTED"


class RequestMalformed(EnclaveError):
    """A request that is not of its kind."""

    reason = "REQUEST_MALFORMED"


class HostUnfaithful(EnclaveError):
    """The host did not keep, or gave back changed, what it was handed."""

    reason = "LOG_PROOF_INVALID"


class NotStored(EnclaveError):
    """The host did not store what has to be durable before anything follows from it."""

    reason = "AUTHORITY_UNAVAILABLE"


class OutputNotStored(EnclaveError):
    """The host did not take in the sealed bytes of an output."""

    reason = "BLOB_INCOMPLETE"


class LeaseInvalid(EnclaveError):
    """A lease that does not hold together: signer, boot, worker, program, log proof or ticket."""

    reason = "LEASE_INVALID"


class CohortTooSmall(EnclaveError):
    """Too few clients or organisations are left for anything to be released; `left` says who went,
    and why."""

    reason = "COHORT_TOO_SMALL"

    def __init__(self, message: str, left: Mapping[str, str], **details: str) -> None:
        super().__init__(message, **details)
        self.left = dict(left)


class AggregationCancelled(EnclaveError):
    """The one who asked for an aggregation does not want it any more."""

    reason = "JOB_ENDED"


class ProgramEnded(EnclaveError):
    """The program did not come to its end."""


class ProgramMalformed(ProgramEnded):
    """The bundle is not a program bundle."""

    reason = "PROGRAM_MALFORMED"


class ProgramOther(ProgramEnded):
    """The bundle is not what this enclave was launched for."""

    reason = "PROGRAM_OTHER"


class ProgramRaised(ProgramEnded):
    """The program raised an exception, or asked the guard for what it may not do."""

    reason = "PROGRAM_RAISED"


class ProgramMemory(ProgramEnded):
    """The program asked for more memory than there is."""

    reason = "PROGRAM_MEMORY"


class UndeclaredOutput(ProgramEnded):
    """The program wrote an output that the proposal does not declare."""

    reason = "OUTPUT_UNDECLARED"


class OversizedOutput(ProgramEnded):
    """The program wrote more than the proposal declares for an output."""

    reason = "OUTPUT_TOO_LARGE"


class MissingOutput(ProgramEnded):
    """The program did not write a declared output."""

    reason = "OUTPUT_MISSING"
