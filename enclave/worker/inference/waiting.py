# SPDX-License-Identifier: Apache-2.0
"""Questions that wait, and whose turn it is.

Users take turns: whoever was served last comes last. A batch takes one question of each, and again,
until it is full; what does not fit with the first question stays at the head of the turn for the
next batch. So a user with a thousand questions delays another's by one batch, not by a thousand
questions.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from placet.enclave.worker.inference.questions import Question

# At most so many questions wait, of one user and of all, and so many of their bytes; or one of a
# user's and two of all, where these are larger.
MAX_QUESTIONS: Final = 4096
MAX_OF_USER: Final = 512
MAX_CONTENT: Final = 64 << 20
MAX_CONTENT_OF_USER: Final = 16 << 20


class _Queue:
    """The questions of one user, and their bytes."""

    def __init__(self) -> None:
        self.questions: deque[Question] = deque()
        self.content = 0


class Waiting:
    """The queues of all users, for questions of at most `largest` bytes."""

    def __init__(self, largest: int) -> None:
        self._most = max(MAX_CONTENT, 2 * largest)
        self._most_of_user = max(MAX_CONTENT_OF_USER, largest)
        # In the order of their turns; a user without a question has no queue.
        self._queues: dict[str, _Queue] = {}
        self._parked: set[str] = set()
        self._content = 0
        self.questions = 0
        self.rows = 0

    def full(self, question: Question) -> bool:
        """Whether there is no room for it."""
        size, queue = len(question.content), self._queues.get(question.user)
        if self.questions >= MAX_QUESTIONS or self._content + size > self._most:
            return True
        return queue is not None and (
            len(queue.questions) >= MAX_OF_USER or queue.content + size > self._most_of_user
        )

    def add(self, question: Question) -> None:
        """Wait behind the user's others."""
        queue = self._queues.setdefault(question.user, _Queue())
        queue.questions.append(question)
        self._count(queue, question, 1)

    def remove(self, question: Question) -> bool:
        """Wait no more; whether it did."""
        queue = self._queues.get(question.user)
        if queue is None or question not in queue.questions:
            return False
        queue.questions.remove(question)
        self._left(queue, question)
        return True

    def park(self, user: str) -> None:
        """Leave the user out until `unpark`."""
        self._parked.add(user)

    def unpark(self, user: str) -> None:
        """Let the user take turns again."""
        self._parked.discard(user)

    def turns(self) -> Iterator[Question]:
        """The next question of each user, turn by turn, until a round in which none is taken."""
        before = 0
        while self.questions != before:
            before = self.questions
            for user in list(self._queues):
                if user not in self._parked:
                    yield self._queues[user].questions[0]

    def take(self, question: Question) -> None:
        """Take out what `turns` gave last: its user comes last now."""
        queue = self._queues.pop(question.user)
        self._queues[question.user] = queue
        queue.questions.popleft()
        self._left(queue, question)

    def every(self) -> list[Question]:
        return [question for queue in self._queues.values() for question in queue.questions]

    def _left(self, queue: _Queue, question: Question) -> None:
        self._count(queue, question, -1)
        if not queue.questions:
            del self._queues[question.user]

    def _count(self, queue: _Queue, question: Question, sign: int) -> None:
        size = sign * len(question.content)
        queue.content += size
        self._content += size
        self.questions += sign
        self.rows += sign * question.rows
