# SPDX-License-Identifier: Apache-2.0
"""What a proposal of action "serve" asks for: a sealed model, who may ask it, how much, and what of
its answers they see.

The terms are what the worker is launched for, so nobody decides any of this later. Amounts count
rows: an answer to a request of many rows tells as much as that many answers.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_digest,
    check_distinct,
    check_identifier,
    check_name,
    check_range,
)
from placet.governance.codec import malformed
from placet.governance.documents.header import Header
from placet.governance.documents.privacy import Declared
from placet.governance.documents.work import Input, Output, Recipient, Scalar, check_hpke
from placet.sealing import context

# The runtime is part of the enclave's measurement, so its digest only says which of the built-in
# programs is meant.
ONNX_INFERENCE = "sha256:" + hashlib.sha256(b"placet/builtin/onnx-inference/v1").hexdigest()
MODEL = "model"  # the name of its one input

MAX_USERS = 1000
MAX_ROWS = 65_536
MAX_ANSWERS = 2**40
TOKEN_BYTES = 32
_MAX_FIELDS = 64  # inputs or outputs of a model
_MAX_DIMENSIONS = 16
_FOREVER = 2**40

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
    """Whoever holds one of these tokens may ask: by name, the `token_digest` of each."""

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
    """What users are shown before they first ask. All of it is its author's words but what it says
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
        check_range("card.retire_by", self.retire_by, 1, _FOREVER)


@dataclass(frozen=True, slots=True)
class Serve:
    """The terms of a service.

    model: the sealed ONNX file, a file of its own or the output of a job (kind "result", padded).
    answers: what users see of each output, by the model's name of it; others are not computed.
    not_finite: whether a request may hold NaN or infinities.
    largest_request: rows. batch: whether rows of several users may be run together, and batch_rows
    the most that are.
    privacy: what all answers together cost the owner's ledger; null: without bound. review: Unix
    seconds from which on a lease is given or renewed only if the ticket would be admitted anew,
    with ballots that have not expired.
    deadline_seconds: how long one worker serves.
    """

    model: Input
    card: Card
    users: Users
    rations: Rations
    answers: dict[str, Shown]
    not_finite: Literal["refuse", "accept"]
    largest_request: int
    batch: Literal["shared", "apart"]
    batch_rows: int
    privacy: Declared | None
    review: int
    deadline_seconds: int

    def __post_init__(self) -> None:
        if not self.answers or len(self.answers) > _MAX_FIELDS:
            raise malformed("serve.answers", f"1 to {_MAX_FIELDS} outputs", str(len(self.answers)))
        for name in self.answers:
            check_name("serve.answers", name)
        check_range("serve.largest_request", self.largest_request, 1, MAX_ROWS)
        check_range("serve.batch_rows", self.batch_rows, 1, MAX_ROWS)
        check_range("serve.review", self.review, 1, _FOREVER)
        check_range("serve.deadline_seconds", self.deadline_seconds, 1, 30 * 86400)

    @property
    def program(self) -> str:
        """Which built-in program carries it out."""
        return ONNX_INFERENCE

    @property
    def inputs(self) -> dict[str, Input]:
        """The objects that it takes grants for."""
        return {MODEL: self.model}

    @property
    def parameters(self) -> dict[str, Scalar]:
        """A service has terms of its own instead."""
        return {}

    @property
    def outputs(self) -> dict[str, Output]:
        """Nothing is released: answers go to those who ask."""
        return {}

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Answers are sealed to those who ask."""
        return ()

    @property
    def attempts(self) -> int:
        """A worker that is lost is replaced under a new job: a use is a worker."""
        return 1


@dataclass(frozen=True, slots=True)
class Field:
    """An input or output of a model. A dimension of 0 may be of any length; the first is that of
    the rows."""

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
    is renewed. inputs, answers: what a request holds, and an answer.
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

    def __post_init__(self) -> None:
        check_digest("offer.lease", self.lease)
        check_digest("offer.worker", self.worker)
        check_range("offer.number", self.number, 0, 2**40)
        check_hpke("offer.key", self.key)
        check_range("offer.seconds", self.seconds, 0, 30 * 86400)
        check_range("offer.inputs", len(self.inputs), 1, _MAX_FIELDS)
        check_range("offer.answers", len(self.answers), 1, _MAX_FIELDS)


def _check_names(claim: str, names: tuple[str, ...]) -> None:
    check_distinct(claim, names)
    check_range(claim, len(names), 1, MAX_USERS)
    for name in names:
        check_identifier(claim, name)
