# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import Literal

from placet.governance.checks import check_name, check_range
from placet.governance.codec import malformed
from placet.governance.documents.privacy import Declared
from placet.governance.documents.serving import (
    FOREVER,
    MAX_FIELDS,
    MAX_ROWS,
    MODEL,
    ONNX_INFERENCE,
    Card,
    Rations,
    Shown,
    Users,
)
from placet.governance.documents.work.parts import Input, Output, Recipient, Scalar


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
        if not self.answers or len(self.answers) > MAX_FIELDS:
            raise malformed("serve.answers", f"1 to {MAX_FIELDS} outputs", str(len(self.answers)))
        for name in self.answers:
            check_name("serve.answers", name)
        check_range("serve.largest_request", self.largest_request, 1, MAX_ROWS)
        check_range("serve.batch_rows", self.batch_rows, 1, MAX_ROWS)
        check_range("serve.review", self.review, 1, FOREVER)
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
