# SPDX-License-Identifier: Apache-2.0
"""An amendment ends the proposals that rest on something it changes, and leaves others alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.auditing.audit import audit
from placet.governance.codec import encode
from placet.governance.documents import (
    Evidence,
    Limits,
    Organisation,
    Party,
    Rule,
    Seat,
    When,
)
from placet.governance.envelope import digest_of
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import admit
from placet.governance.judgements.carried import (
    changes,
    check_carried,
    evidence_for,
    verify_papers,
)
from placet.governance.judgements.standing import check_in_force
from placet.governance.log import sign_checkpoint
from placet.governance.rules import Approvals, Lifetime, Organisations, Role, Uses
from placet.refusals import Refusal
from tests.support.world import MEASUREMENT

T0 = 1_800_000_000
DAY = 86400
PROGRAM = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32

Change = Callable[[Any], dict[str, Any]]


def listed(field: str, id: str, **changes: Any) -> Change:
    """One of the seats or parties is another."""

    def change(world: Any) -> dict[str, Any]:
        named = {k: (world.key(v).public,) if k == "keys" else v for k, v in changes.items()}
        found = getattr(world.constitution, field)
        return {field: tuple(replace(one, **named) if one.id == id else one for one in found)}

    return change


def worker(**changes: Any) -> Change:
    """The evidence policy of workers is another."""

    def change(world: Any) -> dict[str, Any]:
        evidence = world.constitution.evidence
        return {"evidence": Evidence(evidence.authority, {**evidence.worker, **changes})}

    return change


def authority(world: Any) -> dict[str, Any]:
    evidence = world.constitution.evidence
    return {"evidence": Evidence({**evidence.authority, "smt": False}, evidence.worker)}


def rules(change: Callable[[Any, Any], tuple[Rule, ...]]) -> Change:
    return lambda world: {"rules": change(world, world.constitution.rules)}


def less(field: str, id: str) -> Change:
    return lambda w: {field: tuple(one for one in getattr(w.constitution, field) if one.id != id)}


def one_more(role: str) -> Change:
    def change(world: Any) -> dict[str, Any]:
        new = Seat("new-d", "org-d", role, (world.key("new-d").public,), T0 - DAY, T0 + 9 * DAY)
        return {"seats": (*world.constitution.seats, new)}

    return change


def about(purposes: Any) -> Rule:
    """A rule with the fewest demands that one can have."""
    needed = (Approvals(1), Organisations(1), Lifetime(9 * DAY), Uses(9))
    return Rule("more", "More", When(("job",), purposes, "any"), needed)


MEASURED = (MEASUREMENT, f"{'22' * 32}={PROGRAM}")

# By what changes: what the proposal rests on that does.
ENDS: dict[str, tuple[Change, str]] = {
    "the authority's evidence": (authority, "the evidence of the authority"),
    "the workers' evidence": (worker(smt=False), "the evidence of its workers"),
    "a worker for any program": (
        worker(measurements=[*MEASURED, "33" * 32]), "the evidence of its workers",
    ),
    "another worker for this program": (
        worker(measurements=[*MEASURED, f"{'33' * 32}={PROGRAM}"]), "the evidence of its workers",
    ),
    "a demand less": (rules(lambda w, r: (w.varied(r[0], without=(Role,)), r[1])), "rule health"),
    "a rule more": (rules(lambda _, r: (*r, about("any"))), "rule more"),
    "a rule less": (rules(lambda _, r: (r[1],)), "rule health"),
    "other keys of a seat that has voted": (
        listed("seats", "second-a", keys="thief"), "who second-a is",
    ),
    "another role of a seat that has voted": (
        listed("seats", "second-a", role="dpo"), "who second-a is",
    ),
    "a seat that has voted is gone": (less("seats", "second-a"), "who second-a is"),
    "another organisation of the proposer": (
        listed("parties", "lab", organisation="org-a"), "who lab is",
    ),
    "other keys of the owner": (listed("parties", "owner-b", keys="thief"), "who owner-b is"),
}  # fmt: skip

LEAVES: dict[str, Change] = {
    "a name": lambda _: {"name": "Another name"},
    "limits": lambda _: {"limits": Limits(lease_seconds=10, join_seconds=20)},
    "a label more": lambda w: {"labels": (*w.constitution.labels, "genomes")},
    "an organisation more": lambda w: {
        "organisations": (*w.constitution.organisations, Organisation("org-e", "E"))
    },
    "a party more": lambda w: {
        "parties": (*w.constitution.parties, Party("new", "org-a", (w.key("new").public,)))
    },
    "a rule about another purpose": rules(lambda _, r: (*r, about(("care",)))),
    "a title": rules(lambda _, r: (replace(r[0], title="Otherwise"), r[1])),
    "a longer term": listed("seats", "ethics-c", term_end=T0 + 999 * DAY),
    "a seat more": one_more("chair"),
    "other keys of a seat that has not voted": listed("seats", "third-a", keys="new"),
    "a seat less that has not voted": less("seats", "third-a"),
    "a worker for another program": worker(measurements=[*MEASURED, f"{'33' * 32}={OTHER}"]),
}


@pytest.fixture
def voted(founded: Any) -> Any:
    """A council with a proposal in the log that three seats have approved."""
    third = replace(
        founded.constitution.seats[3], id="third-a", keys=(founded.key("third-a").public,)
    )
    seats = (*founded.constitution.seats, third)
    founded.amend(seats=seats, **worker(measurements=list(MEASURED))(founded))
    founded.give(approvals=())
    founded.asked = founded.proposal(uses=3)
    founded.record(founded.asked, "lab")
    for seat in ("second-a", "data-b", "ethics-c"):
        founded.record(founded.ballot(seat, digest(founded)), seat)
    return founded


def digest(world: Any) -> str:
    return digest_of(encode(world.asked))


def ticket(world: Any, **others: bytes) -> Ticket:
    """The proposal with the ballots that the log has, and others."""
    standing = world.ledger.state.proposals[digest(world)].standing.ballots()
    ballots = tuple(world.store[ballot.digest] for ballot in standing)
    return Ticket(world.signed(world.asked, "lab"), (*ballots, *others.values()))


def told(call: Callable[[], object]) -> str:
    """The reason for which a call is refused, or ""."""
    try:
        call()
    except Refusal as refusal:
        return str(refusal.reason)
    return ""


def admitted(world: Any) -> str:
    return told(lambda: admit(world.ledger, ticket(world), "j", world.times))


def standing(world: Any) -> str:
    return told(lambda: check_in_force(world.ledger, world.ledger.proposal(digest(world))))


def on_paper(world: Any) -> str:
    """What a worker is told that holds the constitutions of this log, and the ticket."""
    chain = {d: world.ledger.constitution(d) for d in world.ledger.state.constitutions}

    def read() -> None:
        papers = verify_papers(ticket(world), chain, world.name)
        check_carried(chain, world.digest, *papers)

    return told(read)


@pytest.mark.parametrize("case", ENDS)
def test_what_a_proposal_rests_on_ends_it_for_good(voted: Any, case: str) -> None:
    change, named = ENDS[case]
    before = voted.constitution
    voted.amend(**change(voted))
    with pytest.raises(Refusal, match=f"An amendment has changed .*{named}") as refused:
        check_in_force(voted.ledger, voted.ledger.proposal(digest(voted)))
    assert refused.value.reason == "OTHER_CONSTITUTION"
    assert on_paper(voted) == "OTHER_CONSTITUTION"
    ballot = voted.ballot("chair-a", digest(voted), sequence=2)
    assert told(lambda: voted.record(ballot, "chair-a")) == "OTHER_CONSTITUTION"
    # Another amendment that undoes the first brings nothing back.
    fields = ("seats", "parties", "rules", "evidence")
    voted.amend(**{name: getattr(before, name) for name in fields})
    assert standing(voted) == on_paper(voted) == admitted(voted) == "OTHER_CONSTITUTION"


@pytest.mark.parametrize("case", LEAVES)
def test_any_other_amendment_leaves_it_with_its_ballots(voted: Any, case: str) -> None:
    voted.amend(**LEAVES[case](voted))
    voted.give(approvals=())  # an owner is stricter: a seat more suspends the grant
    assert standing(voted) == on_paper(voted) == admitted(voted) == ""
    lease = voted.lease(ticket(voted), voted.join(), "job-1")
    voted.release(lease["lease"])
    voted.amend(name="Once more")
    assert standing(voted) == on_paper(voted) == ""
    audited = audit(
        voted.entries, voted, voted.name, sign_checkpoint(voted.head(), voted.signer),
        attest=voted.attest,
    )  # fmt: skip
    assert audited.complete


def test_votes_of_before_and_after_count_together(founded: Any) -> None:
    founded.give(approvals=())
    founded.asked = founded.proposal()
    founded.record(founded.asked, "lab")
    for seat in ("chair-a", "data-b"):
        founded.record(founded.ballot(seat, digest(founded)), seat)
    founded.amend(name="Another name")
    assert admitted(founded) == "RULE_NOT_MET"
    founded.record(founded.ballot("ethics-c", digest(founded)), "ethics-c")
    assert admitted(founded) == on_paper(founded) == ""
    # From now on it rests on the third seat too.
    founded.amend(**listed("seats", "data-b", keys="thief")(founded))
    assert standing(founded) == "OTHER_CONSTITUTION"


def test_a_new_seat_says_no_to_what_was_carried_to_it(voted: Any) -> None:
    voted.amend(**one_more("dpo")(voted))
    voted.give(approvals=())
    assert admitted(voted) == ""
    voted.record(voted.ballot("new-d", digest(voted), "non placet"), "new-d")
    assert admitted(voted) == "VETOED"


def test_a_key_that_was_replaced_says_nothing_new(voted: Any) -> None:
    """Its ballot is signed well, and names the constitution that listed the key."""
    late = voted.signed(voted.ballot("third-a", digest(voted)), "third-a")
    voted.amend(**listed("seats", "third-a", keys="new")(voted))
    voted.give(approvals=())

    def asked() -> object:
        return admit(voted.ledger, ticket(voted, late=late), "j", voted.times)

    assert told(asked) == "SIGNATURE_INVALID"
    asked_first = voted.signed(
        voted.proposal(constitution=voted.ledger.state.constitutions[0]), "lab"
    )
    unknown = Ticket(asked_first, ())
    assert told(lambda: admit(voted.ledger, unknown, "j", voted.times)) == "OTHER_CONSTITUTION"


def test_a_newer_ballot_of_the_seat_brings_nothing_back(voted: Any) -> None:
    """The seat's old ballot would no longer stand, and with it what the amendment has changed."""
    voted.amend(**listed("seats", "second-a", keys="new")(voted))
    voted.give(approvals=())
    late = voted.signed(voted.ballot("second-a", digest(voted), sequence=2), "new")

    def asked() -> object:
        return admit(voted.ledger, ticket(voted, late=late), "j", voted.times)

    assert told(asked) == "OTHER_CONSTITUTION"


