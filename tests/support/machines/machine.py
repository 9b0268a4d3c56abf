# SPDX-License-Identifier: Apache-2.0
"""A simulated processor for enclaves in the process of the tests, or in another."""

import functools
import os
import threading
from typing import BinaryIO, cast

from placet.attestation import SimulatedAttester
from placet.builds.measurement import measure
from placet.host.simulation.service import SimulatedQuotingService

_measured = functools.cache(measure)  # nobody changes Placet while its tests run


class Machine:
    """A simulated processor for enclaves in this process."""

    def __init__(self, secret: bytes = b"m" * 32) -> None:
        self._secret = secret
        self._service = SimulatedQuotingService(secret, measurer=_measured)
        self._files: list[BinaryIO] = []
        self._threads: list[threading.Thread] = []

    def update(self, *tcbs: int) -> None:
        """Another microcode, with the sealing keys of these TCBs, the present one first."""
        self._service = SimulatedQuotingService(self._secret, measurer=_measured, tcbs=tcbs)

    def attester(self, role: str, launched_for: str = "") -> SimulatedAttester:
        there, here = os.pipe(), os.pipe()
        ends = [
            os.fdopen(fd, mode, buffering=0)
            for fd, mode in zip((*there, *here), ("rb", "wb") * 2, strict=True)
        ]
        files = cast("list[BinaryIO]", ends)
        serve = threading.Thread(
            target=self._service.serve, args=(role, launched_for, files[0], files[3]), daemon=True
        )
        serve.start()
        self._files += [files[1], files[3], files[2], files[0]]
        self._threads.append(serve)
        return SimulatedAttester(files[2], files[1])

    def serve(self, enclave: str, launched_for: str, reader: BinaryIO, writer: BinaryIO) -> None:
        """Be the processor of an enclave in another process, until that closes its end."""
        self._service.serve(enclave, launched_for, reader, writer)

    def close(self) -> None:
        for writer in self._files[0::4]:
            writer.close()
        for thread in self._threads:
            thread.join()
        for file in self._files:
            file.close()
