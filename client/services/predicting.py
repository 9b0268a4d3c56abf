# SPDX-License-Identifier: Apache-2.0
"""Many rows as many questions, some of them under way at a time, and one answer."""

import asyncio
from collections.abc import Iterator, Sequence

from placet.client.data.objects import Progress
from placet.client.errors import AnswerMalformed, CallTimedOut
from placet.client.services.arrays import Array, Arrays, Rows, joined, read_answer
from placet.client.services.asking import IN_FLIGHT, Asking
from placet.governance.documents.serving import Field


async def ask_rows(
    asking: Asking,
    rows: Rows,
    answers: Sequence[Field],
    *,
    deadline: float | None = None,
    progress: Progress | None = None,
) -> Array | Arrays:
    """The answers to all rows, in their order.

    deadline: seconds for all of it. progress: called with the rows that are answered, and all of
    them. The first refusal ends it; what is under way then is cancelled. Raises `CallTimedOut`, or
    what `Asking.ask` raises.
    """
    until = None if deadline is None else asyncio.get_running_loop().time() + deadline
    work = _Work(asking, rows, answers, until, progress)
    try:
        async with asyncio.timeout_at(until):
            return joined(await work.done())
    except TimeoutError:
        raise CallTimedOut(
            f"Not everything was answered within {deadline} seconds; {work.answered} of "
            f"{rows.count} rows were.",
            claim="deadline",
        ) from None


class _Work:
    """One call of `ask_rows`."""

    def __init__(
        self,
        asking: Asking,
        rows: Rows,
        answers: Sequence[Field],
        until: float | None,
        progress: Progress | None,
    ) -> None:
        self.answered = 0
        self._asking = asking
        self._rows = rows
        self._answers = answers
        self._until = until
        self._progress = progress
        self._parts: list[Arrays] = [{}] * rows.questions

    async def done(self) -> list[Arrays]:
        questions = enumerate(self._rows.packed())
        if self._rows.questions == 1:
            await self._some(questions, alone=True)
            return self._parts
        askers = min(IN_FLIGHT, self._rows.questions)
        tasks = [asyncio.create_task(self._some(questions, alone=False)) for _ in range(askers)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._parts

    async def _some(self, questions: Iterator[tuple[int, bytearray]], *, alone: bool) -> None:
        """Ask one question after the other, of those that nobody has asked yet."""
        for number, content in questions:
            try:
                answer = await self._asking.ask(content, self._until, alone=alone)
            finally:
                content[:] = bytes(len(content))
            try:
                self._parts[number] = read_answer(answer, self._answers)
            finally:
                answer[:] = bytes(len(answer))
            self._count(number)

    def _count(self, number: int) -> None:
        start = number * self._rows.at_once
        rows = min(self._rows.at_once, self._rows.count - start)
        part = self._parts[number].items()
        if wrong := [
            name for name, array in part if self._rows.questions > 1 and len(array) != rows
        ]:
            raise AnswerMalformed(
                "The worker answered for another number of rows than it was asked about.",
                claim=wrong[0],
                expected=str(rows),
            )
        self.answered += rows
        if self._progress is not None:
            self._progress(self.answered, self._rows.count)
