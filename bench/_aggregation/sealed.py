# SPDX-License-Identifier: Apache-2.0
"""Sealed updates in memory, made of the same seeds as the peers' plain ones, and what is done with
them.

Each function of `Round` is one pass: it returns the seconds it took and the first coordinates of
its result.
"""

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from _aggregation.limit import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from placet.enclave._kernel import LIMIT
from placet.enclave.worker.federation.aggregate import Aggregate, aggregate
from placet.enclave.worker.federation.fixed import finish, multiplier
from placet.enclave.worker.federation.noise import Noise
from placet.enclave.worker.federation.rules import Krum, Mean, Rule, Trimmed
from placet.enclave.worker.federation.updates import Shape, Update
from placet.sealing import (
    HEADER_BYTES,
    ObjectDescriptor,
    StreamKey,
    open_header,
    open_stream,
    seal_stream,
)
from tests.support.machines.sources import MemorySource

Floats = NDArray[np.float32]
Pass = tuple[float, list[float]]

SAMPLE = 1000
TRIM_SHARE = Fraction(1, 5)
BYZANTINE = 2
NOISE_MULTIPLIER = Fraction(1)
TAG_BYTES = 16


def plain_update(client: int, elements: int) -> Floats:
    """What a client would send; the peers' side makes the same. Their norms differ by a factor of
    up to 4."""
    values = np.random.default_rng([7, client]).standard_normal(elements, dtype=np.float32)
    values *= np.float32(0.005 * (1 + client % 4))
    return values


def clip_for(elements: int) -> float:
    """A bound that half of the clients are beyond."""
    return float(0.0125 * np.sqrt(elements))


