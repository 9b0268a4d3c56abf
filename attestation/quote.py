# SPDX-License-Identifier: Apache-2.0
"""Where a quote of Intel's ends: all that Placet reads of its bytes itself.

    version 3, 4   header 48 | report 384 (SGX) or 584 (TDX) | u32 length | signature data
    version 5      header 48 | u16 report type | u32 report length | report | u32 length
                   | signature data

Little endian. The header starts with u16 version, u16 key type, u32 TEE type. Bytes after the
signature data are padding by hardware or firmware, and covered by nothing.
"""

import struct

from placet.refusals import EvidenceMalformed

_HEADER = 48
_SIZES = {0x00: 384, 0x81: 584}  # of reports, by TEE type


def quote_length(quote: bytes) -> int:
    """Return the length in bytes that a quote says it has; it may have fewer or more.

    Raises EvidenceMalformed if it says none.
    """
    try:
        version, _, tee = struct.unpack_from("<HHI", quote)
        if version == 3:
            at = _HEADER + _SIZES[0]  # the third field is reserved in this version
        elif version == 4:
            at = _HEADER + _SIZES[tee]
        elif version == 5:
            at = _HEADER + 6 + int(struct.unpack_from("<I", quote, _HEADER + 2)[0])
        else:
            raise EvidenceMalformed(
                f"Quotes have version 3, 4 or 5; this one has {version}.", claim="quote"
            )
        return at + 4 + int(struct.unpack_from("<I", quote, at)[0])
    except (struct.error, KeyError) as error:
        raise EvidenceMalformed(
            "The quote is cut off, or of hardware that is not known.", claim="quote"
        ) from error


def strip_quote(quote: bytes) -> bytes:
    """Return a quote as hardware gave it without what follows its end; errors as `quote_length`."""
    return quote[: quote_length(quote)]
