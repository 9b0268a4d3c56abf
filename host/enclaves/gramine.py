# SPDX-License-Identifier: Apache-2.0
"""Enclaves under Gramine: `gramine-sgx` on SGX hardware, `gramine-direct` without, where
attestation is simulated.

Each enclave is started in a folder of its own, because the manifest names files relative to it:

    enclave.manifest[.sgx], enclave.sig    the manifest, as deploy/gramine rendered, and signed, it
    launch/arguments                       what the host chooses at every start, one word a line
    launch/cert.pem                        the host's certificate
    launch/collateral.json                 collateral for evidence; a link, so it can be renewed
    launch/log                             its log; a link
    launch/bundle                          the program of a worker

The manifest of a worker is the one of its program. Under `gramine-direct` a program without one
gets the general one, with its digest filled in; it can then import what the worker itself imports,
and its own files. SGX takes signed ones only.
"""

import asyncio
import os
import shutil
from pathlib import Path

from placet.host.enclaves.attach import WORKER
from placet.host.enclaves.launcher import EnclaveProcess, LaunchOrder, QuotingService, Running
from placet.host.store.durable import write_durable

DIRECT = "gramine-direct"
SGX = "gramine-sgx"
_NO_PROGRAM = "0" * 64
_REMEDY = "Make it with deploy/gramine (make gramine), and name its folder with --manifests."


class GramineLauncher:
    """Runs `<command> enclave` in a folder below `folder`. With a service, attestation is
    simulated.

    `manifests` holds what deploy/gramine wrote; `collateral` is the file that evidence is completed
    with.
    """

    def __init__(
        self,
        command: str,
        manifests: Path,
        folder: Path,
        *,
        service: QuotingService | None = None,
        collateral: Path | None = None,
    ) -> None:
        self._command = command
        self._manifests = manifests
        self._folder = folder
        self._service = service
        self._collateral = collateral

    async def launch(self, order: LaunchOrder) -> Running:
        folder = await asyncio.to_thread(self._prepare, order)
        argv = [self._command, "enclave"]
        return await EnclaveProcess.start(argv, order, self._service, folder)

    def _prepare(self, order: LaunchOrder) -> Path:
        folder = self._folder / order.role
        if order.scratch is not None:
            folder = order.scratch.parent / "gramine"
        shutil.rmtree(folder, ignore_errors=True)
        launch = folder / "launch"
        launch.mkdir(mode=0o700, parents=True)
        self._lay_manifest(order, folder)
        shutil.copyfile(order.certificate, launch / "cert.pem")
        words = ["--host", order.address, "--cert", "/launch/cert.pem", "--token", order.token]
        if order.role != WORKER:
            words += ["--origin", order.origin]
        write_durable(
            launch / "arguments", "".join(f"{word}\n" for word in words).encode(), mode=0o600
        )
        (launch / "log").symlink_to(order.log.absolute())
        if order.bundle is not None:
            os.link(order.bundle, launch / "bundle")
        if self._collateral is not None:
            (launch / "collateral.json").symlink_to(self._collateral.absolute())
        return folder

    def _lay_manifest(self, order: LaunchOrder, folder: Path) -> None:
        program = order.launched_for.removeprefix("sha256:")
        name = f"{order.role}-{program}" if order.role == WORKER else order.role
        source = self._manifests / name
        if self._service is None:
            for ending, target in (
                (".manifest.sgx", "enclave.manifest.sgx"),
                (".sig", "enclave.sig"),
            ):
                _copy(Path(f"{source}{ending}"), folder / target)
            return
        own = Path(f"{source}.manifest")
        if order.role != WORKER or own.exists():
            _copy(own, folder / "enclave.manifest")
            return
        _copy(self._manifests / f"{_general(order)}.manifest", folder / "enclave.manifest")
        text = (folder / "enclave.manifest").read_text()
        (folder / "enclave.manifest").write_text(text.replace(_NO_PROGRAM, program))


def _general(order: LaunchOrder) -> str:
    """The name of the manifest of a worker whose program has none."""
    if order.variant:
        return f"{order.role}-{order.variant}"
    assert order.bundle is not None
    with order.bundle.open("rb") as file:
        return (
            "federation" if file.read(1) == b"{" else "worker"
        )  # terms are JSON, a program is not


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise FileNotFoundError(f"There is no {source}. {_REMEDY}")
    shutil.copyfile(source, target)
