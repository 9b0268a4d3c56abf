# SPDX-License-Identifier: Apache-2.0
"""Collateral for one machine, fetched from who publishes it, and kept as a dated file.

    Intel   a provisioning certificate caching service, or Intel's own: API version 4
    AMD     the key distribution service (AMD 57230)

A file holds what `Evidence.collateral` holds. It is written only if the quote that was brought
verifies with it now, so answers that are stale, of another machine or made up are refused. Nobody
has to be trusted with it: whoever judges evidence verifies it again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from placet.attestation import Claims, Evidence, strip_quote
from placet.attestation.snp import REPORT_BYTES
from placet.client.connection.web import Web
from placet.client.errors import FileRefused
from placet.client.files import write_file
from placet.client.trust.amd import fetch_amd
from placet.client.trust.intel import fetch_intel
from placet.refusals import EvidenceMalformed

SOURCES = {"snp": "https://kdsintf.amd.com", "": "https://api.trustedservices.intel.com"}
SUFFIX = ".collateral.json"
_TDX = 0x81

Verify = Callable[[Evidence, int], Claims]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Collateral that a quote was verified with."""

    kind: str
    machine: str  # FMSPC, or the line of processors and the start of the chip's id
    collateral: str
    claims: Claims

    def write(self, folder: Path, now: int) -> Path:
        """Write it below a name that says what it is for and of when; return the file. Raises
        `FileRefused`."""
        dated = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = folder / f"{self.kind}-{self.machine}-{dated}{SUFFIX}"
        write_file(path, self.collateral.encode())
        return path


def read_quote(data: bytes) -> tuple[str, bytes]:
    """The kind and the quote of a file: encoded evidence, a report of SNP's, or a quote of Intel's,
    padded or not.

    Raises `FileRefused`.
    """
    try:
        if data.startswith(b"{"):
            evidence = Evidence.from_bytes(data)
            return evidence.kind, evidence.quote
        if len(data) == REPORT_BYTES:
            return "snp", data
        quote = strip_quote(data)
    except EvidenceMalformed as error:
        raise FileRefused(
            f"The file holds neither evidence nor a quote: {error} Name another."
        ) from None
    newer = int.from_bytes(quote[:2], "little") > 3
    return "tdx" if newer and quote[4] == _TDX else "sgx", quote


def fetch_collateral(
    kind: str, quote: bytes, web: Web, source: str, *, now: int, verify: Verify
) -> Bundle:
    """Fetch what a quote is to be judged with, and judge it.

    `source` is the address of the service, without a path; the maker's if empty. `verify` raises
    unless the evidence is genuine at a time. Raises `HostUnreachable`, `AnswerMalformed`,
    or what `verify` raises.
    """
    base = (source or SOURCES.get(kind, SOURCES[""])).rstrip("/")
    fetch = fetch_amd if kind == "snp" else fetch_intel
    machine, collateral = fetch(quote, web, base, tdx=kind == "tdx")
    claims = verify(Evidence(kind, quote, collateral), now)
    return Bundle(kind, machine, collateral, claims)
