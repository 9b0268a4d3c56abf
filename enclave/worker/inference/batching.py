# SPDX-License-Identifier: Apache-2.0
"""Questions of many users, run together.

    batcher = Batcher(model, terms, admit, deliver)     # in the event loop that calls all of it
    batcher.ask(Question("ada", content, until))        # raises what can be refused at once
    ...                  # deliver([(question, tensors or refusal), ...]), once a batch

Rules: a batch starts as soon as the runtime is free; users take turns (waiting.py). All of it runs
in one event loop and takes no lock; only the runs themselves are in a thread.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

from placet.enclave.worker.inference.model import Model
from placet.enclave.worker.inference.questions import Question, Reader
from placet.enclave.worker.inference.runs import Batch
from placet.enclave.worker.inference.waiting import Waiting
from placet.governance.documents.work.serve import Serve
from placet.proto.tensors import Tensor
from placet.refusals import DeadlinePassed, ModelFailed, QueueFull


class Later:
    """The answer of `admit` for a user of whom it does not know yet: their questions wait for
    `wake`."""


LATER: Final = Later()
Delivered = tuple[Question, tuple[Tensor, ...] | Exception]

# Called as a question would enter a batch; None charges its rows. It must neither raise nor call
# the batcher.
Admit = Callable[[Question], None | Later | Exception]
# Called once a batch. The tensors lie in memory that is wiped when it returns.
Deliver = Callable[[Sequence[Delivered]], None]

MAX_BATCH = 16 << 20  # bytes of the questions of a batch of several: they are copied together
LONGEST_RUN = 60.0  # seconds of a batch, or one question could keep a worker from all others
_SMOOTHING: Final = 0.1  # of the measured seconds a row
_MIN_RETRY_MS, _MAX_RETRY_MS = 10, 30_000


class Batcher:
    """Takes questions, gives answers; every question that `ask` took is delivered exactly once
    unless it is cancelled."""

    def __init__(self, model: Model, terms: Serve, admit: Admit, deliver: Deliver) -> None:
        self._model = model
        self._reader = Reader(model, terms)
        self._batch_rows = terms.batch_rows
        self._admit = admit
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting(terms.largest_question)
        self._under_way: Batch | None = None
        self._too_long: asyncio.TimerHandle | None = None
        self._turn_comes = False
        self._row_seconds = 0.0
        # Users whose last question failed: theirs are run apart, or they would cost everybody the
        # batch again and again.
        self._failing: set[str] = set()
        self._closed: asyncio.Future[None] | None = None
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        threading.Thread(target=self._run, name="runtime", daemon=True).start()

    def ask(self, question: Question) -> None:
        """Take a question; never waits.

        Raises `QuestionInvalid` and `QuestionTooLarge` (to be sealed), and `QueueFull` (in the
        clear, with `retry_ms`). Delivered later: the answer, `DeadlinePassed`, `ModelFailed`, what
        `admit` refuses with.
        """
        try:
            if self._closed is not None or self._waiting.full(question):
                raise self._queue_full()
            self._reader.read(question)
        except BaseException:
            question.wipe()
            raise
        self._waiting.add(question)
        self._call_turn()

    def cancel(self, question: Question) -> None:
        """Nobody waits for it any more: nothing is delivered for it. Nothing happens to a question
        that was delivered."""
        question.wanted = False
        if self._waiting.remove(question):
            question.wipe()

    def wake(self, user: str) -> None:
        """Ask `admit` again about a user for whom it said LATER."""
        self._waiting.unpark(user)
        self._call_turn()

    async def close(self) -> None:
        """Forget and wipe all that waits, and wait for the run under way, whose answers nobody
        gets."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            for question in self._waiting.every():
                self.cancel(question)
            if self._under_way is None:
                self._closed.set_result(None)
            self._batches.put(None)
        await asyncio.shield(self._closed)

    def _call_turn(self) -> None:
        """Once for all questions that came in one message."""
        if self._under_way is None and not self._turn_comes:
            self._turn_comes = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_comes = False
        if self._closed is None and self._under_way is None:
            refused = self._start()
            if refused:
                self._deliver(refused)

    def _start(self) -> list[Delivered]:
        """Start the next batch if there is one; returns what was refused instead of entering it."""
        batch: list[Question] = []
        refused: list[Delivered] = []
        now = self._loop.time()
        rows = size = 0
        for question in self._waiting.turns():
            if rows >= self._batch_rows:
                break
            late = question.until < now
            if batch and not late and not self._fits(question, batch[0], rows, size):
                continue
            refusal = _late() if late else self._admit(question)
            if isinstance(refusal, Later):
                self._waiting.park(question.user)
                continue
            self._waiting.take(question)
            if refusal is None:
                batch.append(question)
                rows += question.rows
                size += len(question.content)
            else:
                question.wipe()
                refused.append((question, refusal))
        if batch:
            self._under_way = Batch(self._model, batch)
            self._too_long = self._loop.call_later(LONGEST_RUN, self._under_way.stop)
            self._batches.put(self._under_way)
        return refused

    def _fits(self, question: Question, first: Question, rows: int, size: int) -> bool:
        """Whether it can be run with a batch of so many rows and bytes that begins with `first`."""
        return (
            size + len(question.content) <= MAX_BATCH
            and question.company == first.company
            and rows + question.rows <= self._batch_rows
            and (
                question.user == first.user
                or not (question.user in self._failing or first.user in self._failing)
            )
        )

    def _run(self) -> None:
        """The runtime's thread."""
        while (batch := self._batches.get()) is not None:
            batch.run()
            try:
                self._loop.call_soon_threadsafe(self._done, batch)
            except RuntimeError:  # the loop was closed, and with it whoever waited
                batch.wipe()

    def _done(self, batch: Batch) -> None:
        self._under_way = None
        if self._too_long is not None:
            self._too_long.cancel()
        seconds = batch.seconds / batch.rows
        self._row_seconds += _SMOOTHING * (seconds - self._row_seconds)
        try:
            if self._closed is not None:
                self._closed.set_result(None)
                return
            self._note_failures(batch)
            # First the next one, so that the runtime does not wait while answers are sealed.
            delivered = self._start()
            for question, answer in zip(batch.questions, batch.answers, strict=True):
                if question.wanted:
                    delivered.append((question, answer))
            self._deliver(delivered)
        finally:
            batch.wipe()

    def _note_failures(self, batch: Batch) -> None:
        for question, answer in zip(batch.questions, batch.answers, strict=True):
            if isinstance(answer, ModelFailed):
                self._failing.add(question.user)
            else:
                self._failing.discard(question.user)

    def _queue_full(self) -> QueueFull:
        """After half of what waits, there is room again."""
        milliseconds = int(500 * self._waiting.rows * self._row_seconds)
        return QueueFull(
            "The worker has more questions than it keeps. Ask again later.",
            claim="waiting",
            actual=f"{self._waiting.questions} questions",
            retry_ms=str(min(max(milliseconds, _MIN_RETRY_MS), _MAX_RETRY_MS)),
        )


def _late() -> DeadlinePassed:
    return DeadlinePassed(
        "The question did not get into a batch in time. Give it longer, or ask again later.",
        claim="wait_ms",
    )
