# SPDX-License-Identifier: Apache-2.0
"""The gate that every call passes before a byte of its message is read.

1. Who calls: the token that the call brings says so; without one it is a stranger's.
2. What the method takes (methods.py), and what the caller's pass is for, where it has one; a method
   that the table does not have is nobody's.
3. Whether the process has memory left for it (memory.py).
4. A place (places.py), which the call holds until it has ended.

Strangers who are refused without end are refused slowly (slowly.py).
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from placet.governance.text import brief
from placet.host.callers.caller import ENCLAVE, Caller, Role, calling, stranger
from placet.host.callers.logins import Logins
from placet.host.callers.memory import Memory
from placet.host.callers.methods import METHODS, SCOPES, Who
from placet.host.callers.places import Places
from placet.host.callers.slowly import Slowly
from placet.proto.limits import ACCESS_KEY, BEARER, TOKEN_KEY
from placet.refusals import FrameUnexpected, LoginRequired, NotPermitted


class Launched(Protocol):
    """The enclaves that this host launched."""

    def is_attached(self, token: str) -> bool:
        """Whether the launch token is of an enclave that is attached."""
        ...


class Gate:
    """The gate of the listener that everybody reaches."""

    def __init__(self, logins: Logins, places: Places, memory: Memory, slowly: Slowly) -> None:
        self._logins = logins
        self._places = places
        self._memory = memory
        self._slowly = slowly

    @asynccontextmanager
    async def admit(
        self, method: str, metadata: Mapping[str, str], peer: str
    ) -> AsyncGenerator[Caller]:
        """Let a call of "Service.Method" in until it has ended. Raises `LoginRequired`,
        `NotPermitted` or `QueueFull`."""
        calling(caller := stranger(peer))
        takes_login = METHODS.get(method, Who.PRINCIPAL) is Who.PRINCIPAL
        if token := metadata.get(ACCESS_KEY, "").removeprefix(BEARER):
            try:
                calling(caller := await self._logins.caller(token))
            except LoginRequired:
                if takes_login:
                    raise
        if takes_login:
            require_principal(caller)
        _check_scope(caller, method)
        self._memory.check(caller, method)
        with self._places.place(caller, method):
            yield caller

    async def late(self, caller: Caller) -> None:
        """Return when a refusal of this caller's may leave, or the next answer of a stream."""
        if caller.role is Role.STRANGER:
            await self._slowly.answer(caller.id)


class EnclaveGate:
    """The gate of the listener for enclaves of this machine. Attach looks at its token itself."""

    def __init__(self, launched: Launched) -> None:
        self._launched = launched

    @asynccontextmanager
    async def admit(
        self, method: str, metadata: Mapping[str, str], peer: str
    ) -> AsyncGenerator[Caller]:
        """Raises `FrameUnexpected` for whoever is no enclave."""
        calling(stranger(peer))
        if method != "Enclaves.Attach" and not self._launched.is_attached(
            metadata.get(TOKEN_KEY, "")
        ):
            raise FrameUnexpected("The token is of no process that this host launched.")
        calling(ENCLAVE)
        yield ENCLAVE

    async def late(self, caller: Caller) -> None:
        """Return at once."""


def require_principal(caller: Caller) -> None:
    """Refuse a stranger. Raises `LoginRequired`."""
    if caller.role is Role.STRANGER:
        raise LoginRequired("The call is for seats and parties of the council. Log in first.")


def require_covered(caller: Caller, name: str) -> None:
    """Refuse a pass that is not for the work of this proposal, or for this run. Raises
    `NotPermitted`."""
    held = caller.pass_
    if held is not None and not held.covers(name):
        raise NotPermitted(
            f"The pass is for its own proposals alone. Name one, or use a key of {held.by}'s.",
            claim="proposals",
            actual=brief(name, 80) if name else "none",
        )


def _check_scope(caller: Caller, method: str) -> None:
    """Raises `NotPermitted`."""
    held = caller.pass_
    if held is None or METHODS.get(method) is Who.ANYONE:
        return
    scopes = " and ".join(held.scopes)
    if not any(method in SCOPES[scope] for scope in held.scopes):
        raise NotPermitted(
            f"The pass's scope is {scopes}, without this call. Use a key of {held.by}'s.",
            claim="scope",
            expected=" or ".join(s for s, methods in SCOPES.items() if method in methods) or "none",
            actual=scopes,
        )
