# SPDX-License-Identifier: Apache-2.0
"""What a proposal of action "federate" asks for, and what its clients sign: updates, and requests
for a round's model.

Everything a round is decided by is here, so that nobody decides it later: the vectors' layout, who
may take part, how many have to, how far one of them can reach, and what is done with whoever breaks
the terms.
"""

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_decimal,
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
from placet.governance.documents.work import (
    MAX_ATTEMPTS,
    Input,
    Output,
    Recipient,
    Scalar,
    check_hpke,
)
from placet.sealing import SEGMENT_SIZES

# The aggregator is part of the enclave's measurement, so its digest only says which of the built-in
# programs is meant.
FEDERATED_AVERAGE = "sha256:" + hashlib.sha256(b"placet/builtin/federated-average/v1").hexdigest()
MODEL = "model"  # the name of its one input, and of its one output

# A coordinate is aggregated as an integer from -CLIP_UNITS to CLIP_UNITS; CLIP_UNITS stands for the
# clipping bound.
CLIP_UNITS = 2**26
# Whoever counts is listed in one entry of the log, and an entry has 64 KiB.
MAX_ROSTER = 256
MAX_ELEMENTS = 2**32
_MAX_DIMENSIONS = 32  # what every array library can make; and a product of as many has few digits
_SUM_BOUND = 2**62

Encoding = Literal["float32", "float16", "bfloat16", "int8"]
ELEMENT_BYTES: dict[str, int] = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
_MODEL_BYTES = 4  # of a coordinate of the model: always float32


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

    @property
    def update_bytes(self) -> int:
        """Plaintext bytes of an update."""
        return self.elements * ELEMENT_BYTES[self.encoding]

    @property
    def digest(self) -> str:
        """What updates name."""
        return "sha256:" + hashlib.sha256(encode(self)).hexdigest()


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean, weighted by the numbers that clients declare, up to the ticket's bound."""

    FEWEST: ClassVar[int] = 2  # a mean of one is that one's update

    rule: Literal["mean"]


@dataclass(frozen=True, slots=True)
class Median:
    """The coordinate-wise median (Yin et al. 2018); of an even number the middle between the two in
    the middle."""

    FEWEST: ClassVar[int] = 3

    rule: Literal["median"]


@dataclass(frozen=True, slots=True)
class TrimmedMean:
    """The coordinate-wise mean without the `trimmed_percent` largest and as many smallest values
    (Yin et al. 2018)."""

    FEWEST: ClassVar[int] = 3

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
    def smallest(self) -> int:
        """The fewest updates that the rule is defined for."""
        return max(2 * self.byzantine + 3, self.selected + self.byzantine)


AggregationRule = Mean | Median | TrimmedMean | Krum


@dataclass(frozen=True, slots=True)
class Federate:
    """The terms of a federation.

    model: the initial model, a float32 vector in an object of its owner's; null: all zeros. labels:
    of the data that
    clients train on. roster: the principals that may send updates. smallest_cohort: organisations
    whose updates must
    count. round_seconds: how long a round is open. clip: bound of an update's L2 norm. noise:
    standard deviation of the noise on the sum, in units of clip; null: none. largest_weight: the
    most that an update may count for.
    rate: what the aggregate is multiplied by before it is added to the model. quarantine_rounds:
    how many rounds a client sits out after an update that broke the terms. clip, noise and rate are
    decimal text.
    """

    model: Input | None
    layout: Layout
    labels: tuple[str, ...]
    roster: tuple[str, ...]
    rounds: int
    smallest_cohort: int
    round_seconds: int
    clip: str
    noise: str | None
    rule: AggregationRule
    largest_weight: int
    rate: str
    quarantine_rounds: int
    attempts: int
    deadline_seconds: int

    def __post_init__(self) -> None:
        for label in self.labels:
            check_identifier("federate.labels", label)
        self._check_roster()
        check_range("federate.rounds", self.rounds, 1, 100_000)
        check_range("federate.round_seconds", self.round_seconds, 1, 30 * 86400)
        check_range("federate.largest_weight", self.largest_weight, 1, 2**31 - 1)
        check_range("federate.quarantine_rounds", self.quarantine_rounds, 1, 100_000)
        check_range("federate.attempts", self.attempts, 1, MAX_ATTEMPTS)
        check_range("federate.deadline_seconds", self.deadline_seconds, 1, 30 * 86400)
        check_decimal("federate.clip", self.clip, "1e-9", "1e9")
        check_decimal("federate.rate", self.rate, "1e-6", "1e3")
        self._check_model()
        self._check_noise()
        self._check_rule()
        if len(self.roster) * self.largest_weight * CLIP_UNITS >= _SUM_BOUND:
            # Of this the exactness of the sums stands: see docs/federation.md.
            expected = f"such that roster x weight stays below 2^{62 - 26}"
            raise malformed("federate.largest_weight", expected, str(self.largest_weight))

    @property
    def program(self) -> str:
        """Which built-in program carries it out."""
        return FEDERATED_AVERAGE

    @property
    def inputs(self) -> dict[str, Input]:
        """The objects that it takes grants for."""
        return {} if self.model is None else {MODEL: self.model}

    @property
    def outputs(self) -> dict[str, Output]:
        """What a round releases."""
        return {MODEL: Output(self.layout.elements * _MODEL_BYTES)}

    @property
    def parameters(self) -> dict[str, Scalar]:
        """A federation has terms of its own instead."""
        return {}

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """A round's model goes to its roster on request, and to nobody else."""
        return ()

    @property
    def clipping_bound(self) -> Fraction:
        """`clip` as a number."""
        return Fraction(self.clip)

    @property
    def sigma(self) -> int:
        """Standard deviation of the noise, in the integers' unit, rounded up; 0 for none."""
        return 0 if self.noise is None else math.ceil(Fraction(self.noise) * CLIP_UNITS)

    def _check_roster(self) -> None:
        check_distinct("federate.roster", self.roster)
        check_range("federate.roster", len(self.roster), 1, MAX_ROSTER)
        for client in self.roster:
            check_identifier("federate.roster", client)
        # Fewer than two would release one organisation's update as it is.
        check_range("federate.smallest_cohort", self.smallest_cohort, 2, len(self.roster))

    def _check_model(self) -> None:
        expected = self.layout.elements * _MODEL_BYTES
        if self.model is not None and self.model.object.length != expected:
            found = f"{self.model.object.length} bytes"
            raise malformed("federate.model", f"the layout's {expected} bytes of float32", found)

    def _check_noise(self) -> None:
        if self.noise is None:
            return
        check_decimal("federate.noise", self.noise, "1e-3", "1e3")
        if not isinstance(self.rule, Mean) or self.largest_weight != 1:
            expected = "the rule mean and a largest weight of 1 where there is noise"
            raise malformed("federate.rule", expected, "another rule or weight")

    def _check_rule(self) -> None:
        fewest = self.rule.smallest if isinstance(self.rule, Krum) else self.rule.FEWEST
        if self.smallest_cohort < fewest:
            expected = f"at least {fewest} for the rule {self.rule.rule}"
            raise malformed("federate.smallest_cohort", expected, str(self.smallest_cohort))
        if isinstance(self.rule, TrimmedMean) and not self.rule.trimmed(self.smallest_cohort):
            expected = "large enough to trim anything from the smallest cohort"
            raise malformed("rule.trimmed_percent", expected, str(self.rule.trimmed_percent))
        if not isinstance(self.rule, Mean) and self.largest_weight != 1:
            raise malformed("federate.largest_weight", "1 for this rule", str(self.largest_weight))


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
