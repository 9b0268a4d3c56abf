# SPDX-License-Identifier: Apache-2.0
"""Which hardware is this? Gramine is asked first, then configfs-tsm; nothing else is ever assumed.

Simulation is no answer: it is for whoever launches an enclave to say so on its command line.
"""

from collections.abc import Callable
from pathlib import Path

from placet.attestation.attester import Attester
from placet.attestation.evidence import MAX_EVIDENCE_BYTES
from placet.attestation.machine import gramine, tsm
from placet.attestation.machine.files import DeviceFiles, Files
from placet.refusals import AttesterUnavailable

_REMEDY = (
    "start it with gramine-sgx or on a TDX or SEV-SNP machine; to try things out without any, let "
    "the launcher simulate one (the word for it is --simulated)"
)


def probe(files: Files | None = None, *, collateral: Path | None = None) -> Attester:
    """Return the attester of this machine; raises AttesterUnavailable where there is no
    attestation.

    `collateral` is the file with Intel's collateral or AMD's certificates, as `placet collateral
    fetch` writes it. It is read anew for each evidence, so it can be renewed while an enclave runs;
    nobody has to be trusted with it, because verifiers check what it says.
    """
    files = DeviceFiles() if files is None else files
    reader = None if collateral is None else _reader(collateral)
    if files.exists(gramine.TYPE):
        return gramine.GramineAttester(files, reader or _missing("sgx"))
    if files.exists(tsm.FOLDER):
        with tsm.report_object(files) as folder:
            kind = tsm.provider(files, folder)
        # The host of an SNP machine may hand out the certificates; Intel's collateral comes from a
        # file.
        return tsm.TSMAttester(files, kind, reader or (None if kind == "snp" else _missing(kind)))
    raise AttesterUnavailable(
        f"This machine has no attestation: neither {gramine.TYPE} nor {tsm.FOLDER} is there. "
        f"What to do: {_REMEDY}.",
        claim="attester",
        expected=f"{gramine.TYPE} or {tsm.FOLDER}",
        actual="neither",
        remedy=_REMEDY,
    )


def _reader(path: Path) -> Callable[[], str]:
    def read() -> str:
        try:
            with path.open("rb") as file:
                text = file.read(MAX_EVIDENCE_BYTES + 1).decode("ascii")
        except (OSError, ValueError) as error:
            raise AttesterUnavailable(
                "The collateral file cannot be read.",
                claim="collateral",
                remedy="write it with placet collateral fetch",
            ) from error
        if not 0 < len(text) <= MAX_EVIDENCE_BYTES:
            raise AttesterUnavailable(
                f"The collateral must have 1 to {MAX_EVIDENCE_BYTES} bytes.", claim="collateral"
            )
        return text

    return read


def _missing(kind: str) -> Callable[[], str]:
    def refuse() -> str:
        raise AttesterUnavailable(
            f"Evidence of kind {kind} is nothing without collateral, and no file with it was "
            "named.",
            claim="collateral",
            remedy="fetch it with placet collateral fetch, and name the file with --collateral",
        )

    return refuse
