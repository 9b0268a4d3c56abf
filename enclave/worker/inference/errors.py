# SPDX-License-Identifier: Apache-2.0
"""What is refused of a model that is to be served, of a session with it, and of a question to it.

    EnclaveError
    ├── ModelInvalid, ModelTooLarge                       end the attempt
    ├── QuestionInvalid, QuestionTooLarge, ModelFailed     say something about a question: sealed
    ├── AnswerTooLarge, RateExceeded                       the same
    ├── SessionUnknown, SessionForged                      in the clear: nobody knows yet who asks
    └── QueueFull, DeadlinePassed                          in the clear

What the runtime says of an error may quote the model or a question, so it never becomes part of a
message.
"""

from placet.enclave.errors import EnclaveError


class ModelInvalid(EnclaveError):
    """The file is not a model that can be served under these terms."""

    reason = "MODEL_INVALID"


class ModelTooLarge(EnclaveError):
    """The model does not fit the memory that there is."""

    reason = "MODEL_TOO_LARGE"


class QuestionInvalid(EnclaveError):
    """The tensors are not what the model takes."""

    reason = "QUESTION_INVALID"


class QuestionTooLarge(EnclaveError):
    """More rows than the terms allow in one question."""

    reason = "QUESTION_TOO_LARGE"


class ModelFailed(EnclaveError):
    """The model cannot answer this question."""

    reason = "MODEL_FAILED"


class QueueFull(EnclaveError):
    """More waits than is kept; `retry_ms` says when to ask again."""

    reason = "QUEUE_FULL"


class DeadlinePassed(EnclaveError):
    """The question was not in a batch by when it had to be."""

    reason = "DEADLINE_PASSED"


class AnswerTooLarge(EnclaveError):
    """The answer, sealed, is longer than an answer may be."""

    reason = "ANSWER_TOO_LARGE"


class RateExceeded(EnclaveError):
    """The user has been answered as much as the terms allow in a minute; `retry_ms` says when to
    ask again."""

    reason = "RATE_EXCEEDED"


class SessionUnknown(EnclaveError):
    """No such session, or it ended with the offer under which it was opened."""

    reason = "SESSION_UNKNOWN"


class SessionForged(EnclaveError):
    """What should open a session does not: the envelope, the claim in it, or its proof."""

    reason = "SESSION_FORGED"
