# SPDX-License-Identifier: Apache-2.0
"""Who makes a call: a principal that has logged in, an enclave that this host launched, or anybody
else, a stranger."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote

from placet.governance.documents.passes import Pass


class Role(Enum):
    STRANGER = "stranger"
    PRINCIPAL = "principal"
    ENCLAVE = "enclave"


@dataclass(frozen=True, slots=True)
class Caller:
    """`id` is the principal's, or what tells a stranger from others; an enclave has none. Under a
    `pass_` somebody else calls as this principal."""

    role: Role
    id: str = ""
    pass_: Pass | None = None


ENCLAVE = Caller(Role.ENCLAVE)
_current: ContextVar[Caller] = ContextVar("placet-caller", default=ENCLAVE)


def current() -> Caller:
    """The caller of the call that is being answered; the host itself counts as an enclave. What a
    call sets going in the background (host/tasks.py) is the host's own."""
    return _current.get()


def calling(caller: Caller) -> None:
    """What the present task does is done for this caller: each call is a task of its own."""
    _current.set(caller)


@lru_cache(4096)  # each connection asks again and again
def stranger(peer: str) -> Caller:
    """The caller at gRPC's "ipv4:ADDRESS:PORT", of whom nothing else is known.

    IPv6 counts by its first 64 bits: whoever has one address there has all the others.
    """
    text = unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")
    try:
        address = ip_address(text)
    except ValueError:
        return Caller(Role.STRANGER, peer)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return Caller(Role.STRANGER, str(address.ipv4_mapped))
        return Caller(Role.STRANGER, str(IPv6Network((int(address), 64), strict=False)))
    return Caller(Role.STRANGER, str(address))
