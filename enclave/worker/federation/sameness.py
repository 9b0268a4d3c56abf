# SPDX-License-Identifier: Apache-2.0
"""Whether bytes that are read a second time are those of the first reading, for rules that judge
before they add.

A client knows its stream's key, so it can make another stream with the same tags, and with the
host's help show one to be judged and the other to be added. So each window is hashed under a key of
the enclave's own: GMAC (NIST SP 800-38D), whose tags stay in here. That two different windows
agree, a client that knows neither key nor tags reaches with a chance of less than its number of
blocks in 2^128, on one nonce as on many.
"""

import os
from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from typing_extensions import Buffer

_NONCE = bytes(12)


class Sameness:
    """The tags of the windows that were read, by client and place. Several threads may ask at
    once."""

    def __init__(self) -> None:
        self._gmac = AESGCM(os.urandom(32))
        self._tags: dict[tuple[str, int], bytes] = {}

    def holds(self, client: str, start: int, window: Buffer) -> bool:
        """Whether the window is as it was when this was first asked of this client and place."""
        tag = self._gmac.encrypt(_NONCE, b"", memoryview(window))
        return compare_digest(self._tags.setdefault((client, start), tag), tag)
