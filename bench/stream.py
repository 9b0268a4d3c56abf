# SPDX-License-Identifier: Apache-2.0
"""How fast a sealed stream is opened, and in how much memory.

The rates are set against what cannot be avoided: reading the same file into a buffer and
`AESGCM.decrypt_into` for each segment, in the same process, with the same key. The passes take
turns, so that a busy machine slows both alike; medians are shown. Memory is the peak of a process
of its own that opens an object of 10 MiB or of 1 GiB.

Steps of `run`: seal an object into a file; rate without root check; rate with leaf hashes and with
the reading that makes them; memory.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _figures import Figure, arguments, figure, interleaved, ratio, tell
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placet.sealing import ObjectDescriptor, StreamKey, open_stream, seal_stream, verify_root
from placet.sealing._layout import HEADER_BYTES, SALT_BYTES, TAG_BYTES
from placet.sealing._segments import segment_cipher, segment_nonce

MIB = 1 << 20
RATE_BYTES = 128 * MIB
MEMORY_BYTES = (10 * MIB, 1024 * MIB)
PASSES = 15
# What a consumer takes at a time: large enough to hold whole segments, small enough for a cache.
CONSUMER_BYTES = MIB


class RandomSource(io.RawIOBase):
    """As many bytes as asked for, without holding them: one random block again and again."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self._block = os.urandom(MIB)
        self._left = length

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        count = min(len(buffer), self._left, len(self._block))
        buffer[:count] = self._block[:count]
        self._left -= count
        return count


@dataclass(frozen=True, slots=True)
class Sealed:
    """An object in a file, and its key."""

    path: Path
    key: StreamKey
    descriptor: ObjectDescriptor


def run(*, small: bool) -> Iterator[Figure]:
    """Yield one line for each figure: name, value, unit, against, ratio.

    For rates `value` is ours, `against` the rate it is compared with, and `ratio` the first over
    the second. For memory `against` is the peak with the small object, `value` what the large one
    takes more, and `ratio` the large peak over the small one.
    """
    with tempfile.TemporaryDirectory() as folder:
        sealed = _seal(Path(folder) / "rate", MIB if small else RATE_BYTES)
        yield from _rates(sealed, 1 if small else PASSES)
    yield _memory((MIB, 2 * MIB) if small else MEMORY_BYTES)


def _seal(path: Path, length: int) -> Sealed:
    key = StreamKey.generate()
    with path.open("wb") as sink:
        descriptor = seal_stream(RandomSource(length), sink, key, kind="bench", labels=())
    return Sealed(path, key, descriptor)


def _rates(sealed: Sealed, passes: int) -> Iterator[Figure]:
    leaves = _leaves(sealed)
    seconds = interleaved(
        {
            "floor": lambda: _read_and_decrypt(sealed),
            "open": lambda: _open(sealed, None),
            "open_checked": lambda: _open(sealed, leaves),
            "verify_and_open": lambda: _open(sealed, _leaves(sealed)),
        },
        passes,
    )
    floor = seconds["floor"]
    for name, ours in (
        ("stream_open_over_read_and_aes", seconds["open"]),
        ("stream_open_with_root_check_over_read_and_aes", seconds["open_checked"]),
        ("stream_verify_root_then_open_over_read_and_aes", seconds["verify_and_open"]),
    ):
        rates = (_rate(sealed, taken) for taken in (ours, floor))
        yield figure(name, next(rates), "GB/s", next(rates), ratio(floor, ours))


def _rate(sealed: Sealed, seconds: list[float]) -> float:
    return sealed.descriptor.length / statistics.median(seconds) / 1e9


def _read_and_decrypt(sealed: Sealed) -> None:
    """The floor: every segment is read into one buffer and decrypted into another."""
    descriptor = sealed.descriptor
    size, last = descriptor.segment_size, descriptor.segments - 1
    ciphertext, plaintext = memoryview(bytearray(size)), memoryview(bytearray(size))
    with sealed.path.open("rb", buffering=0) as file:
        header = file.read(HEADER_BYTES)
        cipher: AESGCM = segment_cipher(sealed.key, header[1 : 1 + SALT_BYTES], descriptor.id)
        prefix = header[1 + SALT_BYTES :]
        file.seek(0)
        for index in range(last + 1):
            count = file.readinto(ciphertext)
            start = 0 if index else HEADER_BYTES
            cipher.decrypt_into(
                segment_nonce(prefix, index, index == last),
                ciphertext[start:count],
                None,
                plaintext[: count - start - TAG_BYTES],
            )


def _open(sealed: Sealed, leaves: tuple[bytes, ...] | None) -> None:
    buffer = bytearray(CONSUMER_BYTES)
    with (
        sealed.path.open("rb", buffering=0) as file,
        open_stream(file, sealed.key, sealed.descriptor, leaf_hashes=leaves) as reader,
    ):
        while reader.readinto(buffer):
            pass


def _leaves(sealed: Sealed) -> tuple[bytes, ...]:
    with sealed.path.open("rb", buffering=0) as file:
        return verify_root(file, sealed.descriptor)


def _memory(lengths: tuple[int, int]) -> Figure:
    least, most = (_peak_of_child(length) for length in lengths)
    return figure("stream_memory_growth", (most - least) / MIB, "MiB", least / MIB, most / least)


def _peak_of_child(length: int) -> int:
    """Seal and open `length` bytes in a process of its own; return its peak memory in bytes."""
    command = [sys.executable, __file__, "--peak", str(length)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(result.stdout)


def _print_peak(length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _open(_seal(Path(folder) / "memory", length), None)
    # VmHWM belongs to this program alone; ru_maxrss also remembers the parent's memory.
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    print(int(line.split()[1]) * 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        _print_peak(int(sys.argv[2]))
    else:
        tell(run(small=arguments(__doc__).parse_args().small))
