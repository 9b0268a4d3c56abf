# SPDX-License-Identifier: Apache-2.0
"""A served model, as its user has it."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from placet.client.data.objects import Progress
from placet.client.errors import UsageRefused
from placet.client.services.arrays import Array, judge_rows
from placet.client.services.asking import Asking
from placet.client.services.chain import ServedWorker
from placet.client.services.kept import KeptAnswers
from placet.client.services.predicting import ask_rows
from placet.governance.documents import Card
from placet.governance.documents.serving import Field, RowsAre
from placet.governance.documents.work.serve import Serve


class AsyncServedModel:
    """A served model, for one user. Made by `Services.open`; verdict and session are kept between
    calls. Close it, or use it as a context."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._closed = False

    async def close(self) -> None:
        """End what is under way."""
        self._closed = True
        await self._asking.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def worker(self) -> ServedWorker:
        """The worker that is asked now, verified."""
        return self._asking.worker

    @property
    def terms(self) -> Serve:
        """What the council approved."""
        return self.worker.terms

    @property
    def card(self) -> Card:
        """What the owner says of the model."""
        return self.terms.card

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The arrays that it takes. A dimension of 0 may be of any length; the first one counts
        rows, unless `rows` is "dependent"."""
        return self.worker.offer.document.inputs

    @property
    def answers(self) -> tuple[Field, ...]:
        """The arrays that it gives."""
        return self.worker.offer.document.answers

    @property
    def rows(self) -> RowsAre:
        """Whether many rows may become several questions: "independent", each row is answered by
        itself; "fixed", so many at a time as the model takes; "dependent", a call is one
        question."""
        return self.worker.offer.document.rows

    async def predict(
        self,
        rows: Array | Mapping[str, Array],
        *,
        deadline: float | None = None,
        progress: Progress | None = None,
        keep: Path | None = None,
    ) -> Any:
        """Ask about rows: of one input and one output array in, array out; else dicts of arrays
        (`Arrays`).

        Many rows become several questions, up to 32 of them under way; cancelling ends them all.
        deadline: seconds for all. progress(answered, all): in rows. keep: a file for the answers as
        they come: the same call again goes on where this one breaks off, and pays for none of them
        twice. It is the caller's to remove. Raises `QuestionRefused`,
        `CallTimedOut`, `Refused` (ANSWERS_USED_UP and others), `Unreachable`, `OfferInvalid`,
        `AnswerMalformed` or `placet.sealing.AnswerForged`.
        """
        if self._closed:
            raise UsageRefused("The model has been closed. Open it again.")
        asked = judge_rows(rows, self.terms, self.worker.offer.document)
        kept = None if keep is None else KeptAnswers(keep, self.worker, asked)
        try:
            return await ask_rows(
                self._asking, asked, self.answers, deadline=deadline, progress=progress, kept=kept
            )
        finally:
            if kept is not None:
                kept.close()
