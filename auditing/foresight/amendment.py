# SPDX-License-Identifier: Apache-2.0
"""What would become of a drafted constitution: whether it follows the one in force, whether the
rules let it through, and what it changes beside its words."""

from collections.abc import Iterable
from dataclasses import replace

from placet.auditing.foresight.endings import endings
from placet.auditing.foresight.forecast import Forecast, foresee
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import Amendment, Constitution, Proposal, Seat, Seen, new_header
from placet.governance.envelope import digest_of
from placet.governance.judgements.founding import check_follows
from placet.governance.ledger import Ledger
from placet.governance.rules import Lifetime
from placet.governance.rules.facts import Electorate
from placet.governance.sentences import time_text
from placet.refusals import ConstitutionInvalid, ConstitutionNotSuccessor

_MONTH = 30 * 86400


def foresee_amendment(
    ledger: Ledger, draft: Constitution, by: str, purpose: str, times: Times
) -> Forecast:
    """Of a constitution that shall follow the one in force, proposed for `purpose` by somebody.
    Raises `DocumentNotFound`, and `NotFounded` of a log without a charter."""
    in_force, digest = ledger.in_force(), digest_of(encode(draft))
    found = foresee(ledger, _proposed(ledger, digest, by, purpose, times), times)
    try:
        check_follows(draft, in_force.digest, in_force.constitution)
    except ConstitutionNotSuccessor as refusal:
        found = found.and_final([refusal])
    remarks = [*constitution_remarks(draft, times), *_ends(ledger, draft, times)]
    return replace(found, remarks=(*found.remarks, *remarks))


def constitution_remarks(draft: Constitution, times: Times) -> list[str]:
    """What a constitution allows and perhaps does not mean, by itself."""
    in_office = [seat for seat in draft.seats if seat.term_start <= times.at_most < seat.term_end]
    found = [
        f"The seat {seat.id} is not in office now: its term is from {time_text(seat.term_start)} "
        f"to {time_text(seat.term_end)}."
        for seat in draft.seats
        if seat not in in_office
    ]
    found += _unreachable(draft, in_office)
    if not any(rule.when.actions == "any" or "amend" in rule.when.actions for rule in draft.rules):
        found.append("No rule lets it be amended: whatever it says, it says for good.")
    covered = {label for rule in draft.rules for label in rule.when.labels}
    if not any(rule.when.labels == "any" for rule in draft.rules if _is_of_work(rule.when.actions)):
        found += [
            f"No rule is about data labelled {label}, so no work on such data alone is let through."
            for label in draft.labels
            if label not in covered
        ]
    return found


def _is_of_work(actions: Iterable[str] | str) -> bool:
    return actions == "any" or set(actions) != {"amend"}


def _unreachable(draft: Constitution, in_office: list[Seat]) -> list[str]:
    """Rules that the seats in office could not meet, all of them together."""
    electorate, found = Electorate.of(in_office), list[str]()
    for rule in draft.rules:
        try:
            for demand in rule.demands:
                demand.check(f"rule {rule.id}", electorate)
        except ConstitutionInvalid as refusal:
            found.append(
                f"The seats in office now cannot meet rule {rule.id}: {refusal.details['actual']} "
                f"is demanded, and possible is {refusal.details['expected']}."
            )
    return found


def _ends(ledger: Ledger, draft: Constitution, times: Times) -> list[str]:
    return [ending.sentence for ending in endings(ledger, draft, times)]


def _proposed(ledger: Ledger, digest: str, by: str, purpose: str, times: Times) -> Proposal:
    """The proposal of it, with the longest window that the rules allow."""
    in_force = ledger.in_force()
    longest = [
        demand.seconds
        for rule in in_force.constitution.rules
        if rule.when.applies("amend", purpose, ())
        for demand in rule.demands
        if isinstance(demand, Lifetime)
    ]
    return Proposal(
        header=new_header(ledger.state.charter, Seen(*ledger.head())),
        constitution=in_force.digest,
        proposer=by,
        action="amend",
        purpose=purpose,
        reason="",
        not_before=times.at_most,
        not_after=times.at_most + min(longest, default=_MONTH),
        uses=1,
        body=Amendment(digest),
    )
