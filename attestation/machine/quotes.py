# SPDX-License-Identifier: Apache-2.0
"""Whether a fresh quote is the one that was asked for; what hardware padded it with goes.

This is the maker's side: a device file can be written by somebody else between the question and the
answer. Nothing is verified here; that is for `verify_evidence`.
"""

from typing import Final

from placet.attestation.quote import quote_length
from placet.attestation.snp import REPORT_BYTES
from placet.refusals import AttesterUnavailable, EvidenceMalformed

# Where the report data start, by kind and u16 version: AMD 56860 table 23, Intel's DCAP appendix 3.
_REPORT_DATA: Final = {
    ("sgx", 3): 48 + 320,
    ("tdx", 4): 48 + 520,
    ("tdx", 5): 54 + 520,
    ("snp", 2): 0x50,
    ("snp", 3): 0x50,
    ("snp", 5): 0x50,
}
_TDX = (0x81).to_bytes(4, "little")


def exact_quote(kind: str, raw: bytes, report_data: bytes) -> bytes:
    """Return the quote without padding.

    Raises AttesterUnavailable if it is none of its kind, is cut off, or vouches for other report
    data.
    """
    at = _REPORT_DATA.get((kind, int.from_bytes(raw[:2], "little")))
    if at is None or (kind == "tdx" and raw[4:8] != _TDX):
        raise AttesterUnavailable(
            f"The device gave no {kind} quote of a known version.", claim="quote"
        )
    quote = _snp(raw) if kind == "snp" else _dcap(raw)
    if quote[at : at + len(report_data)] != report_data:
        raise AttesterUnavailable(
            "The quote vouches for other report data than was asked for; somebody else uses the "
            "device.",
            claim="report_data",
            remedy="let no other process of this machine ask for quotes, and try again",
        )
    return quote


def _dcap(raw: bytes) -> bytes:
    try:
        end = quote_length(raw)
    except EvidenceMalformed as error:
        raise AttesterUnavailable(str(error), **error.details) from error
    if len(raw) < end:
        raise AttesterUnavailable(
            f"The quote is cut off: it says {end} bytes and has {len(raw)}.",
            expected=str(end),
            actual=str(len(raw)),
        )
    return raw[:end]


def _snp(raw: bytes) -> bytes:
    if len(raw) != REPORT_BYTES:
        raise AttesterUnavailable(
            f"A report has {REPORT_BYTES} bytes; the device gave {len(raw)}.",
            expected=str(REPORT_BYTES),
            actual=str(len(raw)),
        )
    return raw