def test_a_recipient_who_is_gone_ends_it(voted: Any) -> None:
    reader = replace(voted.asked.body.recipients[0], id="reader")
    asked = replace(voted.asked, body=replace(voted.asked.body, recipients=(reader,)))
    party = Party("reader", "org-d", (voted.key("reader").public,))
    before = replace(voted.constitution, parties=(*voted.constitution.parties, party))
    assert changes(before, voted.constitution, asked, ()) == ("who reader is",)
    assert changes(before, voted.constitution, voted.asked, ()) == ()


def test_a_ballot_is_no_proposal(voted: Any) -> None:
    asked = voted.signed(voted.asked, "lab")
    assert told(lambda: admit(voted.ledger, Ticket(asked, (asked,)), "j", voted.times)) != ""


def test_a_proposal_to_amend_ends_with_any_amendment(founded: Any) -> None:
    successor = replace(
        founded.constitution, version=2, predecessor=founded.digest, name="Never in force"
    )
    founded.asked = founded.proposal(
        proposer="chair-a", action="amend", purpose="order", body=founded.amendment(successor)
    )
    founded.record(founded.asked, "chair-a")
    founded.amend(name="In force")
    assert standing(founded) == "OTHER_CONSTITUTION"


def test_a_label_that_is_listed_no_more_ends_it(founded: Any) -> None:
    rule, amend = founded.constitution.rules
    rules_ = (replace(rule, when=replace(rule.when, labels="any")), amend)
    before = replace(founded.constitution, rules=rules_)
    after = replace(before, labels=("public",))
    proposal = founded.proposal()
    assert changes(before, after, proposal, ()) == ("the labels of its data",)
    assert changes(after, before, proposal, ()) == ("the labels of its data",)
    assert changes(before, replace(before, labels=("health",)), proposal, ()) == ()


def test_evidence_is_read_as_far_as_it_is_about_a_program() -> None:
    policy = {"measurements": MEASURED, "launched_for": [PROGRAM, OTHER], "smt": "any"}
    assert evidence_for(policy, [OTHER]) == {
        "measurements": [MEASUREMENT], "launched_for": [OTHER], "smt": "any",
    }  # fmt: skip
    assert evidence_for({"launched_for": "any"}, []) == {"launched_for": "any"}
