# SPDX-License-Identifier: Apache-2.0
"""What the log refuses, and under which reason.

    LogError
    ├── ProofInvalidError        LOG_PROOF_INVALID       a Merkle proof does not lead to the root
    ├── CheckpointInvalidError   LOG_CHECKPOINT_INVALID  a key, note or checkpoint is not acceptable
    ├── LogTruncatedError        LOG_TRUNCATED           the log is shorter than it was
    ├── LogForkedError           LOG_FORKED              the log does not extend what it was
    ├── TileMalformedError       LOG_TILE_MALFORMED      a tile, a bundle or a path is malformed
    └── ProofMalformedError      LOG_PROOF_MALFORMED     the text of a proof is malformed

`ValueError` stays what it is elsewhere: a wrong argument by the caller.
"""

from typing import ClassVar


class LogError(Exception):
    """A log, or something said about it, is not to be believed.

    `reason` is a name of the wire enum `placet.v1.Reason`; `details` has keys among claim,
    expected, actual, rule and remedy.
    """

    reason: ClassVar[str] = "LOG_REFUSED"

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class ProofInvalidError(LogError):
    """A Merkle proof does not lead to the root it was given for."""

    reason = "LOG_PROOF_INVALID"


class CheckpointInvalidError(LogError):
    """A verifier key, a signed note or a checkpoint is malformed or not signed by the key."""

    reason = "LOG_CHECKPOINT_INVALID"


class LogTruncatedError(LogError):
    """A later checkpoint covers fewer entries than an earlier one."""

    reason = "LOG_TRUNCATED"


class LogForkedError(LogError):
    """A later checkpoint is not shown to extend an earlier one."""

    reason = "LOG_FORKED"


class TileMalformedError(LogError):
    """A tile, an entry bundle or a path of either is not in the form of the specification."""

    reason = "LOG_TILE_MALFORMED"


class ProofMalformedError(LogError):
    """The text of a proof is not in the form of the specification."""

    reason = "LOG_PROOF_MALFORMED"
