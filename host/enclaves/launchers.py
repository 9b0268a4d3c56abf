# SPDX-License-Identifier: Apache-2.0
"""The launcher that an operator named.

native          processes of this machine, simulated attestation
machine         processes of this machine, a confidential one (TDX, SEV-SNP) with the host inside
gramine-direct  Gramine without SGX, simulated attestation: for trying out what SGX will run
gramine-sgx     SGX enclaves
"""

import shutil
from pathlib import Path

from placet.builds.measurement import LOCKS, measure
from placet.host.config import HostConfig
from placet.host.enclaves.gramine import DIRECT, SGX, GramineLauncher
from placet.host.enclaves.launcher import Launcher, NativeLauncher, simulated_cpu
from placet.refusals import KernelMissing, MeasurementFailed


class LauncherMissing(RuntimeError):
    """What the operator named is not installed."""


def require_launcher(name: str) -> str | None:
    """The program that a launcher runs, or None if it needs none. Raises `LauncherMissing`."""
    if name not in (DIRECT, SGX):
        return None
    found = shutil.which(name)
    if found is None:
        raise LauncherMissing(
            f"{name} is not installed on this machine. Install Gramine "
            "(https://gramine.readthedocs.io), or use --launcher native, which simulates."
        )
    return found


def open_launcher(config: HostConfig) -> Launcher:
    """The launcher of a host. Raises `LauncherMissing`, OSError or ValueError."""
    command = require_launcher(config.launcher)
    build = None if config.enclave is None else config.enclave.absolute()
    if config.launcher != SGX:  # what runs there, its signed manifests say
        _require_enclaves(build)
    simulated = config.launcher in ("native", DIRECT)
    service = simulated_cpu(build, config.cpu) if simulated else None
    if command is None:
        return NativeLauncher(build, service, config.collateral)
    assert config.manifests is not None
    return GramineLauncher(
        command,
        config.manifests.resolve(),
        config.state.resolve() / "tmp",
        service=service,
        collateral=config.collateral,
    )


def _require_enclaves(build: Path | None) -> None:
    """What has no measurement could not be launched: better said now than by each enclave."""
    try:
        for enclave in LOCKS:
            measure(enclave, build)
    except (KernelMissing, MeasurementFailed) as error:
        remedy = error.details.get("remedy", "install Placet again")
        raise LauncherMissing(f"{error} To start a host, {remedy}.") from None
