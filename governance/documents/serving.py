# SPDX-License-Identifier: Apache-2.0
"""The parts of a service's terms (work/serve.py): who may ask, how much, and what of its answers
they see; and the offer that its workers sign."""

import hashlib
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_digest,
    check_distinct,
    check_identifier,
    check_name,
    check_range,
    check_signed,
)
from placet.governance.codec import malformed
from placet.governance.documents.header import Header
from placet.governance.documents.privacy import Declared
from placet.governance.documents.work.parts import check_hpke
from placet.sealing import context

# The runtime is part of the enclave's measurement, so its digest only says which of the built-in
# programs is meant.
ONNX_INFERENCE = "sha256:" + hashlib.sha256(b"placet/builtin/onnx-inference/v1").hexdigest()
MODEL = "model"  # the name of its one input

MAX_USERS = 1000
MAX_ROWS = 65_536
MAX_ANSWERS = 2**40
# Bytes of the tensors of one question, or of one answer: what is usual, and the most there may be.
USUAL_QUESTION = 1024 * 1024
MAX_QUESTION = 64 * 1024 * 1024
MIN_QUESTION = 1024
TOKEN_BYTES = 32
MAX_FIELDS = 64  # inputs or outputs of a model
_MAX_DIMENSIONS = 16
_MAX_VALUES = 256
FOREVER = 2**40

# As NumPy names them; what a tensor of a request or an answer may hold.
DType = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip


def token_digest(token: bytes) -> str:
    """How a proposal names a token: the token itself is its holder's secret, 32 random bytes."""
    return "sha256:" + hashlib.sha256(context("placet/token/v1", token)).hexdigest()


@dataclass(frozen=True, slots=True)
class Roster:
    """These principals may ask, each by a signature."""

    who: Literal["roster"]
    users: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_names("users.users", self.users)


@dataclass(frozen=True, slots=True)
class Members:
    """Every principal of these organisations may ask, by a signature."""

    who: Literal["organisations"]
    organisations: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_names("users.organisations", self.organisations)


@dataclass(frozen=True, slots=True)
class Bearers:
    """Users who hold one of these tokens may ask: by name, the `token_digest` of each."""

    who: Literal["tokens"]
    tokens: dict[str, str]

    def __post_init__(self) -> None:
        _check_names("users.tokens", tuple(self.tokens))
        check_distinct("users.tokens", list(self.tokens.values()))
        for digest in self.tokens.values():
            check_digest("users.tokens", digest)


Users = Roster | Members | Bearers


@dataclass(frozen=True, slots=True)
class Raw:
    """The output as the model gives it."""

    show: Literal["raw"]


@dataclass(frozen=True, slots=True)
class Rounded:
    """The output rounded to so many decimals, half to even."""

    show: Literal["rounded"]
    decimals: int

    def __post_init__(self) -> None:
        check_range("answers.decimals", self.decimals, 0, 6)


@dataclass(frozen=True, slots=True)
class TopClass:
    """Only which element of the last axis is the largest, as int64; the first of equals."""

    show: Literal["top-class"]


Shown = Raw | Rounded | TopClass


@dataclass(frozen=True, slots=True)
class Sample:
    """What a worker tries an input with, where numbers that it makes up would not do.

    values: decimals as text ("0.5"), in the order of the elements, again and again until the shape
    is full. The first dimension counts the rows where the model has any.
    """

    shape: tuple[int, ...]
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        check_range("samples.shape", len(self.shape), 0, _MAX_DIMENSIONS)
        for dimension in self.shape:
            check_range("samples.shape", dimension, 1, MAX_QUESTION)
        check_range("samples.shape", self.elements, 1, MAX_QUESTION)
        check_range("samples.values", len(self.values), 1, min(_MAX_VALUES, self.elements))
        for value in self.values:
            check_signed("samples.values", value)

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Rations:
    """How many rows are answered: to each user and in total, by all workers ever; to a user in a
    minute, by each worker.

    tranche: the most that a worker holds of a user's at a time. It is spent as the worker gets it,
    and lost with it.
    """

    user: int
    total: int
    minute: int
    tranche: int

    def __post_init__(self) -> None:
        for name in ("user", "total", "minute", "tranche"):
            check_range("rations." + name, getattr(self, name), 1, MAX_ANSWERS)
        if self.user > self.total or self.tranche > self.user:
            raise malformed("rations", "tranche <= user <= total", "another order")


@dataclass(frozen=True, slots=True)
class Card:
    """Users are shown this before they first ask. All of it is its author's words but what it says
    about a receipt.

    labels: of the data that the model was trained on. receipt: the receipt of the job or round that
    made it, which the log has to have; "" if none. privacy: what training cost the people in that
    data; null: nothing is claimed. retire_by: Unix seconds from which on nobody should use the
    model.
    """

    title: str
    labels: tuple[str, ...]
    receipt: str
    privacy: Declared | None
    retire_by: int

    def __post_init__(self) -> None:
        if self.title:
            check_name("card.title", self.title)
        check_distinct("card.labels", self.labels)
        for label in self.labels:
            check_identifier("card.labels", label)
        if self.receipt:
            check_digest("card.receipt", self.receipt)
        check_range("card.retire_by", self.retire_by, 1, FOREVER)


# How the rows of a question hang together. independent: any number of them, and each is answered as
# if it were alone; the first axis of everything counts them. fixed: so many as the first axis of
# everything says, no more and no fewer. dependent: an answer about one depends on the others, or
# something has no axis of rows; a question is a whole.
RowsAre = Literal["independent", "fixed", "dependent"]


@dataclass(frozen=True, slots=True)
class Field:
    """An input or output of a model. A dimension of 0 may be of any length; `Offer.rows` says
    whether the first is that of the rows."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        check_name("field.name", self.name)
        check_range("field.shape", len(self.shape), 0, _MAX_DIMENSIONS)
        for dimension in self.shape:
            check_range("field.shape", dimension, 0, 2**40)


@dataclass(frozen=True, slots=True)
class Offer:
    """A worker says that it serves, and by which key sessions with it are opened now. Signed by its
    joined key.

    number: counts the worker's offers from 0; each renewal of the lease brings a new one. key: an
    HPKE public key; openings to it are taken until the offer after the next. seconds: how long the
    lease holds from the making of the offer unless it
    is renewed. inputs, answers: what a request holds, and an answer. rows: whether a request may be
    asked in parts.
    """

    KIND: ClassVar[str] = "offer"

    header: Header
    lease: str
    worker: str
    number: int
    key: str
    seconds: int
    inputs: tuple[Field, ...]
    answers: tuple[Field, ...]
    rows: RowsAre

    def __post_init__(self) -> None:
        check_digest("offer.lease", self.lease)
        check_digest("offer.worker", self.worker)
        check_range("offer.number", self.number, 0, 2**40)
        check_hpke("offer.key", self.key)
        check_range("offer.seconds", self.seconds, 0, 30 * 86400)
        check_range("offer.inputs", len(self.inputs), 1, MAX_FIELDS)
        check_range("offer.answers", len(self.answers), 1, MAX_FIELDS)


def _check_names(claim: str, names: tuple[str, ...]) -> None:
    check_distinct(claim, names)
    check_range(claim, len(names), 1, MAX_USERS)
    for name in names:
        check_identifier(claim, name)
