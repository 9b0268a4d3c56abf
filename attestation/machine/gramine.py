# SPDX-License-Identifier: Apache-2.0
"""SGX through Gramine's pseudo-files below /dev/attestation.

Gramine documents them under "Attestation and secret provisioning". They are local to the process,
so what has to be kept apart are our own threads. Without SGX (`gramine-direct`) only keys/ is
there: an absent file means that there is no attestation.
"""

import threading
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from placet.attestation import _strict
from placet.attestation.attester import SealingKey
from placet.attestation.binding import REPORT_DATA_BYTES
from placet.attestation.evidence import MAX_QUOTE_BYTES, Evidence
from placet.attestation.machine.files import Files, answering
from placet.attestation.machine.quotes import exact_quote
from placet.refusals import AttesterUnavailable, SealingUnavailable

FOLDER = "/dev/attestation"
TYPE = f"{FOLDER}/attestation_type"
_KEY = f"{FOLDER}/keys/_sgx_mrenclave"
_KEY_BYTES = 16  # EGETKEY gives 128 bits
# Of a report (Intel SDM, volume 3D, REPORT): where CPUSVN and MRENCLAVE are.
_REPORT_BYTES = 432
_CPU_SVN = slice(0, 16)
_MRENCLAVE = slice(64, 96)
_REMEDY = 'sign the manifest with sgx.remote_attestation = "dcap" and start it with gramine-sgx'


class GramineAttester:
    """An Attester in an SGX enclave under Gramine. `collateral` is asked for every evidence."""

    def __init__(self, files: Files, collateral: Callable[[], str]) -> None:
        self._files = files
        self._collateral = collateral
        self._lock = threading.Lock()

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence of kind sgx for 64 bytes; raises AttesterUnavailable."""
        size = REPORT_DATA_BYTES
        _strict.octets("report_data", report_data, size, size, AttesterUnavailable)
        with self._lock, answering("Gramine's /dev/attestation", _REMEDY):
            found = self._files.read(TYPE, 64).strip().decode("ascii", "replace")
            if found != "dcap":
                raise AttesterUnavailable(
                    f"Gramine makes no DCAP quotes here: {_REMEDY}.",
                    claim="attestation_type",
                    expected="dcap",
                    actual=found[:16],
                    remedy=_REMEDY,
                )
            self._files.write(f"{FOLDER}/user_report_data", report_data)
            raw = self._files.read(f"{FOLDER}/quote", MAX_QUOTE_BYTES)
        return Evidence("sgx", exact_quote("sgx", raw, report_data), self._collateral())

    def sealing_keys(self) -> tuple[SealingKey, ...]:
        """Return one key, derived from the CPU's MRENCLAVE key of 128 bits; raises
        AttesterUnavailable.

        Never from the MRSIGNER key: whoever holds the signing key of the enclave could have that
        one. The processor could derive the keys of earlier CPU SVNs too. Gramine asks it for the
        present one's alone.
        """
        with self._lock, answering("Gramine's sealing key", _REMEDY):
            key = self._files.read(_KEY, 64)
            report = self._own_report()
        if len(key) != _KEY_BYTES or not any(key):
            raise SealingUnavailable(
                "Gramine gave no MRENCLAVE sealing key.", claim="sealing key", remedy=_REMEDY
            )
        info = b"placet/sealing/gramine-mrenclave/v1"
        derived = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(key)
        return (SealingKey(report[_MRENCLAVE].hex(), report[_CPU_SVN].hex(), derived),)

    def _own_report(self) -> bytes:
        """The CPU's report on this enclave to itself, which takes no quoting enclave."""
        target = self._files.read(f"{FOLDER}/my_target_info", 512)
        self._files.write(f"{FOLDER}/target_info", target)
        self._files.write(f"{FOLDER}/user_report_data", bytes(REPORT_DATA_BYTES))
        report = self._files.read(f"{FOLDER}/report", _REPORT_BYTES)
        return _strict.octets("report", report, _REPORT_BYTES, _REPORT_BYTES, AttesterUnavailable)
