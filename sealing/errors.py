# SPDX-License-Identifier: Apache-2.0
"""Every refusal that this component can raise.

    SealingError
    ├── KeyRefused
    │   ├── KeyMalformed               KEY_MALFORMED
    │   ├── KeyCommitmentMismatch      KEY_COMMITMENT_MISMATCH
    │   └── KeyUnwrapRefused           KEY_UNWRAP_REFUSED
    ├── EnvelopeRefused
    │   ├── EnvelopeMalformed          ENVELOPE_MALFORMED
    │   ├── EnvelopeSuiteUnsupported   ENVELOPE_SUITE_UNSUPPORTED
    │   ├── EnvelopeKeyMismatch        ENVELOPE_KEY_MISMATCH
    │   └── EnvelopeForged             ENVELOPE_FORGED
    ├── DescriptorMalformed            DESCRIPTOR_MALFORMED
    ├── StreamRefused
    │   ├── StreamLengthMismatch       STREAM_LENGTH
    │   ├── StreamHeaderMalformed      STREAM_HEADER_MALFORMED
    │   ├── SegmentForged              SEGMENT_FORGED
    │   └── ObjectRootMismatch         OBJECT_ROOT_MISMATCH
    └── SessionRefused
        ├── QuestionForged             QUESTION_FORGED
        ├── QuestionReplayed           QUESTION_REPLAYED
        ├── AnswerForged               SESSION_FORGED
        └── SessionUsedUp              SESSION_UNKNOWN

A refusal says what was expected, what was found and what to do; it never says anything about
contents or keys. `ValueError` and `TypeError` are for wrong arguments by the caller, `OSError` is
what the caller's own file raises; everything that the other side can cause is in this tree.
The names at the right are those of placet.v1.Reason; only the leaves are raised.
"""

from typing import ClassVar


class SealingError(Exception):
    """The root of the tree; `details` has keys among claim, expected, actual, rule, remedy."""

    reason: ClassVar[str] = "SEALING_REFUSED"

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.details = details


class KeyRefused(SealingError):
    """A key cannot be used."""

    reason = "KEY_REFUSED"


class KeyMalformed(KeyRefused):
    """Bytes or text are not a key of a known kind, or the key is one that gives no secrecy."""

    reason = "KEY_MALFORMED"


class KeyCommitmentMismatch(KeyRefused):
    """The key is not the one that the object's descriptor commits to."""

    reason = "KEY_COMMITMENT_MISMATCH"


class KeyUnwrapRefused(KeyRefused):
    """A wrapped secret was changed, or belongs to another wrapping key or other info."""

    reason = "KEY_UNWRAP_REFUSED"


class EnvelopeRefused(SealingError):
    """An HPKE envelope cannot be opened."""

    reason = "ENVELOPE_REFUSED"


class EnvelopeMalformed(EnvelopeRefused):
    """The bytes are not an envelope: too short, too long, or of an unknown version."""

    reason = "ENVELOPE_MALFORMED"


class EnvelopeSuiteUnsupported(EnvelopeRefused):
    """The envelope names another HPKE suite than the key's."""

    reason = "ENVELOPE_SUITE_UNSUPPORTED"


class EnvelopeKeyMismatch(EnvelopeRefused):
    """The envelope is for another key."""

    reason = "ENVELOPE_KEY_MISMATCH"


class EnvelopeForged(EnvelopeRefused):
    """The envelope was changed, or was sealed with other info."""

    reason = "ENVELOPE_FORGED"


class DescriptorMalformed(SealingError):
    """A descriptor has wrong fields, or fields that contradict one another."""

    reason = "DESCRIPTOR_MALFORMED"


class StreamRefused(SealingError):
    """The sealed bytes are not those of the object."""

    reason = "STREAM_REFUSED"


class StreamLengthMismatch(StreamRefused):
    """There are fewer or more sealed bytes than the descriptor says."""

    reason = "STREAM_LENGTH"


class StreamHeaderMalformed(StreamRefused):
    """The sealed bytes do not begin with a header of this format."""

    reason = "STREAM_HEADER_MALFORMED"


class SegmentForged(StreamRefused):
    """A segment is not the one that was sealed at this place in this object."""

    reason = "SEGMENT_FORGED"


class ObjectRootMismatch(StreamRefused):
    """The sealed bytes, or the leaf hashes given, do not have the descriptor's Merkle root."""

    reason = "OBJECT_ROOT_MISMATCH"


class SessionRefused(SealingError):
    """A question or an answer is not the next thing of its session."""

    reason = "SESSION_REFUSED"


class QuestionForged(SessionRefused):
    """A question was changed, or was sealed in another session or under another counter."""

    reason = "QUESTION_FORGED"


class QuestionReplayed(SessionRefused):
    """A question's counter is not above those of the questions before it."""

    reason = "QUESTION_REPLAYED"


class AnswerForged(SessionRefused):
    """An answer was changed, or is that to another question."""

    reason = "SESSION_FORGED"


class SessionUsedUp(SessionRefused):
    """A session has had as many questions as it may."""

    reason = "SESSION_UNKNOWN"
