# SPDX-License-Identifier: Apache-2.0
"""Questions of many users, run together.

    batcher = Batcher(model, terms, admit, deliver)     # in the event loop in which all of it is called
    batcher.ask(Question("ada", content, until))        # raises what can be refused at once
    ...                                                 # deliver([(question, tensors or refusal), ...]), once a batch

Rules: a batch starts as soon as the runtime is free; users take turns, one question a turn; what does not fit waits for the
next batch at the head of the turn. All of it runs in one event loop and takes no lock, but for the runs that are long enough to be
worth a thread.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from placet.enclave.worker.inference.model import Model
from placet.governance.documents.serving import Serve
from placet.proto.tensors import Tensor


@dataclass(slots=True, eq=False)
class Question:
    """What one user asks.

    content: packed tensors (proto/tensors.py), in a buffer that is the batcher's from `ask` on, and wiped by it, also where `ask`
    raises. until: by the event loop's clock, when it has to be in a batch. context: the caller's own. rows: set by `ask`.
    """

    user: str
    content: bytearray
    until: float = math.inf
    context: Any = None
    rows: int = field(default=0, init=False)


class Later:
    """What `admit` returns for a user of whom it does not know yet: their questions wait for `wake`."""


LATER: Final = Later()

# Called as a question would enter a batch; None charges its rows. It must not raise.
Admit = Callable[[Question], None | Later | Exception]
# Called once a batch. The tensors lie in memory that is wiped when it returns.
Deliver = Callable[[Sequence[tuple[Question, tuple[Tensor, ...] | Exception]]], None]


class Batcher:
    """Takes questions, gives answers; every question that `ask` took is delivered exactly once unless it is cancelled."""

    def __init__(self, model: Model, terms: Serve, admit: Admit, deliver: Deliver) -> None: ...

    def ask(self, question: Question) -> None:
        """Take a question; never waits.

        Raises `TensorsMalformed`, `QuestionInvalid`, `QuestionTooLarge` (to be sealed) and `QueueFull` (in the clear, with
        `retry_ms`). Delivered later: the answer, `DeadlinePassed`, `ModelFailed`, what `admit` refuses with.
        """

    def cancel(self, question: Question) -> None:
        """Nobody waits for it any more: nothing is delivered for it. Of a question that was delivered: nothing happens."""

    def wake(self, user: str) -> None:
        """Ask `admit` again about a user for whom it said LATER."""

    async def close(self) -> None:
        """Forget and wipe all that waits, and wait for the run under way, whose answers nobody gets."""
