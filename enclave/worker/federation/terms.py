# SPDX-License-Identifier: Apache-2.0
"""Between a federation's terms, as its proposal has them, and the pipeline: shapes, rules, and the
names of reasons."""

from collections.abc import Sequence
from typing import Final

from placet.enclave.worker.federation.aggregate import Aggregate, CohortLeft, aggregate
from placet.enclave.worker.federation.noise import Noise
from placet.enclave.worker.federation.rules import Krum, Mean, Median, Rule, Trimmed
from placet.enclave.worker.federation.updates import Fault, Shape, Update
from placet.governance.documents import Federate
from placet.governance.documents import federation as documents

# The wire's name of why an update does not count. Bytes that change between two readings are bytes
# that nobody sealed.
REASONS: Final = {
    Fault.LENGTH: "STREAM_LENGTH",
    Fault.HEADER: "STREAM_HEADER_MALFORMED",
    Fault.SEGMENT_FORGED: "SEGMENT_FORGED",
    Fault.CHANGED: "SEGMENT_FORGED",
    Fault.NONFINITE: "VALUES_NOT_FINITE",
    Fault.NORM_EXCEEDED: "NORM_EXCEEDED",
}


def shape_of(terms: Federate) -> Shape:
    """The shape of the vectors, as far as the pipeline has to know it."""
    layout = terms.layout
    return Shape(layout.elements, layout.encoding, layout.segment_bytes)


def aggregate_by(
    terms: Federate, updates: Sequence[Update], *, noise: Noise | None, threads: int
) -> Aggregate:
    """Aggregate by the terms' rule. Raises `CohortLeft` where too few organisations are left,
    and only then.

    How much a trimmed mean trims depends on how many updates there are: where so many leave that
    too few would be left of it, those who stay are aggregated anew. The terms make sure that every
    rule is defined for the smallest cohort.
    """
    left, staying = dict[str, str](), list(updates)
    while True:
        try:
            result = aggregate(
                staying,
                shape_of(terms),
                rule_of(terms, len(staying)),
                smallest=terms.smallest_cohort,
                threads=threads,
                noise=noise,
            )
        except CohortLeft as refusal:
            lost = refusal.left
            staying = [update for update in staying if update.client not in lost]
            lost.update(left)
            if len({update.organisation for update in staying}) < terms.smallest_cohort:
                raise
            left = lost
        else:
            result.left.update({client: Fault(fault) for client, fault in left.items()})
            for place in terms.kept:  # the model's own values stay, whatever was sent
                result.sums[place] = 0
            return result


def rule_of(terms: Federate, updates: int) -> Rule:
    """The pipeline's rule, for so many updates."""
    match terms.rule:
        case documents.Mean():
            return Mean()
        case documents.Median():
            return Median()
        case documents.TrimmedMean():
            return Trimmed(terms.rule.trimmed(updates))
        case documents.Krum():
            return Krum(terms.rule.selected, terms.rule.byzantine)
