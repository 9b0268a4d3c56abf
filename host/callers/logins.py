# SPDX-License-Identifier: Apache-2.0
"""Logging in: a challenge, its signed answer, and a token that lives for minutes.

1. A challenge is the time and sixteen random bytes under a MAC (HMAC-SHA256) over the connection
   too. The host keeps nothing of it, so strangers may ask for as many as they like.
2. The answer is a `login`, signed by a key of the principal that it names, for this council, this
   host's certificate and a challenge of this connection, not older than a minute.
3. A challenge is answered once.
4. Under a pass that a key of the principal signed, its holder's key signs the answer.
5. The token is good while its principal has the key that signed, login or pass, at most `SECONDS`,
   and no longer than the pass.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from placet.governance.documents.login import Login
from placet.governance.documents.passes import Pass
from placet.governance.envelope import Signed, inspect, verify_signed
from placet.governance.keys import PublicKey
from placet.host.callers.caller import Caller, Role
from placet.host.callers.principals import Principals
from placet.refusals import DocumentReplayed, LoginRequired, NotPermitted, OtherLog, Refusal

SECONDS = 600
_CHALLENGE_SECONDS = 60
_TIME_BYTES, _RANDOM_BYTES = 8, 16
_DOMAIN = b"placet host challenge v1"
_MAX_TOKENS = 256  # of one principal, and as many of those who have its passes


@dataclass(frozen=True, slots=True)
class _Token:
    principal: str
    key: PublicKey
    ends: float  # by the monotonic clock
    pass_: Pass | None = None


class Logins:
    """The tokens of one host, in memory: who had one before a restart logs in again.

    `pins` gives those of the certificates by which the host is reached now, `now` Unix seconds.
    """

    def __init__(
        self,
        principals: Principals,
        pins: Callable[[], Collection[str]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._principals = principals
        self._pins = pins
        self._now = now
        self._secret = secrets.token_bytes(32)
        self._tokens: dict[str, _Token] = {}
        self._answered: dict[str, float] = {}

    def challenge(self, peer: str) -> str:
        """A challenge for the connection of this peer."""
        now = int(time.monotonic()).to_bytes(_TIME_BYTES, "big")
        head = now + secrets.token_bytes(_RANDOM_BYTES)
        return (head + self._mac(head, peer)).hex()

    async def login(self, envelope: bytes, under: bytes, peer: str) -> tuple[str, float]:
        """The token of a login, under a pass unless that is empty, and for how many seconds.

        Raises `LoginRequired` for a challenge that is not this connection's or too old,
        `DocumentReplayed`, `OtherLog`, `NotPermitted` for a pass that is not for it, or why a
        signature is none of a principal's, or none of the pass's holder.
        """
        by = inspect(envelope, Login).by
        keys = await self._principals.keys_of(by)
        held = verify_signed(under, Pass, lambda _: keys) if under else None
        answering = (held.document.holder,) if held else keys
        signed = verify_signed(envelope, Login, lambda _: answering)
        login, seconds = signed.document, float(SECONDS)
        self._check_place(login, peer)
        if held:
            seconds = min(seconds, self._left(held.document, by))
        now = time.monotonic()
        self._answered = {c: ends for c, ends in self._answered.items() if ends > now}
        if login.challenge in self._answered:
            raise DocumentReplayed("The challenge has been answered before.", claim="challenge")
        self._answered[login.challenge] = now + _CHALLENGE_SECONDS
        token = _Token(by, _key(held or signed), now + seconds, held.document if held else None)
        return self._admit(token, now), seconds

    async def caller(self, token: str) -> Caller:
        """Whom a token is of. Raises `LoginRequired`."""
        known = self._tokens.get(token)
        if known is not None and known.ends > time.monotonic():
            try:
                if known.key in await self._principals.keys_of(known.principal):
                    return Caller(Role.PRINCIPAL, known.principal, known.pass_)
            except Refusal:
                pass  # the principal or its key is the council's no more
        self._tokens.pop(token, None)
        raise LoginRequired("The login is over. Log in again.", claim="token")

    def _left(self, held: Pass, by: str) -> float:
        """How many seconds a pass lasts. Raises `OtherLog` or `NotPermitted`."""
        self._check_council(held)
        now = self._now()
        if held.by != by or not held.not_before <= now < held.not_after:
            raise NotPermitted(
                "The pass is another principal's, or not for now. Have one signed anew.",
                claim="pass",
                expected=f"{by}, at {int(now)}",
                actual=f"{held.by}, from {held.not_before} to {held.not_after}",
            )
        return held.not_after - now

    def _check_council(self, document: Login | Pass) -> None:
        if document.charter != self._principals.charter:
            raise OtherLog(
                f"The {document.KIND} is for another council than this host's. Name its charter.",
                claim="charter",
                expected=self._principals.charter,
                actual=document.charter,
            )

    def _check_place(self, login: Login, peer: str) -> None:
        self._check_council(login)
        pins = self._pins()
        if login.pin not in pins:
            raise LoginRequired(
                "The login is for another certificate than this host's. Connect anew.",
                claim="pin",
                expected=" or ".join(sorted(pins)),
                actual=login.pin,
            )
        data = bytes.fromhex(login.challenge)
        head, mac = data[: _TIME_BYTES + _RANDOM_BYTES], data[_TIME_BYTES + _RANDOM_BYTES :]
        age = time.monotonic() - int.from_bytes(head[:_TIME_BYTES], "big")
        if not hmac.compare_digest(mac, self._mac(head, peer)) or age > _CHALLENGE_SECONDS:
            raise LoginRequired(
                "The challenge is not of this connection, or too old. Ask for another one.",
                claim="challenge",
            )

    def _admit(self, made: _Token, now: float) -> str:
        alike = (made.principal, made.pass_ is None)  # a pass's holder logs its signer out of none
        held = [t for t, k in self._tokens.items() if (k.principal, k.pass_ is None) == alike]
        for token in held[: max(len(held) - _MAX_TOKENS + 1, 0)]:
            del self._tokens[token]
        for token in [t for t, known in self._tokens.items() if known.ends <= now]:
            del self._tokens[token]
        token = secrets.token_hex(32)
        self._tokens[token] = made
        return token

    def _mac(self, head: bytes, peer: str) -> bytes:
        parts = (_DOMAIN, head, peer.encode())
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._secret, message, hashlib.sha256)


def _key(signed: Signed[Login] | Signed[Pass]) -> PublicKey:
    return min(signed.signers, key=lambda key: key.key_id)
