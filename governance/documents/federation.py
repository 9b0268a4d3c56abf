# SPDX-License-Identifier: Apache-2.0
"""The parts of a federation's terms (work/federate.py), and what its clients sign: updates, and
requests for a round's model."""

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_digest,
    check_distinct,
    check_identifier,
    check_name,
    check_nonce,
    check_range,
)
from placet.governance.codec import encode, malformed
from placet.governance.documents.header import Header
from placet.governance.documents.privacy import Budget
from placet.governance.documents.work.parts import (
    check_hpke,
)
from placet.sealing import SEGMENT_SIZES

# The aggregator is part of the enclave's measurement, so its digest only says which of the built-in
# programs is meant.
FEDERATED_AVERAGE = "sha256:" + hashlib.sha256(b"placet/builtin/federated-average/v1").hexdigest()
MODEL = "model"  # the name of its one input, and of its one output

# A coordinate is aggregated as an integer from -LIMIT to LIMIT, which stands for the clipping
# bound; the kernel has the same constant.
LIMIT = 2**26
# Whoever counts is listed in one entry of the log, and an entry has 64 KiB.
MAX_ROSTER = 256
MAX_ELEMENTS = 2**32
_MAX_DIMENSIONS = 32  # what every array library can make; and a product of as many has few digits

Encoding = Literal["float32", "float16", "bfloat16", "int8"]
# Of an array that is no weight (a running variance, say): averaged as weights are; averaged and
# spared the noise; kept as the model has it, whatever is sent; or not federated.
BufferRule = Literal["mean", "mean-without-noise", "keep", "home"]
ELEMENT_BYTES: dict[str, int] = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A part of the vector: its name in the model, and its shape. Parts lie one after the other,
    row by row."""

    name: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        check_name("tensor.name", self.name)
        check_range("tensor.shape", len(self.shape), 0, _MAX_DIMENSIONS)
        for dimension in self.shape:
            check_range("tensor.shape", dimension, 1, MAX_ELEMENTS)
        check_range("tensor.shape", self.elements, 1, MAX_ELEMENTS)

    @property
    def elements(self) -> int:
        """The number of coordinates; 1 for a scalar."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a vector is written: its parts in order, the encoding of an update's coordinates, its
    segments' bytes."""

    tensors: tuple[Tensor, ...]
    encoding: Encoding
    segment_bytes: int

    def __post_init__(self) -> None:
        if not self.tensors:
            raise malformed("layout.tensors", "at least one", "none")
        check_distinct("layout.tensors", [tensor.name for tensor in self.tensors])
        check_range("layout.tensors", self.elements, 1, MAX_ELEMENTS)
        if self.segment_bytes not in SEGMENT_SIZES:
            expected = "a power of two from 16384 to 1048576"
            raise malformed("layout.segment_bytes", expected, str(self.segment_bytes))

    @property
    def elements(self) -> int:
        """The number of coordinates of the whole vector."""
        return sum(tensor.elements for tensor in self.tensors)

    def slices(self, names: Collection[str]) -> list[slice]:
        """Where the parts of these names are in the vector."""
        found, start = list[slice](), 0
        for tensor in self.tensors:
            end = start + tensor.elements
            if tensor.name in names:
                found.append(slice(start, end))
            start = end
        return found

    @property
    def update_bytes(self) -> int:
        """Plaintext bytes of an update."""
        return self.elements * ELEMENT_BYTES[self.encoding]

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(encode(self)).hexdigest()


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean, weighted by the numbers that clients declare, up to the ticket's bound."""

    fewest: ClassVar[int] = 2  # a mean of one is that one's update

    rule: Literal["mean"]


@dataclass(frozen=True, slots=True)
class Median:
    """The coordinate-wise median (Yin et al. 2018); of an even number the middle between the two in
    the middle."""

    fewest: ClassVar[int] = 3

    rule: Literal["median"]


@dataclass(frozen=True, slots=True)
class TrimmedMean:
    """The coordinate-wise mean without the `trimmed_percent` largest and as many smallest values
    (Yin et al. 2018)."""

    fewest: ClassVar[int] = 3

    rule: Literal["trimmed-mean"]
    trimmed_percent: int

    def __post_init__(self) -> None:
        check_range("rule.trimmed_percent", self.trimmed_percent, 1, 49)

    def trimmed(self, updates: int) -> int:
        """How many values go at each end, of so many."""
        return updates * self.trimmed_percent // 100


@dataclass(frozen=True, slots=True)
class Krum:
    """The mean of the `selected` updates that lie closest to their neighbours (Blanchard et al.
    2017), against `byzantine` liars."""

    rule: Literal["krum"]
    byzantine: int
    selected: int

    def __post_init__(self) -> None:
        check_range("rule.byzantine", self.byzantine, 1, MAX_ROSTER)
        check_range("rule.selected", self.selected, 1, MAX_ROSTER)

    @property
    def fewest(self) -> int:
        """The fewest updates that the rule is defined for."""
        return max(2 * self.byzantine + 3, self.selected + self.byzantine)


AggregationRule = Mean | Median | TrimmedMean | Krum


@dataclass(frozen=True, slots=True)
class Update:
    """A client's update for one round. Signed by the client.

    object, commitment: the sealed stream with the vector, and what commits to its key (see
    `ObjectDescriptor`); its
    length follows from the layout. sealed: the digest of the envelope that brings the key, the
    declared norm and the weight to the round key. The release that the update goes into is charged
    to the client's ledger: `epsilon` at `delta` bound the whole ledger (decimal text), "any" does
    not.
    """

    KIND: ClassVar[str] = "update"

    header: Header
    federation: str
    round: int
    client: str
    layout: str
    object: str
    commitment: str
    sealed: str
    epsilon: str
    delta: str

    def __post_init__(self) -> None:
        for claim in ("federation", "layout", "sealed"):
            check_digest("update." + claim, getattr(self, claim))
        check_range("update.round", self.round, 1, 100_000)
        check_identifier("update.client", self.client)
        check_nonce("update.object", self.object)
        check_digest("update.commitment", "sha256:" + self.commitment)
        if (self.epsilon, self.delta) != ("any", "any"):
            Budget(self.epsilon, self.delta)

    @property
    def budget(self) -> Budget | None:
        """The bound of the client's ledger; None where there is none."""
        return None if self.epsilon == "any" else Budget(self.epsilon, self.delta)


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A client of the roster asks for the model of a round, sealed to this HPKE public key. Signed
    by the client."""

    KIND: ClassVar[str] = "model-request"

    header: Header
    federation: str
    round: int
    client: str
    key: str

    def __post_init__(self) -> None:
        check_digest("model-request.federation", self.federation)
        check_range("model-request.round", self.round, 0, 100_000)
        check_identifier("model-request.client", self.client)
        check_hpke("model-request.key", self.key)
