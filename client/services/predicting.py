# SPDX-License-Identifier: Apache-2.0
"""Many rows as many questions, some of them under way at a time, and one answer."""

import asyncio
from collections.abc import Iterator, Sequence

from placet.client.data.objects import Progress
from placet.client.errors import AnswerMalformed, CallTimedOut
from placet.client.services.arrays import Array, Arrays, Rows, joined, read_answer
from placet.client.services.asking import IN_FLIGHT, Asking
from placet.client.services.kept import KeptAnswers
from placet.governance.documents.serving import Field


async def ask_rows(
    asking: Asking,
    rows: Rows,
    answers: Sequence[Field],
    *,
    deadline: float | None = None,
    progress: Progress | None = None,
    kept: KeptAnswers | None = None,
) -> Array | Arrays:
    """The answers to all rows, in their order.

    deadline: seconds for all of it. progress: called with the rows that are answered, and all of
    them. kept: answers that are there already, and where the others are kept. The first refusal
    ends it; what is under way then is cancelled, or waited for where answers are kept. Raises
    `CallTimedOut`, or what `Asking.ask` raises.
    """
    until = None if deadline is None else asyncio.get_running_loop().time() + deadline
    work = _Work(asking, rows, answers, until, progress, kept)
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
        kept: KeptAnswers | None,
    ) -> None:
        self.answered = 0
        self._asking = asking
        self._rows = rows
        self._answers = answers
        self._until = until
        self._progress = progress
        self._kept = kept
        self._over = False  # nothing more is to be asked
        self._parts: dict[int, Arrays] = {}

    async def done(self) -> list[Arrays]:
        """What is not kept is asked."""
        for number, content in (self._kept.parts if self._kept is not None else {}).items():
            self._take(number, memoryview(content))
        questions = self._rows.packed(but=set(self._parts))
        left = self._rows.questions - len(self._parts)
        if self._rows.questions == 1:
            await self._some(questions, alone=True)
        elif left:
            await self._all(questions, min(IN_FLIGHT, left, self._rows.under_way))
        return [self._parts[number] for number in range(self._rows.questions)]

    async def _all(self, questions: Iterator[tuple[int, bytearray]], askers: int) -> None:
        tasks = [asyncio.create_task(self._some(questions, alone=False)) for _ in range(askers)]
        try:
            ended, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            self._over = True
            if others and self._kept is not None:  # what they were answered is paid for
                await asyncio.wait(others)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _some(self, questions: Iterator[tuple[int, bytearray]], *, alone: bool) -> None:
        """Ask one question after the other, of those that nobody has asked yet."""
        for number, content in questions:
            if self._over:
                content[:] = bytes(len(content))
                return
            try:
                answer = await self._asking.ask(content, self._until, alone=alone)
            finally:
                content[:] = bytes(len(content))
            try:
                self._take(number, answer)
                if self._kept is not None:
                    self._kept.add(number, answer)
            finally:
                answer[:] = bytes(len(answer))

    def _take(self, number: int, answer: memoryview) -> None:
        """Read an answer, and count its rows."""
        start = number * self._rows.at_once
        rows = min(self._rows.at_once, self._rows.count - start)
        part = read_answer(answer, self._answers)
        if wrong := [
            name for name, array in part.items() if self._rows.questions > 1 and len(array) != rows
        ]:
            raise AnswerMalformed(
                "The worker answered for another number of rows than it was asked about.",
                claim=wrong[0],
                expected=str(rows),
            )
        self._parts[number] = part
        self.answered += rows
        if self._progress is not None:
            self._progress(self.answered, self._rows.count)