def weights_for(clients: int) -> list[int]:
    return [100 + 7 * client for client in range(clients)]


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed segment as `AESGCM` takes it, and where its elements go."""

    nonce: bytes
    sealed: memoryview
    start: int
    stop: int


class Round:
    """The updates of one round, sealed, in memory."""

    def __init__(self, clients: int, elements: int, segment_bytes: int = 65536) -> None:
        self.shape = Shape(elements, "float32", segment_bytes)
        self.clip = clip_for(elements)
        self.updates: list[Update] = []
        self.files: list[io.BytesIO] = []
        self.sealed: list[memoryview] = []
        self.descriptors: list[ObjectDescriptor] = []
        self.keys: list[tuple[bytes, bytes]] = []
        self.ciphers: list[tuple[AESGCM, list[Segment]]] = []
        self.heads = np.empty((clients, min(SAMPLE, elements)))
        self.norms = np.empty(clients)
        for client, weight in enumerate(weights_for(clients)):
            self._seal(client, weight)
        self.plain = memoryview(bytearray(segment_bytes))
        self.out = np.empty(elements, np.float32)

    def _seal(self, client: int, weight: int) -> None:
        values = plain_update(client, self.shape.elements)
        self.heads[client] = values[:SAMPLE]
        norm = self.norms[client] = float(np.sqrt(np.dot(values, values.astype(np.float64))))
        key, sink = StreamKey.generate(), io.BytesIO()
        descriptor = seal_stream(
            io.BytesIO(values.data),
            sink,
            key,
            kind="bench",
            labels=(),
            segment_size=self.shape.segment_bytes,
        )
        sealed = sink.getbuffer()
        self.files.append(sink)
        self.sealed.append(sealed)
        self.descriptors.append(descriptor)
        self.updates.append(
            Update(
                client=f"client-{client:04}",
                organisation=f"organisation-{client:04}",
                key=key,
                object_id=descriptor.id,
                multiplier=multiplier(self.clip, norm),
                weight=weight,
                source=MemorySource(sealed),
            )
        )
        derived, prefix = open_header(bytes(sealed[:HEADER_BYTES]), key, descriptor.id)
        self.keys.append((derived, prefix))
        self.ciphers.append((AESGCM(derived), _segments(sealed, prefix, self.shape)))

    @property
    def bytes(self) -> int:
        """What a rate counts: the float32 of all clients."""
        return len(self.updates) * self.shape.plain_bytes

    def expected(self, name: str, *, clipped: bool) -> NDArray[np.float64] | None:
        """The first coordinates of the result, in float64; None where there is no telling."""
        heads, weights = self.heads, weights_for(len(self.updates))
        if clipped:
            heads = heads * np.minimum(1, self.clip / self.norms)[:, None]
        trim = int(TRIM_SHARE * len(heads))
        ordered = np.sort(heads, axis=0)[trim : len(heads) - trim]
        known = {
            "mean": np.average(heads, axis=0, weights=weights),
            "median": np.median(heads, axis=0),
            "trimmed": ordered.mean(axis=0),
        }
        return known.get(name)

    # What Placet does.

    def ours(self, rule: Rule, threads: int) -> Pass:
        """Sealed updates to a new float32 model."""
        start = time.perf_counter()
        result = aggregate(self.updates, self.shape, rule, threads=threads, smallest=2)
        self._finish(result, threads)
        return time.perf_counter() - start, self._head()

    def sums(self, rule: Rule, threads: int) -> Pass:
        """Sealed updates to their exact sums."""
        start = time.perf_counter()
        result = aggregate(self.updates, self.shape, rule, threads=threads, smallest=2)
        seconds = time.perf_counter() - start
        self._finish(result, threads)
        return seconds, self._head()

    def private(self, threads: int, *, drawing: bool) -> Pass:
        """As `ours`, with noise; the time of its drawing counts or not."""
        updates = [replace(update, weight=1) for update in self.updates]
        start = time.perf_counter()
        with Noise(self.shape.elements, int(NOISE_MULTIPLIER * LIMIT), threads=threads) as noise:
            if not drawing:
                noise.wait()
                start = time.perf_counter()
            result = aggregate(
                updates, self.shape, Mean(), threads=threads, smallest=2, noise=noise
            )
        self._finish(result, threads)
        return time.perf_counter() - start, self._head()

    def trimmed(self) -> Rule:
        return Trimmed(int(TRIM_SHARE * len(self.updates)))

    def krum(self) -> Rule:
        return Krum(1, min(BYZANTINE, (len(self.updates) - 3) // 2))

    # What a user would write, and the limits.

    def naive(self) -> Pass:
        """Decrypt, frombuffer, multiply, add: one update after the other."""
        start = time.perf_counter()
        total = np.zeros(self.shape.elements, np.float32)
        for file, descriptor, update in zip(
            self.files, self.descriptors, self.updates, strict=True
        ):
            with open_stream(file, update.key, descriptor, leaf_hashes=None) as reader:
                total += np.float32(update.weight) * np.frombuffer(reader.read(), np.float32)
        total /= np.float32(sum(update.weight for update in self.updates))
        return time.perf_counter() - start, total[:SAMPLE].tolist()

    def by_segment(self) -> Pass:
        """The same segment by segment, so that what is decrypted is still in the cache when it is
        added."""
        start = time.perf_counter()
        total = np.zeros(self.shape.elements, np.float32)
        for (cipher, segments), update in zip(self.ciphers, self.updates, strict=True):
            for segment in segments:
                values = np.frombuffer(
                    cipher.decrypt(segment.nonce, segment.sealed, None), np.float32
                )
                total[segment.start : segment.stop] += np.float32(update.weight) * values
        total /= np.float32(sum(update.weight for update in self.updates))
        return time.perf_counter() - start, total[:SAMPLE].tolist()

    def preallocated(self) -> Pass:
        """The same again by someone who knows what allocation costs: two buffers, used again and
        again."""
        start = time.perf_counter()
        total = np.zeros(self.shape.elements, np.float32)
        scaled = np.empty(self.shape.segment_bytes // 4, np.float32)
        for (cipher, segments), update in zip(self.ciphers, self.updates, strict=True):
            weight = np.float32(update.weight)
            for segment in segments:
                size = segment.stop - segment.start
                plain = self.plain[: 4 * size]
                cipher.decrypt_into(segment.nonce, segment.sealed, None, plain)
                values = np.multiply(np.frombuffer(plain, np.float32), weight, out=scaled[:size])
                part = total[segment.start : segment.stop]
                np.add(part, values, out=part)
        total /= np.float32(sum(update.weight for update in self.updates))
        return time.perf_counter() - start, total[:SAMPLE].tolist()

    def aes(self, threads: int) -> Pass:
        """Nothing but `decrypt_into` of every segment, into one buffer a thread that stays in the
        cache."""
        tasks = [self.ciphers[thread::threads] for thread in range(threads)]
        start = time.perf_counter()
        _on_threads(_decrypt, tasks)
        return time.perf_counter() - start, []

    def kernel_cipher(self, cipher: Cipher, threads: int) -> Pass:
        """The same by one of the libraries that the kernel can use, in one call a thread."""
        size = self.shape.segment_bytes
        tasks = [
            partial(cipher.open, self.keys[thread::threads], self.sealed[thread::threads], size)
            for thread in range(threads)
        ]
        start = time.perf_counter()
        _on_threads(_call, tasks)
        return time.perf_counter() - start, []

    def read(self, threads: int) -> Pass:
        """Nothing but reading the sealed bytes."""
        tasks = [self.sealed[thread::threads] for thread in range(threads)]
        start = time.perf_counter()
        _on_threads(_sum_up, tasks)
        return time.perf_counter() - start, []

    def _finish(self, result: Aggregate, threads: int) -> None:
        finish(
            result.sums,
            result.divisor,
            clip=self.clip,
            rate=1.0,
            base=None,
            out=self.out,
            threads=threads,
        )

    def _head(self) -> list[float]:
        return [float(value) for value in self.out[:SAMPLE]]


def _segments(sealed: memoryview, prefix: bytes, shape: Shape) -> list[Segment]:
    segments, element = list[Segment](), 0
    for index in range(shape.segments):
        part = sealed[index * shape.segment_bytes : (index + 1) * shape.segment_bytes]
        if not index:
            part = part[HEADER_BYTES:]
        stop = element + (len(part) - TAG_BYTES) // 4
        nonce = prefix + index.to_bytes(4, "big") + bytes([index == shape.segments - 1])
        segments.append(Segment(nonce, part, element, stop))
        element = stop
    return segments


def _decrypt(ciphers: Sequence[tuple[AESGCM, list[Segment]]]) -> None:
    plain = memoryview(bytearray(1 << 20))
    for cipher, segments in ciphers:
        decrypt_into = cipher.decrypt_into
        for segment in segments:
            decrypt_into(
                segment.nonce, segment.sealed, None, plain[: len(segment.sealed) - TAG_BYTES]
            )


def _sum_up(streams: Sequence[memoryview]) -> None:
    for sealed in streams:
        np.frombuffer(sealed[: len(sealed) // 8 * 8], np.int64).sum()


def _call(task: Callable[[], None]) -> None:
    task()


def _on_threads(work: Callable[[Any], None], tasks: Sequence[Any]) -> None:
    if len(tasks) == 1:
        work(tasks[0])
        return
    with ThreadPoolExecutor(len(tasks)) as pool:
        list(pool.map(work, tasks))
