# SPDX-License-Identifier: Apache-2.0
"""TDX and SEV-SNP through Linux's configfs-tsm (Documentation/ABI/testing/configfs-tsm-report).

Every question makes an object of its own, so nobody else has a reason to write to it; that nobody
did is checked by `generation`, which counts writes.

1. make /sys/kernel/config/tsm/report/<random name>, and read which hardware answers;
2. write the privilege level (SNP) and the report data, counting;
3. read outblob and auxblob;
4. refuse unless `generation` has grown by our writes, before the reading and after it;
5. cut off the padding, and refuse report data that were not asked for;
6. remove the object, whatever happened.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

from placet.attestation import _strict
from placet.attestation.attester import SealingKey
from placet.attestation.binding import REPORT_DATA_BYTES
from placet.attestation.evidence import Evidence
from placet.attestation.machine import sev_guest
from placet.attestation.machine.certificate_table import collateral_of
from placet.attestation.machine.files import Files, answering
from placet.attestation.machine.quotes import exact_quote
from placet.attestation.snp import Report
from placet.refusals import AttesterUnavailable, EvidenceMalformed, SealingUnavailable

FOLDER = "/sys/kernel/config/tsm/report"
MAX_BLOB_BYTES = 32 * 1024  # the kernel's own bound
_KINDS = {"tdx_guest": "tdx", "sev_guest": "snp"}
_REMEDY = (
    "start this on a confidential TDX or SEV-SNP machine with Linux 6.7 or newer, the module "
    "tdx_guest or sev-guest loaded, configfs mounted at /sys/kernel/config, and leave to write "
    "there"
)


class TSMAttester:
    """An Attester in a confidential machine of kind "tdx" or "snp".

    `collateral` is asked for every evidence; None where the host of an SNP machine hands out the
    certificates itself.
    """

    def __init__(self, files: Files, kind: str, collateral: Callable[[], str] | None) -> None:
        self._files = files
        self._kind = kind
        self._collateral = collateral

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence for 64 bytes; raises AttesterUnavailable."""
        size = REPORT_DATA_BYTES
        _strict.octets("report_data", report_data, size, size, AttesterUnavailable)
        quote, certificates = self._quote(report_data)
        if self._collateral is not None:
            return Evidence(self._kind, quote, self._collateral())
        return Evidence(self._kind, quote, collateral_of(quote, certificates))

    def sealing_keys(self) -> tuple[SealingKey, ...]:
        """Return the one key of this measurement on this chip (SNP); raises AttesterUnavailable.

        TDX has no such key: SealingUnavailable.
        """
        if self._kind != "snp":
            raise SealingUnavailable(
                "TDX gives no sealing key, so an authority cannot keep its root secret here.",
                claim="sealing key",
                remedy="run the authority on SGX or SEV-SNP, and workers wherever you like",
            )
        key = sev_guest.derived_key(self._files)
        quote, _ = self._quote(bytes(REPORT_DATA_BYTES))
        try:
            report = Report.from_bytes(quote)
        except EvidenceMalformed as error:
            raise AttesterUnavailable(str(error), **error.details) from error
        return (SealingKey(report.measurement.hex(), report.reported_tcb.hex(), key),)

    def _quote(self, report_data: bytes) -> tuple[bytes, bytes]:
        """A fresh quote for 64 bytes, and the certificates that the host gave with it."""
        with report_object(self._files) as folder:
            kind = provider(self._files, folder)
            if kind != self._kind:
                raise AttesterUnavailable(
                    "The hardware has changed.", expected=self._kind, actual=kind
                )
            raw, certificates = self._ask(folder, report_data)
        return exact_quote(kind, raw, report_data), certificates

    def _ask(self, folder: str, report_data: bytes) -> tuple[bytes, bytes]:
        """Steps 2 to 4."""
        files = self._files
        with answering("configfs-tsm", _REMEDY):
            expected = self._generation(folder) + 1
            if self._kind == "snp":
                expected += 1
                files.write(f"{folder}/privlevel", b"0")
            files.write(f"{folder}/inblob", report_data)
            self._check(folder, expected)
            raw = files.read(f"{folder}/outblob", MAX_BLOB_BYTES)
            auxiliary = f"{folder}/auxblob"
            wanted = self._kind == "snp" and self._collateral is None and files.exists(auxiliary)
            certificates = files.read(auxiliary, MAX_BLOB_BYTES) if wanted else b""
            self._check(folder, expected)
        return raw, certificates

    def _check(self, folder: str, expected: int) -> None:
        found = self._generation(folder)
        if found != expected:
            raise AttesterUnavailable(
                "Somebody else wrote to the report object that was ours alone.",
                claim="generation",
                expected=str(expected),
                actual=str(found),
                remedy="let no other process of this machine write there, and try again",
            )

    def _generation(self, folder: str) -> int:
        text = self._files.read(f"{folder}/generation", 32).strip()
        if not text.isdigit():
            raise AttesterUnavailable("generation is no number.", claim="generation")
        return int(text)


@contextmanager
def report_object(files: Files) -> Generator[str]:
    """Steps 1 and 6: a report object of our own, by its path. Raises AttesterUnavailable."""
    folder = f"{FOLDER}/placet-{os.urandom(8).hex()}"
    with answering("configfs-tsm", _REMEDY):
        files.make_folder(folder)
    try:
        yield folder
    finally:
        with answering("configfs-tsm", _REMEDY):
            files.remove_folder(folder)


def provider(files: Files, folder: str) -> str:
    """The kind of evidence that a report object gives. Raises AttesterUnavailable."""
    with answering("configfs-tsm", _REMEDY):
        found = files.read(f"{folder}/provider", 64).strip().decode("ascii", "replace")
    kind = _KINDS.get(found)
    if kind is None:
        raise AttesterUnavailable(
            "The kernel's report provider is of hardware that is not supported.",
            claim="provider",
            expected=", ".join(_KINDS),
            actual=found[:32],
        )
    return kind
