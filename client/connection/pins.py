# SPDX-License-Identifier: Apache-2.0
"""The pins by which a host is known: one, and the earlier ones that it followed, while they last.

A host that shows another certificate than the pinned one may have announced it under that one. What
it says is believed by the signature of the earlier certificate's key, and kept.
"""

import time
from collections.abc import Callable, Iterable

from placet.auditing.pins import SignedNotice, follow, verify_notice
from placet.refusals import Refusal


class Pins:
    """The pin that counts, and the notices that led to it. `learned` is called after another one
    has come; `now` gives Unix seconds."""

    def __init__(
        self,
        pin: str,
        notices: Iterable[SignedNotice] = (),
        *,
        learned: Callable[["Pins"], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.pin = pin
        self.notices = tuple(notices)
        self._learned = learned
        self._now = now

    def accepts(self, shown: str) -> bool:
        """Whether it is the pin, or an earlier one whose certificate has not ended."""
        if shown == self.pin:
            return True
        return any(notice == shown for notice in self._former())

    def follow(self, shown: str, notices: Iterable[SignedNotice]) -> bool:
        """Whether notices lead from the pin to the one that is shown, which then is the pin."""
        path = follow(notices, self.pin, shown, int(self._now()))
        if not path:
            return False
        self.pin, self.notices = shown, (*self.notices, *path)
        self._learned(self)
        return True

    def _former(self) -> list[str]:
        """Earlier pins from which a notice leads to the pin today."""
        found = list[str]()
        for signed in self.notices:
            try:
                former = verify_notice(signed, int(self._now())).former
            except Refusal:
                continue
            if follow(self.notices, former, self.pin, int(self._now())):
                found.append(former)
        return found
