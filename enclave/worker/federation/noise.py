# SPDX-License-Identifier: Apache-2.0
"""Discrete Gaussian noise for one release, drawn on threads of its own so that it can be ready
before the round closes.

The bytes are AES-256-CTR (NIST SP 800-38A) under a key from the system's random source, new for
each release; the kernel makes exact samples of them (Canonne, Kamath, Steinke 2020). Each thread
has a part of the vector and a part of the counter of its own. Noise is used once: used for two
releases, their difference would show what it should hide.
"""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from placet.enclave import _kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 18  # of randomness a call: some ten thousand samples
_PART_BITS = 96  # the parts of the counter are 2^96 blocks apart, more than any of them can use


class Noise:
    """Integers from N_Z(0, sigma^2), `elements` of them; drawing begins at once. What is `spared`
    gets none.

    `with Noise(...) as noise` wipes what was not used.
    """

    def __init__(
        self, elements: int, sigma: int, *, threads: int = 1, spared: Sequence[slice] = ()
    ) -> None:
        if elements < 1 or threads < 1 or not 0 < sigma < 1 << 40:
            raise ValueError("noise has elements, threads, and a sigma above 0 and below 2^40")
        self.elements = elements
        self.sigma = sigma
        self._values = np.empty(elements, np.int64)
        self._closed = threading.Event()
        self._used = False
        self._spared = tuple(spared)
        streams = _streams(threads)
        bounds = [elements * part // threads for part in range(threads + 1)]
        pool = ThreadPoolExecutor(threads)
        self._drawn = [
            pool.submit(self._draw, stream, self._values[start:stop])
            for stream, start, stop in zip(streams, bounds, bounds[1:], strict=False)
        ]
        pool.shutdown(wait=False)

    def add_to(self, sums: "NDArray[np.int64]") -> None:
        """Wait until all is drawn, add it to `sums` of shape (elements,), and wipe it.

        Raises `RuntimeError` if it was used or closed before.
        """
        if self._used or self._closed.is_set():
            raise RuntimeError("this noise was used or closed; each release needs its own")
        self._used = True
        try:
            self.wait()
            for place in self._spared:
                self._values[place] = 0
            np.add(sums, self._values, out=sums)
        finally:
            self.close()

    def wait(self) -> None:
        """Wait until all is drawn."""
        for part in self._drawn:
            part.result()

    def close(self) -> None:
        """Stop drawing, and wipe what was drawn."""
        self._closed.set()
        wait(self._drawn)
        _kernel.wipe(self._values.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, stream: CipherContext, out: "NDArray[np.int64]") -> None:
        zeros = memoryview(bytes(_BLOCK_BYTES))
        random = memoryview(bytearray(_BLOCK_BYTES))
        done = kept = 0
        try:
            while done < len(out) and not self._closed.is_set():
                stream.update_into(zeros[kept:], random[kept:])
                written, consumed = _kernel.discrete_gaussian(random, self.sigma, out[done:].data)
                done += written
                # What was too short for one more sample begins the next block.
                kept = _BLOCK_BYTES - consumed
                random[:kept] = bytes(random[consumed:])
        finally:
            _kernel.wipe(random)


def _streams(parts: int) -> list[CipherContext]:
    """One new key; for each part the stream of its own part of the counter."""
    key = bytearray(os.urandom(32))
    try:
        return [
            Cipher(AES256(key), CTR((part << _PART_BITS).to_bytes(16, "big"))).encryptor()
            for part in range(parts)
        ]
    finally:
        _kernel.wipe(key)
