# SPDX-License-Identifier: Apache-2.0
"""The launcher that an operator named.

native          processes of this machine, simulated attestation
machine         processes of this machine, which is a confidential one (TDX, SEV-SNP): the host is inside with them
gramine-direct  Gramine without SGX, simulated attestation: for trying out what SGX will run
gramine-sgx     SGX enclaves
"""

import shutil

from placet.attestation import SimulatedQuotingService
from placet.host.config import HostConfig
from placet.host.gramine import DIRECT, SGX, GramineLauncher
from placet.host.launcher import Launcher, NativeLauncher, load_cpu_secret


class LauncherMissing(RuntimeError):
    """What the operator named is not installed."""


def require_launcher(name: str) -> str | None:
    """The program that a launcher runs, or None if it needs none. Raises `LauncherMissing`."""
    if name not in (DIRECT, SGX):
        return None
    found = shutil.which(name)
    if found is None:
        raise LauncherMissing(
            f"{name} is not installed on this machine. Install Gramine (https://gramine.readthedocs.io), or use "
            "--launcher native, which simulates."
        )
    return found


def open_launcher(config: HostConfig) -> Launcher:
    """The launcher of a host. Raises `LauncherMissing`, OSError or ValueError."""
    command = require_launcher(config.launcher)
    if config.launcher == "native":
        return NativeLauncher.open(config.enclave_python, config.cpu, config.onnx_python)
    if command is None:
        return NativeLauncher(config.enclave_python, None, config.collateral, config.onnx_python)
    assert config.manifests is not None
    service = None
    if config.launcher == DIRECT:
        service = SimulatedQuotingService(load_cpu_secret(config.cpu))
    return GramineLauncher(
        command,
        config.manifests.resolve(),
        config.state.resolve() / "tmp",
        service=service,
        collateral=config.collateral,
    )
