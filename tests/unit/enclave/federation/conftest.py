# SPDX-License-Identifier: Apache-2.0
"""Clients that seal real streams, and the same arithmetic in Python's integers."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from placet.enclave._kernel import LIMIT
from placet.enclave.worker.federation.fixed import multiplier
from placet.enclave.worker.federation.updates import Shape, Update
from placet.sealing import HEADER_BYTES, StreamKey, open_header
from tests.support.machines.sources import MemorySource

TAG_BYTES = 16
CLIP = 10.0


def encode(values: NDArray[Any], encoding: str) -> tuple[bytes, NDArray[np.float32]]:
    """The bytes of an update, and what its elements stand for once they are decoded."""
    if encoding == "bfloat16":
        high = values.astype("<f4").view("<u4") >> np.uint32(16)
        return high.astype("<u2").tobytes(), (high.astype("<u4") << np.uint32(16)).view("<f4")
    kind = {"float32": "<f4", "float16": "<f2", "int8": "i1"}[encoding]
    with np.errstate(over="ignore"):
        encoded = values.astype(kind)
    return encoded.tobytes(), encoded.astype("<f4")


def seal(
    plain: bytes, header: bytes, key: StreamKey, object_id: str, segment_bytes: int
) -> bytearray:
    """A sealed stream under a header of the caller's choice, so that two can have the same."""
    derived, prefix = open_header(header, key, object_id)
    cipher, sealed, start = AESGCM(derived), bytearray(header), 0
    room = segment_bytes - TAG_BYTES - HEADER_BYTES
    for index in range(1 << 32):
        last = start + room >= len(plain)
        nonce = prefix + index.to_bytes(4, "big") + bytes([last])
        sealed += cipher.encrypt(nonce, plain[start : start + room], None)
        if last:
            return sealed
        start, room = start + room, segment_bytes - TAG_BYTES
    raise AssertionError("unreachable")


@dataclass(frozen=True)
class Client:
    """One client's values, what it declares of them, and where they are sealed."""

    shape: Shape
    values: NDArray[Any]
    name: str = "client"
    organisation: str | None = None
    norm: float | None = None
    weight: int = 1
    scale: float = 1.0
    clip: float = CLIP
    key: StreamKey = field(default_factory=StreamKey.generate)
    object_id: str = field(default_factory=lambda: os.urandom(16).hex())
    header: bytes = field(
        default_factory=lambda: bytes([HEADER_BYTES]) + os.urandom(HEADER_BYTES - 1)
    )

    @property
    def declared(self) -> float:
        if self.norm is not None:
            return self.norm
        decoded = encode(self.values, self.shape.encoding)[1].astype(np.float64) * self.scale
        return float(np.sqrt(np.dot(decoded, decoded)))

    @property
    def multiplier(self) -> float:
        return multiplier(self.clip, self.declared, self.scale)

    @property
    def sealed(self) -> bytearray:
        plain = encode(self.values, self.shape.encoding)[0]
        return seal(plain, self.header, self.key, self.object_id, self.shape.segment_bytes)

    def update(self, **changes: Any) -> Update:
        made = Update(
            client=self.name,
            organisation=self.organisation or f"organisation of {self.name}",
            key=self.key,
            object_id=self.object_id,
            multiplier=self.multiplier,
            weight=self.weight,
            source=MemorySource(self.sealed),
        )
        return replace(made, **changes)

    @property
    def integers(self) -> list[int]:
        """What this client adds, before its weight."""
        decoded = encode(self.values, self.shape.encoding)[1]
        with np.errstate(over="ignore", invalid="ignore"):
            product = decoded * np.float32(self.multiplier)
        finite = np.where(np.isfinite(decoded), np.clip(product, -LIMIT, LIMIT), 0)
        return [int(value) for value in finite]


MakeClients = Callable[..., list[Client]]


@pytest.fixture
def make_clients() -> MakeClients:
    """So many clients with normally distributed values: some within the clip, some beyond it."""

    def make(count: int, shape: Shape, seed: int = 0, **terms: Any) -> list[Client]:
        random = np.random.default_rng(seed)
        clients = list[Client]()
        for number in range(count):
            values = random.standard_normal(shape.elements).astype(np.float32)
            norm = float(np.linalg.norm(values)) or 1.0
            if shape.encoding == "int8":
                values = np.clip(values * 30, -127, 127)
            else:
                values *= np.float32(CLIP * (0.5 + number % 3) / norm)
            more: dict[str, Any] = {"scale": 0.01, **terms} if shape.encoding == "int8" else terms
            clients.append(Client(shape, values, name=f"client-{number:03}", **more))
        return clients

    return make


def weighted_sums(clients: Sequence[Client]) -> list[int]:
    columns = zip(*(client.integers for client in clients), strict=True)
    weights = [client.weight for client in clients]
    return [sum(w * q for w, q in zip(weights, column, strict=True)) for column in columns]


def ordered_sums(clients: Sequence[Client], low: int, high: int) -> list[int]:
    columns = zip(*(client.integers for client in clients), strict=True)
    return [sum(sorted(column)[low:high]) for column in columns]


@pytest.fixture
def reference() -> Any:
    """The arithmetic in Python's integers."""

    class Reference:
        mean = staticmethod(weighted_sums)
        ordered = staticmethod(ordered_sums)

    return Reference
