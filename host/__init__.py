# SPDX-License-Identifier: Apache-2.0
"""The host: untrusted; serves the contract, keeps what is sealed, queues jobs, starts enclaves."""

from placet.host.calls.tls import pin_of
from placet.host.config import HostConfig
from placet.host.enclaves.launcher import (
    EnclaveProcess,
    Launcher,
    LaunchOrder,
    NativeLauncher,
    QuotingService,
    Running,
    arguments,
)
from placet.host.enclaves.launchers import LauncherMissing, open_launcher, require_launcher
from placet.host.errors import StateLocked, StateVersion
from placet.host.server import Host, serve

__all__ = [
    "EnclaveProcess",
    "Host",
    "HostConfig",
    "LaunchOrder",
    "Launcher",
    "LauncherMissing",
    "NativeLauncher",
    "QuotingService",
    "Running",
    "StateLocked",
    "StateVersion",
    "arguments",
    "open_launcher",
    "pin_of",
    "require_launcher",
    "serve",
]
