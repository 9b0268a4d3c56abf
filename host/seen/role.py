# SPDX-License-Identifier: Apache-2.0
"""The role of a caller, as metrics name it: one of a few words, never who it is.

Whoever lets a call in tells its role here. Each call is a task of its own, so what is told holds to
the call's end, and for no other.
"""

from contextvars import ContextVar

ANYONE = "anyone"
_role: ContextVar[str] = ContextVar("placet-role", default=ANYONE)


def tell_role(role: str) -> None:
    """The caller of the present call has this role."""
    _role.set(role)


def role_told() -> str:
    """The role of the present call's caller, as far as it was told."""
    return _role.get()
