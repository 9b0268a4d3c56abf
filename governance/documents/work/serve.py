# SPDX-License-Identifier: Apache-2.0
"""A proposal of action "serve" asks for this: a sealed model, who may ask it, how much, and what of
its answers they see.

The terms are what the worker is launched for, so nobody decides any of this later. Amounts count
rows: an answer to a request of many rows tells as much as that many answers.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from placet.governance.account import Times
from placet.governance.checks import check_name, check_range
from placet.governance.codec import malformed
from placet.governance.documents.lease import Release
from placet.governance.documents.privacy import Declared
from placet.governance.documents.rule import Action
from placet.governance.documents.serving import (
    FOREVER,
    MAX_FIELDS,
    MAX_QUESTION,
    MAX_ROWS,
    MIN_QUESTION,
    MODEL,
    ONNX_INFERENCE,
    Bearers,
    Card,
    Members,
    Rations,
    Roster,
    Sample,
    Shown,
    Users,
)
from placet.governance.documents.work.body import Body
from placet.governance.documents.work.parts import Input, Output, Recipient, Scalar
from placet.governance.envelope import Signed
from placet.refusals import ReceiptInvalid, UserNotAllowed

if TYPE_CHECKING:
    from placet.governance.documents.constitution import Constitution
    from placet.governance.documents.proposal import Proposal
    from placet.governance.ledger import Ledger
    from placet.governance.state import State


@dataclass(frozen=True, slots=True)
class Serve(Body):
    """The terms of a service.

    model: the sealed ONNX file, a file of its own or the output of a job (kind "result", padded).
    answers: what users see of each output, by the model's name of it; others are not computed.
    not_finite: whether a request may hold NaN or infinities.
    largest_request: rows. largest_question: bytes of a question's tensors, or of an answer's.
    samples: what a worker tries inputs with, by their names; it makes the others up.
    batch: whether rows of several users may be run together, and batch_rows the most that are.
    privacy: what all answers together cost the owner's ledger; null: without bound. review: Unix
    seconds from which on a lease is given or renewed only if the ticket would be admitted anew,
    with ballots that have not expired.
    deadline_seconds: how long one worker serves.
    """

    ACTION: ClassVar[Action] = "serve"
    RESERVES: ClassVar[bool] = False  # its draws are charged
    CHOSEN_KEYS: ClassVar[bool] = True

    model: Input
    card: Card
    users: Users
    rations: Rations
    answers: dict[str, Shown]
    not_finite: Literal["refuse", "accept"]
    largest_request: int
    largest_question: int
    samples: dict[str, Sample]
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
        check_range("serve.largest_question", self.largest_question, MIN_QUESTION, MAX_QUESTION)
        self._check_samples()
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

    @property
    def most_rows(self) -> int:
        """Of one question: a worker never answers more at once than a tranche, or than a minute
        allows."""
        return min(self.largest_request, self.rations.tranche, self.rations.minute)

    @property
    def given(self) -> tuple[Input, ...]:
        return (self.model,)

    @property
    def own_labels(self) -> tuple[str, ...]:
        return self.card.labels

    @property
    def privacy_terms(self) -> Declared | None:
        return self.privacy

    def users_under(self, constitution: "Constitution") -> frozenset[str]:
        match self.users:
            case Roster(users=users):
                return frozenset(users)
            case Members(organisations=organisations):
                listed = (p.id for p in constitution.principals if p.organisation in organisations)
                return frozenset(listed)
            case Bearers():
                return frozenset()

    def is_charged(self, state: "State", proposal: str, job: str) -> bool:
        """The first draw is charged for all answers."""
        return proposal in state.services

    def check_proposed(self, proposal: "Proposal") -> None:
        if not proposal.not_before < self.review:
            raise malformed("serve.review", "after not_before", str(self.review))
        if self.card.retire_by < proposal.not_after:
            expected = f"not before the window closes ({proposal.not_after})"
            raise malformed("card.retire_by", expected, str(self.card.retire_by))

    def check_named(self, ledger: "Ledger") -> None:
        """The users exist, and the receipt that the card names. Raises `UserNotAllowed`,
        `ReceiptInvalid`, and what `Constitution.principal` raises."""
        self._check_users(ledger.in_force().constitution)
        receipt = self.card.receipt
        # All else on the card is its author's word.
        if receipt and all(lease.receipt != receipt for lease in ledger.state.leases.values()):
            raise ReceiptInvalid(
                "No release of this log has the receipt that the model's card names.",
                claim="card.receipt",
                actual=receipt,
            )

    def check_user(self, ledger: "Ledger", user: str) -> None:
        """Whether the terms let this user ask: a principal by its id, or a token by its name.

        Principals are those of the constitution in force; a seat that was revoked asks for nothing
        any more. Raises `UserNotAllowed`.
        """
        constitution, revoked = ledger.in_force().constitution, ledger.state.revoked_seats
        known = {p.id: p.organisation for p in constitution.principals if p.id not in revoked}
        match self.users:
            case Roster(users=users):
                allowed = user in users and user in known
            case Members(organisations=organisations):
                allowed = known.get(user, "") in organisations
            case Bearers(tokens=tokens):
                allowed = user in tokens
        if not allowed:
            raise UserNotAllowed(
                "The terms of the service do not let this user ask. Have it proposed with them.",
                claim="users",
                expected="one whom the terms name",
                actual=user,
            )

    def check_left(self, ledger: "Ledger", release: Release, proposal: Signed["Proposal"]) -> None:
        """A service releases nothing."""
        raise malformed("action", "job or federate", self.ACTION)

    def is_spared(self, proposal: "Proposal", times: Times) -> bool:
        """From its review on a service has to be one that would be admitted anew."""
        return times.at_most <= min(self.review, proposal.not_after)

    def holds_until(self, proposal: "Proposal", latest: int) -> int:
        """A service answers all the while, so not beyond its window."""
        return min(latest, proposal.not_after)

    def _check_samples(self) -> None:
        """A sample is a question's, so it is no larger than one."""
        if len(self.samples) > MAX_FIELDS:
            raise malformed("serve.samples", f"at most {MAX_FIELDS}", str(len(self.samples)))
        for name, sample in self.samples.items():
            check_name("serve.samples", name)
            check_range("samples.shape", sample.elements, 1, self.largest_question)

    def _check_users(self, constitution: "Constitution") -> None:
        if isinstance(self.users, Roster):
            for user in self.users.users:
                constitution.principal(user)
        elif isinstance(self.users, Members):
            known = {organisation.id for organisation in constitution.organisations}
            for organisation in self.users.organisations:
                if organisation not in known:
                    raise UserNotAllowed(
                        "The constitution has no such organisation.",
                        claim="users.organisations",
                        expected=", ".join(sorted(known)),
                        actual=organisation,
                    )
