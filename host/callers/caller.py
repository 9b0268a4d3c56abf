# SPDX-License-Identifier: Apache-2.0
"""Who makes a call: a principal that has logged in, an enclave that this host launched, or anybody
else, a stranger."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote


class Role(Enum):
    STRANGER = "stranger"
    PRINCIPAL = "principal"
    ENCLAVE = "enclave"


@dataclass(frozen=True, slots=True)
class Caller:
    """`id` is the principal's, or a stranger's address without its port; an enclave has none."""

    role: Role
    id: str = ""


ENCLAVE = Caller(Role.ENCLAVE)
_current: ContextVar[Caller] = ContextVar("placet-caller", default=ENCLAVE)


def current() -> Caller:
    """The caller of the call that is being answered; the host itself counts as an enclave."""
    return _current.get()


def calling(caller: Caller) -> None:
    """What the present task does is done for this caller: each call is a task of its own."""
    _current.set(caller)


def stranger(peer: str) -> Caller:
    """The caller at gRPC's "ipv4:ADDRESS:PORT", of whom nothing else is known."""
    address = unquote(peer).partition(":")[2].rpartition(":")[0]
    return Caller(Role.STRANGER, address or peer)
