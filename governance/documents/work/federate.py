# SPDX-License-Identifier: Apache-2.0
"""A proposal of action "federate" asks for this.

Everything a round is decided by is here, so that nobody decides it later: the vectors' layout, who
may take part, how many have to, how far one of them can reach, and what is done with whoever breaks
the terms.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from placet.governance.checks import (
    check_decimal,
    check_distinct,
    check_identifier,
    check_name,
    check_range,
)
from placet.governance.codec import malformed
from placet.governance.documents.federation import (
    FEDERATED_AVERAGE,
    LIMIT,
    MAX_ROSTER,
    MODEL,
    AggregationRule,
    BufferRule,
    Layout,
    Mean,
    TrimmedMean,
)
from placet.governance.documents.lease import Release
from placet.governance.documents.privacy import Cost
from placet.governance.documents.rule import Action
from placet.governance.documents.work.body import Body
from placet.governance.documents.work.parts import MAX_ATTEMPTS, Input, Output, Recipient, Scalar
from placet.governance.envelope import Signed
from placet.refusals import CohortTooSmall, OutputUndeclared

if TYPE_CHECKING:
    from placet.governance.documents.constitution import Constitution
    from placet.governance.documents.proposal import Proposal
    from placet.governance.ledger import Ledger
    from placet.governance.state import State

# Why an update may turn out not to count, by what its stream holds or by its not being there.
LEFT_REASONS = frozenset(
    {
        "VALUES_NOT_FINITE",
        "NORM_EXCEEDED",
        "SEGMENT_FORGED",
        "STREAM_LENGTH",
        "STREAM_HEADER_MALFORMED",
        "UPDATE_NOT_FETCHED",
    }
)
_SUM_BOUND = 2**62
_MODEL_BYTES = 4  # of a coordinate of the model: always float32


@dataclass(frozen=True, slots=True)
class Federate(Body):
    """The terms of a federation.

    model: the initial model, a float32 vector in an object of its owner's; null: all zeros. labels:
    of the data that clients train on. roster: the principals that may send updates.
    smallest_cohort: organisations whose updates must count. round_seconds: how long a round is
    open. clip: bound of an update's L2 norm. noise: standard deviation of the noise on the sum, in
    units of clip; null: none. largest_weight: the most that an update may count for. rate: what the
    aggregate is multiplied by before it is added to the model. quarantine_rounds: how many rounds a
    client sits out after an update that broke the terms. clip, noise and rate are decimal text.
    buffers: rules for arrays that are no weights, by name; all others are averaged.
    """

    ACTION: ClassVar[Action] = "federate"
    CHOSEN_KEYS: ClassVar[bool] = True

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
    buffers: dict[str, BufferRule] = field(default_factory=lambda: dict[str, BufferRule]())

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
        self._check_buffers()
        if len(self.roster) * self.largest_weight * LIMIT >= _SUM_BOUND:
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
        """The outputs that a round releases."""
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
    def given(self) -> tuple[Input, ...]:
        return () if self.model is None else (self.model,)

    @property
    def own_labels(self) -> tuple[str, ...]:
        return self.labels

    @property
    def contributors(self) -> tuple[str, ...]:
        return self.roster

    @property
    def audience(self) -> tuple[str, ...]:
        return self.roster

    def update_charges(self, state: "State", proposal: str) -> dict[str, Cost]:
        updates = state.federation(proposal).current.updates
        return {client: update.charge for client, update in updates.items()}

    def check_proposed(self, proposal: "Proposal") -> None:
        if proposal.uses != self.rounds:
            raise malformed("uses", f"{self.rounds}, one a round", str(proposal.uses))

    def check_named(self, ledger: "Ledger") -> None:
        """The clients exist, and are of enough organisations. Raises `CohortTooSmall`, and what
        `Constitution.principal` raises."""
        found = organisations(ledger.in_force().constitution, self.roster)
        if found < self.smallest_cohort:
            raise CohortTooSmall(
                "The roster is of fewer organisations than a round needs.",
                claim="smallest_cohort",
                expected=f"at most {found}",
                actual=str(self.smallest_cohort),
            )

    def check_job(self, state: "State", proposal: str, job: str) -> None:
        state.federation(proposal).closed_round(job)

    def check_left(self, ledger: "Ledger", release: Release, proposal: Signed["Proposal"]) -> None:
        """Who left was of the cohort, for a known reason.

        With enough organisations left there is a model, and else there is none.
        """
        lease = ledger.state.leases[release.lease]
        current = ledger.state.federation(proposal.digest).closed_round(lease.job)
        for client, reason in release.left.items():
            if client not in current.updates or reason not in LEFT_REASONS:
                raise OutputUndeclared(
                    "The release leaves out who was not of the cohort, or for no known reason.",
                    claim="left",
                    expected="a client of the cohort, and a known reason",
                    actual=client,
                )
        under = ledger.constitution(proposal.document.constitution)
        stay = organisations(under, current.updates.keys() - release.left.keys())
        if (stay >= self.smallest_cohort) != bool(release.outputs):
            raise CohortTooSmall(
                "A model takes enough organisations, and with enough of them there has to be one.",
                claim="outputs",
                expected=f"at least {self.smallest_cohort} organisations",
                actual=f"{stay} organisations, {len(release.outputs)} output(s)",
            )

    def round_of(self, state: "State", proposal: str) -> tuple[int, int]:
        number = state.federation(proposal).current.number
        return number, number + 1 + self.quarantine_rounds

    @property
    def clipping_bound(self) -> Fraction:
        """`clip` as a number."""
        return Fraction(self.clip)

    @property
    def step(self) -> float:
        """What a coordinate of an update has at least to count for anything: `clip` is so many of
        these integers' steps as LIMIT."""
        return float(self.clipping_bound / LIMIT)

    @property
    def sigma(self) -> int:
        """Standard deviation of the noise, in the integers' unit, rounded up; 0 for none."""
        return 0 if self.noise is None else math.ceil(Fraction(self.noise) * LIMIT)

    def ruled(self, rule: BufferRule) -> tuple[str, ...]:
        """The arrays that have this rule."""
        return tuple(sorted(name for name, found in self.buffers.items() if found == rule))

    @property
    def kept(self) -> list[slice]:
        """Where the vector stays as the model has it."""
        return self.layout.slices(self.ruled("keep"))

    @property
    def spared(self) -> list[slice]:
        """Where the vector gets no noise, though the rest does: no epsilon covers this."""
        return self.layout.slices(self.ruled("mean-without-noise"))

    def _check_buffers(self) -> None:
        federated = {tensor.name for tensor in self.layout.tensors}
        for name, rule in self.buffers.items():
            check_name("federate.buffers", name)
            if rule == "home" and name in federated:
                raise malformed(f"buffers.{name}", "no array of the layout, to stay at home", rule)
            if rule != "home" and name not in federated:
                raise malformed(f"buffers.{name}", "an array of the layout", "none of this name")
        if self.spared and self.noise is None:
            name = self.ruled("mean-without-noise")[0]
            raise malformed(f"buffers.{name}", "mean, where there is no noise", self.buffers[name])
        if set(self.ruled("keep")) == federated:
            raise malformed("buffers", "an array that is learned", "keep for each")

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
        fewest = self.rule.fewest
        if self.smallest_cohort < fewest:
            expected = f"at least {fewest} for the rule {self.rule.rule}"
            raise malformed("federate.smallest_cohort", expected, str(self.smallest_cohort))
        if isinstance(self.rule, TrimmedMean) and not self.rule.trimmed(self.smallest_cohort):
            expected = "large enough to trim anything from the smallest cohort"
            raise malformed("rule.trimmed_percent", expected, str(self.rule.trimmed_percent))
        if not isinstance(self.rule, Mean) and self.largest_weight != 1:
            raise malformed("federate.largest_weight", "1 for this rule", str(self.largest_weight))


def organisations(constitution: "Constitution", clients: Iterable[str]) -> int:
    """How many organisations these clients belong to: one that enrols twice counts once.

    By the constitution that they took part under: no later one makes two of one.
    """
    return len({constitution.principal(client).organisation for client in clients})
