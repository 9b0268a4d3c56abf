# SPDX-License-Identifier: Apache-2.0
"""gRPC does not survive a fork: a child of a process that has used it hangs, or is aborted inside.

So whether a channel was ever made is remembered, and a child says in words what works instead.
"""

import os

from placet.client.errors import UsageRefused

_used = _forked = False


def mark_used() -> None:
    """This process has a channel, or begins to have one. Raises `UsageRefused` as `check` does."""
    global _used
    check()
    _used = True


def check() -> None:
    """Raises `UsageRefused` in the child of a process that had used gRPC before."""
    if _forked:
        raise UsageRefused(
            "This process was forked from one that had connected to a host, and gRPC does not work "
            "in such a child. Start workers by spawn or forkserver (multiprocessing, joblib), "
            "without --preload (gunicorn), or connect only in the children.",
            claim="fork",
        )


def _in_child() -> None:
    global _forked
    _forked = _forked or _used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
