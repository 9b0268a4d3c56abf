# SPDX-License-Identifier: Apache-2.0
"""Connections take descriptors, and so do store, blobs and enclaves: those are kept for them."""

import logging
import resource
from typing import Final

KEPT: Final = 512  # of the process, for what is no caller's connection
_log = logging.getLogger("placet.host")


def raise_limit() -> None:
    """Let this process have as many descriptors as the machine allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections(wanted: int) -> int:
    """As many connections as are wanted, or as there are descriptors for."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    most = max(limit - KEPT, limit // 2)
    if most < wanted:
        _log.warning("few-descriptors limit=%d connections=%d", limit, most)
    return min(wanted, most)
