# SPDX-License-Identifier: Apache-2.0
"""A user's ration of answers: rows drawn from the authority in tranches, and so many in a
minute."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from placet.enclave.worker.inference.batching import LATER, Later
from placet.enclave.worker.inference.questions import Question
from placet.governance.documents import Rations
from placet.proto.v1 import enclaves_pb2
from placet.refusals import AnswersUsedUp, QuestionTooLarge, RateExceeded, Refusal

# Asks the authority for rows of a user's.
Draw = Callable[[str, int], Awaitable[enclaves_pb2.Drawn]]

# The authority does not think otherwise of these while the service lasts.
_FINAL = frozenset({"ANSWERS_USED_UP", "USER_NOT_ALLOWED", "PRIVACY_BUDGET"})
_RETRY_SECONDS = 1.0  # for how long a draw that failed otherwise is not tried again
_MINUTE = 60.0


@dataclass(slots=True, eq=False)
class _Account:
    """One user's. bucket: rows that may be charged now by the rate, as of `seen`. held: rows drawn
    and not charged."""

    bucket: float
    seen: float
    held: int = 0
    drawing: asyncio.Task[None] | None = None
    refusal: Exception | None = None  # what the last draw ended with
    refused_until: float = -math.inf


class Allowances:
    """Charges rows as questions enter a batch. All of it runs in one event loop.

    wake: told of a user whose draw has come. clock: seconds that do not go back.
    """

    def __init__(
        self, terms: Rations, draw: Draw, wake: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self._terms = terms
        self._draw = draw
        self._wake = wake
        self._clock = clock
        self._accounts: dict[str, _Account] = {}  # of those who may ask, so there are not many

    def admit(self, question: Question) -> None | Later | Exception:
        """Charge the rows of a question that would enter a batch; LATER while a draw is under
        way."""
        rows, now = question.rows, self._clock()
        account = self._accounts.get(question.user)
        if account is None:
            account = _Account(float(self._terms.minute), now)
            self._accounts[question.user] = account
        refusal = self._too_large(rows) or self._too_fast(account, rows, now)
        if refusal is not None:
            return refusal
        if account.held < rows:
            return self._wait(question.user, account, now)
        account.held -= rows
        account.bucket -= rows
        if account.held <= self._terms.tranche // 2 and now >= account.refused_until:
            self._begin_draw(question.user, account)
        return None

    def _too_large(self, rows: int) -> Exception | None:
        """More than is ever held, or answered in a minute, would wait for ever."""
        most = min(self._terms.tranche, self._terms.minute)
        if rows <= most:
            return None
        return QuestionTooLarge(
            "The question has more rows than the terms let a user be answered at a time. Ask for "
            "fewer.",
            claim="rows",
            expected=f"at most {most}",
            actual=str(rows),
        )

    def _too_fast(self, account: _Account, rows: int, now: float) -> Exception | None:
        a_second = self._terms.minute / _MINUTE
        account.bucket = min(self._terms.minute, account.bucket + (now - account.seen) * a_second)
        account.seen = now
        if rows <= account.bucket:
            return None
        return RateExceeded(
            "The terms let no more of this user's rows be answered in a minute. Ask again later.",
            claim="rations.minute",
            expected=f"at most {self._terms.minute} rows a minute",
            retry_ms=str(math.ceil((rows - account.bucket) / a_second * 1000)),
        )

    def _wait(self, user: str, account: _Account, now: float) -> Later | Exception:
        if now < account.refused_until and account.refusal is not None:
            return account.refusal
        self._begin_draw(user, account)
        return LATER

    def _begin_draw(self, user: str, account: _Account) -> None:
        """Fill up to the tranche, unless that is under way."""
        if account.drawing is None:
            account.drawing = asyncio.ensure_future(self._fill(user, account))

    async def _fill(self, user: str, account: _Account) -> None:
        try:
            drawn = await self._draw(user, self._terms.tranche - account.held)
            account.held += drawn.rows
            if not drawn.user_left or not drawn.total_left:
                account.refusal, account.refused_until = _used_up(user), math.inf
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            final = isinstance(error, Refusal) and error.reason in _FINAL
            account.refusal = error
            account.refused_until = math.inf if final else self._clock() + _RETRY_SECONDS
        finally:
            account.drawing = None
            self._wake(user)


def _used_up(user: str) -> AnswersUsedUp:
    return AnswersUsedUp(
        f"The terms let {user} be answered less than this from now on."
        " Ask about fewer rows, or have the service proposed anew with more.",
        claim="rations",
    )
