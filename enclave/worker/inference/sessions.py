# SPDX-License-Identifier: Apache-2.0
"""The sessions that users have opened: each once, each until the offer that it was opened by stands
no more.

A user has a bounded number of them; the one that has been idle longest makes room. Its user opens
another.
"""

from collections.abc import Callable
from dataclasses import dataclass

from placet.enclave.worker.inference.offers import Offers, StandingOffer
from placet.enclave.worker.inference.users import Askers
from placet.governance.contexts import session_keys_info
from placet.proto.questions import Claim, Opening
from placet.refusals import QuestionReplayed, QueueFull, SessionUnknown, UserNotAllowed
from placet.sealing import SealedSession

MAX_OPENED = 1 << 16  # sessions by one offer
CROWDED = MAX_OPENED // 8  # from then on another offer takes them
MAX_LIVE = 64  # sessions of one user
_RETRY_MS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class UserSession:
    """A session, whose it is, by which offer; and why nothing is answered in it, if the terms do
    not let the user ask."""

    user: str
    offer: int
    sealed: SealedSession
    barred: UserNotAllowed | None


class Sessions:
    """All sessions of a worker. crowded: called when `CROWDED` sessions have been opened by the
    newest offer."""

    def __init__(self, askers: Askers, offers: Offers, crowded: Callable[[], None]) -> None:
        self._askers = askers
        self._offers = offers
        self._crowded = crowded
        self._live: dict[str, dict[bytes, UserSession]] = {}  # by user; the one idle longest first
        self._users: dict[bytes, str] = {}

    def open(self, opening: Opening) -> tuple[UserSession, bytearray]:
        """A new session, and the content of its first question, for the caller to wipe.

        Raises what `Offers.open` and `Askers.verify_claim` raise, `QuestionReplayed` for a session
        that was opened before, `QuestionForged`, and `QueueFull`. Whoever is not allowed is told so
        within the session, which is not kept.
        """
        offer, claim = self._offers.open(opening.envelope)
        user = self._askers.verify_claim(claim, offer.digest)
        sealed = SealedSession(claim.secret, session_keys_info(offer.digest, user))
        self._check_new(offer, sealed)
        content = sealed.open_question(0, opening.sealed)
        session = UserSession(user, offer.number, sealed, self._barred(claim))
        if session.barred is None:
            self._keep(session, offer)
        return session, content

    def find(self, id_: bytes) -> UserSession:
        """The session of this id. Raises `SessionUnknown`."""
        user = self._users.get(id_)
        if user is None:
            raise SessionUnknown(
                "There is no such session, or it has ended. Open another.", claim="session"
            )
        live = self._live[user]
        session = live[id_] = live.pop(id_)
        return session

    def end_lapsed(self) -> None:
        """End the sessions whose offers stand no more."""
        standing = {offer.number for offer in self._offers.standing}
        for live in self._live.values():
            for id_ in [id_ for id_, session in live.items() if session.offer not in standing]:
                self._end(live, id_)

    def _check_new(self, offer: StandingOffer, sealed: SealedSession) -> None:
        if sealed.id in offer.opened:
            raise QuestionReplayed(
                "The session was opened before. Open another, with a secret of its own.",
                claim="session",
            )
        if len(offer.opened) >= MAX_OPENED:
            raise QueueFull(
                "This offer has opened as many sessions as it takes. Ask for the worker's "
                "newest one.",
                claim="offer",
                retry_ms=str(_RETRY_MS),
            )

    def _barred(self, claim: Claim) -> UserNotAllowed | None:
        try:
            self._askers.check_allowed(claim)
        except UserNotAllowed as refusal:
            return refusal
        return None

    def _keep(self, session: UserSession, offer: StandingOffer) -> None:
        offer.opened.add(session.sealed.id)
        live = self._live.setdefault(session.user, {})
        if len(live) >= MAX_LIVE:
            self._end(live, next(iter(live)))
        live[session.sealed.id] = session
        self._users[session.sealed.id] = session.user
        if len(offer.opened) == CROWDED and offer is self._offers.standing[0]:
            self._crowded()

    def _end(self, live: dict[bytes, UserSession], id_: bytes) -> None:
        """Forget a session. Its keys go with the answer to its last question."""
        del live[id_], self._users[id_]
