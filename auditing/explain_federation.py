# SPDX-License-Identifier: Apache-2.0
"""The terms of a federation as sentences, made from the same object that is judged."""

from collections.abc import Iterable

from placet.governance.documents.federation import AggregationRule, Krum, Mean, Median
from placet.governance.documents.work.federate import Federate
from placet.governance.sentences import listed
from placet.governance.text import quoted


def explain_federation(terms: Federate) -> list[str]:
    """A federation: what clients may send, how it is aggregated, and who gets it."""
    layout, start = terms.layout, "a vector of zeros"
    if terms.model is not None:
        start = f"the object {terms.model.object.digest}, owned by {terms.model.owner}"
    lines = [
        (
            f"It would train a model of {layout.elements} numbers over {terms.rounds} round(s), "
            f"from {start}."
        ),
        (
            f"These clients may each send one update a round, as {layout.encoding}: "
            f"{', '.join(terms.roster)}."
        ),
        f"The clients' data carries the labels {', '.join(terms.labels) or '(none)'}.",
        (
            f"A round is open for {terms.round_seconds} seconds, or until every client has sent "
            "its update."
        ),
        (
            f"A round releases nothing unless updates of at least {terms.smallest_cohort} "
            "organisations count; against clients that collude only noise protects."
        ),
        f"An update is cut to length {terms.clip}, and counts for at most {terms.largest_weight}.",
        f"Changes of a coordinate below {terms.step:.1e} count as none.",
        _rule(terms.rule),
        *_noise(terms),
        *_buffers(terms),
        f"The result, times {terms.rate}, is added to the model.",
        (
            "A client whose update breaks these terms is left out, "
            f"and sits out the next {terms.quarantine_rounds} round(s)."
        ),
        "A round's model goes to every client of the roster that asks for it, and to nobody else.",
        (
            f"The aggregation of a round may be tried {terms.attempts} time(s), each for "
            f"{terms.deadline_seconds} seconds."
        ),
    ]
    return lines


def _rule(rule: AggregationRule) -> str:
    match rule:
        case Mean():
            return "The updates are averaged, each by its weight."
        case Median():
            return "The median over the updates is taken of each number."
        case Krum():
            if rule.selected == 1:
                return (
                    "The one update that is closest to its neighbours is taken as it is: "
                    "whoever gets the model can read that client's update from it."
                )
            return (
                f"The {rule.selected} updates closest to their neighbours are averaged, "
                f"against {rule.byzantine} client(s) that lie."
            )
        case _:
            return (
                f"The highest and the lowest {rule.trimmed_percent} percent of each number are "
                "left out, and the rest is averaged."
            )


def _noise(terms: Federate) -> list[str]:
    if terms.noise is None:
        return ["No noise is added: a model costs privacy without bound."]
    added = f"Gaussian noise of {terms.noise} times {terms.clip} is added to the sum of the updates"
    if terms.spared:
        spared = _named(terms.ruled("mean-without-noise"))
        return [
            f"{added}, but none to the arrays {spared}.",
            (
                f"What a model says of {spared} is hidden by nothing, so that each model costs "
                "privacy without bound: no epsilon holds for it, whatever the noise on the rest."
            ),
        ]
    return [f"{added}, and each client whose update counts is charged for every model released."]


def _buffers(terms: Federate) -> list[str]:
    told: list[str] = []
    if kept := terms.ruled("keep"):
        told.append(f"The arrays {_named(kept)} stay as the model has them, whatever clients send.")
    if home := terms.ruled("home"):
        told.append(f"Each client keeps its own arrays {_named(home)}: no update has them.")
    return told


def _named(names: Iterable[str]) -> str:
    return listed(map(quoted, names))
