# SPDX-License-Identifier: Apache-2.0
"""The simulated quoting service: stands for the CPU, and belongs to the launcher.

It fills measurement and `launched_for` from what the launcher says it launched. The enclave at the
other end of the channel chooses report data, and nothing else.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from placet.attestation.binding import REPORT_DATA_BYTES
from placet.attestation.evidence import Evidence
from placet.attestation.simulation import channel
from placet.builds.measurement import measure
from placet.host.simulation.platform import Platform, make_platform
from placet.host.simulation.quote import EnclaveReport, QuotingEnclave
from placet.host.simulation.root import published_root
from placet.refusals import AttesterUnavailable

SECRET_BYTES = 32
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
REFRESH_SECONDS = 24 * 3600  # collateral is made anew daily, as machines fetch it


@dataclass(frozen=True, slots=True)
class _Machine:
    platform: Platform
    enclave: QuotingEnclave
    made: int


@dataclass(frozen=True, slots=True)
class _Launched:
    """What the service knows of one enclave."""

    measurement: bytes
    config_id: bytes


class SimulatedQuotingService:
    """One simulated machine. Serves any number of enclaves, each from a thread of its own.

    `secret` (32 bytes) is what a real CPU has fused in: it names the machine and derives the
    sealing keys. `clock` gives Unix seconds; `measurer` gives the measurement of an enclave by its
    name. `tcbs` are the security versions that the machine derives sealing keys for, the present
    one first: (2, 1) is a machine that was updated and still gives the old keys, (2,) one that does
    not.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        clock: Callable[[], float] = time.time,
        measurer: Callable[[str], str] = measure,
        tcbs: Sequence[int] = (1,),
    ) -> None:
        if len(secret) != SECRET_BYTES:
            raise AttesterUnavailable(f"secret must be {SECRET_BYTES} bytes.", claim="secret")
        self._secret = secret
        self._clock = clock
        self._measurer = measurer
        self._tcbs = tuple(tcbs)
        self._lock = threading.Lock()
        self._machine = self._start()

    def serve(self, enclave: str, launched_for: str, reader: BinaryIO, writer: BinaryIO) -> None:
        """Answer the enclave of this name (`measure`) at the other end until it closes its end.

        `launched_for` is the digest it was launched for, or "". What the enclave sends never
        raises: a request that is none is refused, a broken channel ends the service. Raises
        MeasurementFailed, or AttesterUnavailable if `launched_for` is no digest.
        """
        launched = self._launched(enclave, launched_for)
        try:
            while request := channel.receive(reader, channel.MAX_REQUEST_BYTES):
                channel.send(writer, *self._answer(launched, *request))
        except AttesterUnavailable:
            return  # the enclave is gone or does not speak the protocol: nothing to tell it

    def _launched(self, enclave: str, launched_for: str) -> _Launched:
        config_id = bytes(64)
        if launched_for:
            if not _DIGEST.fullmatch(launched_for):
                raise AttesterUnavailable("launched_for must be a digest.", claim="launched_for")
            config_id = bytes.fromhex(launched_for.removeprefix("sha256:")) + bytes(32)
        return _Launched(bytes.fromhex(self._measurer(enclave)), config_id)

    def _answer(self, launched: _Launched, operation: int, argument: bytes) -> tuple[int, bytes]:
        if operation == channel.QUOTE and len(argument) == REPORT_DATA_BYTES:
            report = EnclaveReport(launched.measurement, launched.config_id, argument)
            return channel.DONE, self._evidence(report).to_bytes()
        if operation == channel.SEALING_KEYS and not argument:
            entries = (self._sealing_key(launched, bytes([tcb])) for tcb in self._tcbs)
            return channel.DONE, b"".join(entries)
        return channel.REFUSED, b""

    def _sealing_key(self, launched: _Launched, tcb: bytes) -> bytes:
        """As with SGX key policies MRENCLAVE and CONFIGID: another digest or TCB is another key."""
        name = b"sealing/v2" + tcb + launched.measurement + launched.config_id
        return tcb + launched.measurement + self._derive(name, channel.SEALING_KEY_BYTES)

    def _evidence(self, report: EnclaveReport) -> Evidence:
        with self._lock:
            if not 0 <= self._clock() - self._machine.made < REFRESH_SECONDS:
                self._machine = self._start()
            machine = self._machine
        quote = machine.enclave.quote(report)
        return Evidence("simulation", quote, machine.platform.collateral)

    def _start(self) -> _Machine:
        now = int(self._clock())
        platform = make_platform(published_root(), self._derive(b"ppid/v1", 16), now)
        return _Machine(platform, QuotingEnclave(platform), now)

    def _derive(self, name: bytes, size: int) -> bytes:
        info = b"placet/simulation/" + name
        return HKDF(hashes.SHA256(), size, salt=None, info=info).derive(self._secret)
