# SPDX-License-Identifier: Apache-2.0
"""A round's model: asked for under the client's signature, verified before it is opened."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placet.client.errors import StateRefused
from placet.client.federations.vectors import State, Vector, unflatten
from placet.client.trust.artifacts import ReceiptFile
from placet.client.trust.verify import VerifiedReceipt
from placet.governance.documents import Federate, Layout
from placet.sealing import (
    ObjectDescriptor,
    StreamKey,
    open_stream,
    padded_length,
    unpad_into,
    verify_root,
)


@dataclass(frozen=True, slots=True)
class RoundModel:
    """The model that a round released, or the initial one (round 0), which has no receipt.

    vector: float32 of shape (layout.elements,).
    """

    round: int
    layout: Layout
    vector: Vector
    receipt: VerifiedReceipt | None
    receipt_file: ReceiptFile | None

    @property
    def state(self) -> State:
        """Its arrays by name, as copies."""
        return unflatten(self.vector, self.layout)

    def __repr__(self) -> str:
        return f"RoundModel(round={self.round})"


def model_bytes(vector: Vector) -> bytes:
    """A model as it is sealed."""
    return vector.astype(np.dtype("<f4")).tobytes()


def zeros(terms: Federate) -> RoundModel:
    """Where a federation without an initial model begins."""
    vector = np.zeros(terms.layout.elements, np.float32)
    return RoundModel(0, terms.layout, vector, None, None)


def open_model(
    sealed: Path, descriptor: ObjectDescriptor, key: StreamKey, layout: Layout
) -> Vector:
    """Verify and open a model's sealed bytes: float32, shape (layout.elements,). Raises
    `StateRefused`, or as `verify_root` and `open_stream`.

    What a round releases is padded as every output is; an initial model may be the bare vector.
    """
    vector = np.zeros(layout.elements, np.float32)
    view = vector.view(np.uint8).data
    with sealed.open("rb") as source:
        leaves = verify_root(source, descriptor)
        with open_stream(source, key, descriptor, leaf_hashes=leaves) as reader:
            if descriptor.length == len(view):
                size = reader.readinto(view)
            elif descriptor.length == padded_length(len(view)):
                size = unpad_into(reader, _Into(view), descriptor.length)
            else:
                size = descriptor.length
    if size != len(view):
        raise StateRefused(
            "The model has not the length of the federation's layout. Report it to the council.",
            claim="model",
            expected=f"{len(view)} bytes",
            actual=f"{size} bytes",
        )
    if np.dtype("<f4") != np.dtype(np.float32):
        vector.byteswap(inplace=True)
    return vector


class _Into:
    """Memory to write into; takes no more than it has room for."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def write(self, data: memoryview, /) -> int:
        size = min(len(data), len(self._view))
        self._view[:size] = data[:size]
        self._view = self._view[size:]
        return size
