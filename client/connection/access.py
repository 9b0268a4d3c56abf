# SPDX-License-Identifier: Apache-2.0
"""Logging in at the host: nobody logs in by hand, a call that takes a login does it first.

The token that the host gives lives for minutes. A home folder keeps it, so that commands that
follow each other log in once.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from placet.client.connection.calls import translated
from placet.client.connection.channel import METADATA
from placet.client.connection.passes import kept_as, read_pass
from placet.client.errors import AnswerMalformed, UsageRefused
from placet.client.keys import Keys
from placet.governance.documents.login import Login
from placet.governance.envelope import sign
from placet.proto.limits import ACCESS_KEY, BEARER
from placet.proto.v1 import access_pb2, access_pb2_grpc
from placet.refusals import DocumentNotFound, Refused

_TIMEOUT = 30.0
_EARLY = 30.0  # seconds before its end at which a token counts as over
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class KeysLater:
    """Keys that are loaded once a call takes a login: the principal's id, and what loads them."""

    id: str
    load: Callable[[], Keys]


# Documents and runs are for principals, and for what their passes name.
NOT_SHOWN = ("LOGIN_REQUIRED", "NOT_PERMITTED")


@contextmanager
def where_shown() -> Generator[None]:
    """The block ends without an error where the host withholds a document, or shows it to others
    than this caller."""
    try:
        yield
    except DocumentNotFound:
        pass
    except Refused as refused:
        if refused.reason not in NOT_SHOWN:
            raise


class Kept(Protocol):
    """Where logins are kept from one client to the next."""

    def load(self, by: str, pin: str) -> tuple[str, float]:
        """The token of a principal at a host, and the Unix time of its end; empty where there is
        none."""
        ...

    def save(self, by: str, pin: str, token: str, ends: float) -> None: ...


class Access:
    """The login of one connection. Without keys its calls are a stranger's.

    keys: the keys of a seat or party, or how they are loaded. charter: gives the digest of the
    council's charter, or "". pin: of the host's certificate. pass_: by which the keys log in in
    another's name; empty without one. Raises `FileRefused` for what is no pass.
    """

    def __init__(
        self,
        stub: "access_pb2_grpc.AccessAsyncStub",
        keys: Keys | KeysLater | None,
        charter: Callable[[], str],
        pin: str,
        kept: Kept | None,
        pass_: bytes = b"",
    ) -> None:
        self._stub = stub
        self._keys: Keys | KeysLater | None = None
        self._charter = charter
        self._pin = pin
        self._kept = kept
        self._envelope, self._pass = pass_, read_pass(pass_) if pass_ else None
        self._lock = asyncio.Lock()
        self._token, self._ends = "", 0.0
        if keys is not None:
            self.use(keys)

    def use(self, keys: Keys | KeysLater) -> None:
        """Log in by these keys, where none were given before: whoever signs with keys is known by
        them."""
        if self._keys is None:
            self._keys = keys
            if self._kept is not None:
                self._token, self._ends = self._kept.load(self._kept_as(keys), self._pin)

    @property
    def token(self) -> str:
        """The token that calls bring along now; empty for a stranger's."""
        return self._token if time.time() < self._ends - _EARLY else ""

    def metadata(self) -> Metadata:
        """What a call brings along, as it stands."""
        token = self.token
        return (*METADATA, (ACCESS_KEY, BEARER + token)) if token else METADATA

    async def ready(self) -> Metadata:
        """What a call brings along, after a login where there are keys and the last one is over.

        A host that takes no login is left to refuse the call itself.
        """
        with suppress(Refused, AnswerMalformed):
            await self.log_in("")
        return self.metadata()

    async def log_in(self, refused: str) -> bool:
        """Log in, unless there is a token already, other than the refused one. False without keys
        or a council. Raises `Refused`, `Unreachable`, `UsageRefused` for another's pass, or what
        giving the keys raises."""
        async with self._lock:
            if self.token and self.token != refused:
                return True
            self._token = ""
            if self._keys is None or not self._charter():
                return False
            if isinstance(self._keys, KeysLater):
                self._keys = await asyncio.to_thread(self._keys.load)
            with translated():
                await self._answer(self._keys)
        return True

    async def _answer(self, keys: Keys) -> None:
        by = self._pass.by if self._pass else keys.id
        if self._pass and self._pass.holder != keys.signing.public:
            raise UsageRefused(
                "The pass is for another key. Use the key it was signed for, or no pass.",
                claim="pass",
                expected=self._pass.holder.text,
                actual=keys.signing.public.text,
            )
        asked = await self._stub.Challenge(
            access_pb2.ChallengeRequest(), timeout=_TIMEOUT, metadata=METADATA
        )
        login = Login(self._charter(), by, self._pin, asked.challenge)
        request = access_pb2.LoginRequest(
            envelope=sign(login, keys.signing), pass_envelope=self._envelope
        )
        answer = await self._stub.Login(request, timeout=_TIMEOUT, metadata=METADATA)
        self._token, self._ends = answer.token, time.time() + answer.seconds
        if self._kept is not None:
            self._kept.save(self._kept_as(keys), self._pin, self._token, self._ends)

    def _kept_as(self, keys: Keys | KeysLater) -> str:
        return kept_as(keys.id, self._envelope)
