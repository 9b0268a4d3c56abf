# SPDX-License-Identifier: Apache-2.0
"""Where a fresh quote ends, and whether it is the one that was asked for.

This is the maker's side: hardware pads quotes, and a device file can be written by somebody else
between the question and the answer. Nothing is verified here; that is for `verify_evidence`.

Layout: Intel's DCAP quote format, versions 3 to 5; AMD's SEV-SNP firmware ABI (56860), table 23.
"""

from placet.attestation.errors import QuotingError

SNP_REPORT_BYTES = 1184
_HEADER = 48
_BODY = {"sgx": (384, 320), "tdx": (584, 520)}  # size, and where the report data is in it
_TEE = {"sgx": 0, "tdx": 0x81}
_V5_BODY_SIZES = range(584, 649)


def exact_quote(kind: str, raw: bytes, report_data: bytes) -> bytes:
    """Return the quote without what hardware padded it with.

    Raises QuotingError if it is none of its kind, is cut off, or vouches for other report data.
    """
    end, at = _snp(raw) if kind == "snp" else _dcap(kind, raw)
    if len(raw) < end:
        raise QuotingError(
            f"The quote is cut off: it says {end} bytes and has {len(raw)}.",
            expected=str(end),
            actual=str(len(raw)),
        )
    if raw[at : at + len(report_data)] != report_data:
        raise QuotingError(
            "The quote vouches for other report data than was asked for; somebody else uses the device.",
            claim="report_data",
            remedy="let no other process of this machine ask for quotes, and try again",
        )
    return raw[:end]


def _snp(raw: bytes) -> tuple[int, int]:
    if len(raw) != SNP_REPORT_BYTES:
        raise QuotingError(
            f"A report has {SNP_REPORT_BYTES} bytes; the device gave {len(raw)}.",
            expected=str(SNP_REPORT_BYTES),
            actual=str(len(raw)),
        )
    return SNP_REPORT_BYTES, 0x50


def _dcap(kind: str, raw: bytes) -> tuple[int, int]:
    version = int.from_bytes(raw[0:2], "little")
    tee = int.from_bytes(raw[4:8], "little")
    size, report_data = _BODY[kind]
    body = _HEADER
    # Version 3 knows SGX only and has other bytes where later ones name the hardware.
    if version == 3 and kind == "sgx":
        tee = 0
    elif version == 5:
        body, size = _HEADER + 6, int.from_bytes(raw[50:54], "little")
    elif version != 4:
        tee = -1
    if tee != _TEE[kind] or (version == 5 and size not in _V5_BODY_SIZES and kind == "tdx"):
        raise QuotingError(
            f"The device gave no {kind} quote of a known version.", actual=str(version)
        )
    length = body + size
    return length + 4 + int.from_bytes(raw[length : length + 4], "little"), body + report_data
