# SPDX-License-Identifier: Apache-2.0
"""What the enclave needs below Python: folding sealed updates, noise, wiping, a deadline,
hardening."""

from collections.abc import Sequence
from typing import Final, TypeAlias, final

from numpy import int64
from numpy.typing import NDArray
from typing_extensions import Buffer

# To type checkers an array is no Buffer before Python 3.12.
_Integers: TypeAlias = Buffer | NDArray[int64]

LIMIT: Final[int]
"""The largest magnitude of a quantised coordinate: 2**26."""

AEAD: Final[str]
"""The library that opens segments, chosen at build: "ipsec-mb" or "openssl"."""

IMPLEMENTATIONS: Final[tuple[str, ...]]
"""The folds that this machine can run, best last, out of "portable", "avx2" and "avx512"."""

NONFINITE: Final[int]
"""Bit of a client's state: a coordinate was NaN or infinite, and counted as 0."""

FORGED: Final[int]
"""Bit of a client's state: a segment did not open, and counted as zeros."""

@final
class Cohort:
    """The sealed updates of one round, as one thread reads them.

    Update c is a vector of `elements` little-endian numbers in a sealed stream. Its coordinate x,
    decoded to float32, becomes the integer q = trunc(clamp(x * m, -LIMIT, LIMIT)): m is the
    client's multiplier, the product one float32 multiplication rounded to nearest. NaN and infinity
    become 0 and set NONFINITE. int8 is decoded as the integer it is; its scale belongs in m.

    The methods take `windows`: of each client the bytes of its sealed stream from segment `first`
    on, for at least `count` segments. A segment whose tag is wrong counts as zeros and sets FORGED.
    They run without the GIL and hold their buffers while they do. All arguments are checked before
    anything is touched: ValueError (a number, a length, a wiped cohort), TypeError, BufferError.
    One call at a time: RuntimeError where another thread's has not ended; make a Cohort a thread.
    """

    def __new__(
        cls,
        keys: Sequence[tuple[Buffer, Buffer]],
        multipliers: Sequence[float],
        weights: Sequence[int],
        *,
        encoding: str,
        elements: int,
        segment_bytes: int,
        implementation: str | None = None,
    ) -> Cohort:
        """The buffers and key schedules of 1 to 4096 clients.

        `keys` are 32-byte segment keys with 7-byte nonce prefixes; `multipliers` are float32
        values, finite, 0 or more; `weights` are 1 to 2**31 - 1. `encoding` is "float32", "float16",
        "bfloat16" or "int8"; `elements` is 1 or more, at most 2**40 bytes of them; `segment_bytes`
        is a power of two from 16 KiB to 1 MiB. `implementation` is the best one unless given.
        """

    @property
    def segments(self) -> int:
        """The number of segments of each stream."""

    def elements_of(self, first: int, count: int, /) -> tuple[int, int]:
        """The coordinates [start, stop) that segments first .. first + count - 1 hold."""

    def add(self, windows: Sequence[Buffer], first: int, count: int, sums: _Integers, /) -> None:
        """Add weight * q over the clients to `sums`, modulo 2**64.

        `sums` is int64, one for each coordinate of `elements_of(first, count)`.
        """

    def select(
        self,
        windows: Sequence[Buffer],
        first: int,
        count: int,
        low: int,
        high: int,
        sums: _Integers,
        /,
    ) -> None:
        """Set `sums` to the sum of the order statistics low .. high - 1 of q over the clients.

        They count from 0, the smallest; 0 <= low < high <= clients. The median is the middle one or
        the middle two; a trimmed mean is t .. clients - t. Weights do not matter. `sums` is as in
        `add`. Needs memory for a segment of every client, which is kept for the next call.
        """

    def gram(
        self, windows: Sequence[Buffer], first: int, count: int, products: _Integers, /
    ) -> None:
        """Add the sum of q_a * q_b over the coordinates to products[a, b], modulo 2**64, for all a
        and b.

        `products` is int64, clients x clients, row by row; both triangles are written. Weights do
        not matter. Needs memory for a segment of every client, which is kept for the next call.
        """

    def squares(self) -> list[int]:
        """The exact sum of q * q of all that was folded so far, by any method, one a client."""

    def states(self) -> list[int]:
        """0, or NONFINITE and FORGED or both, of all that was folded so far, one a client."""

    def wipe(self) -> None:
        """Wipe keys and plaintext; ValueError from every later call but this one."""

def discrete_gaussian(random: Buffer, sigma: int, out: _Integers, /) -> tuple[int, int]:
    """Fill `out`, int64, with exact samples of the discrete Gaussian N_Z(0, sigma**2).

    `random` is at most 2**24 uniform bytes; 1 <= sigma < 2**40. Returns the number of samples
    written and of bytes consumed: a sample for which the bytes do not suffice is not written and
    consumes none, so the samples depend on the stream of bytes alone, however it is split. About 41
    bytes a sample. Canonne, Kamath, Steinke (2020), algorithms 1 to 3, in integers throughout.
    """

def wipe(buffer: Buffer, /) -> None: ...
def exit_at(seconds_from_now: float, code: int, /) -> None: ...
def exit_cancel() -> None: ...
def harden() -> tuple[str, ...]: ...
