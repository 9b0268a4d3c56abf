# SPDX-License-Identifier: Apache-2.0
"""What is refused of a model that is to be served, and of a question to it.

    EnclaveError
    ├── ModelInvalid, ModelTooLarge                       end the attempt
    ├── QuestionInvalid, QuestionTooLarge, ModelFailed     say something about a question: sealed
    └── QueueFull, DeadlinePassed                          in the clear

What the runtime says of an error may quote the model or a question, so it never becomes part of a message.
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
