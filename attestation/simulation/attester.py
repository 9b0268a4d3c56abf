# SPDX-License-Identifier: Apache-2.0
"""The enclave's end of the simulated quoting service."""

import threading
from typing import BinaryIO

from placet.attestation import _strict
from placet.attestation.attester import SealingKey
from placet.attestation.binding import REPORT_DATA_BYTES
from placet.attestation.evidence import Evidence
from placet.attestation.simulation import channel
from placet.refusals import AttesterUnavailable, EvidenceMalformed


class SimulatedAttester:
    """An Attester over two binary streams; inside an enclave they are its stdin and stdout."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence for 64 bytes; raise AttesterUnavailable if there is none to be had."""
        size = REPORT_DATA_BYTES
        _strict.octets("report_data", report_data, size, size, AttesterUnavailable)
        answer = self._ask(channel.QUOTE, report_data)
        try:
            return Evidence.from_bytes(answer)
        except EvidenceMalformed as error:
            raise AttesterUnavailable("The quoting service sent no evidence.") from error

    def sealing_keys(self) -> tuple[SealingKey, ...]:
        """Return the keys of this measurement on this machine; raise AttesterUnavailable if there
        is none."""
        answer, size = self._ask(channel.SEALING_KEYS, b""), channel.SEALING_ENTRY_BYTES
        if not answer or len(answer) % size:
            raise AttesterUnavailable(
                "The quoting service sent no sealing keys.", claim="sealing key"
            )
        entries = (answer[at : at + size] for at in range(0, len(answer), size))
        return tuple(SealingKey(one[1:33].hex(), one[:1].hex(), one[33:]) for one in entries)

    def _ask(self, operation: int, argument: bytes) -> bytes:
        with self._lock:
            channel.send(self._writer, operation, argument)
            answer = channel.receive(self._reader, channel.MAX_ANSWER_BYTES)
        if answer is None:
            raise AttesterUnavailable("The quoting service has ended.")
        status, result = answer
        if status != channel.DONE:
            raise AttesterUnavailable("The quoting service refused the request.")
        return result
