# SPDX-License-Identifier: Apache-2.0
"""One unambiguous encoding of a domain and its parts, for hash inputs and HPKE info.

Domain and parts are each preceded by their length, so that no two different lists of parts have
the same bytes, and no two domains share any.

    context("placet/grant/v1", digest.encode(), nonce)
"""


def context(domain: str, *parts: bytes) -> bytes:
    """Encode `domain` (as UTF-8) and `parts`, each behind its length in 8 big-endian bytes.

    Raises `ValueError` for an empty domain: the domain is what keeps two uses apart.
    """
    if not domain:
        raise ValueError("the domain of a context must not be empty")
    encoded = bytearray()
    for part in (domain.encode("utf-8"), *parts):
        encoded += len(part).to_bytes(8, "big")
        encoded += part
    return bytes(encoded)
