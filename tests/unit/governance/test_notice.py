# SPDX-License-Identifier: Apache-2.0
"""Notice is time in the log: nobody is let in before it has passed, and no paper shows it."""

from typing import Any

import pytest

from placet.auditing.audit import AuditReport, audit
from placet.auditing.explain import explain_account
from placet.governance.account import Logged, Times
from placet.governance.codec import encode
from placet.governance.envelope import digest_of
from placet.governance.evaluate import evaluate
from placet.governance.judgements.admission import admit
from placet.governance.judgements.standing import check_stands
from placet.governance.ledger import Ledger
from placet.governance.log import Checkpoint, Tree, leaf_hash, sign_checkpoint
from placet.governance.rules import Notice
from placet.refusals import LogEntryInvalid, RuleNotMet

T0 = 1_800_000_000
NOTICE = 600


@pytest.fixture
def noticed(world: Any) -> Any:
    """A log whose rules demand notice, of amendments too."""
    rules = (world.varied(rule, Notice(NOTICE)) for rule in world.constitution.rules)
    world.constitution = world.make_constitution(rules=tuple(rules))
    world.found().boot()
    world.give()
    return world


def test_paper_says_which_demand_it_does_not_show(noticed: Any) -> None:
    ticket, now = noticed.ticket(), Times(T0, T0)
    account = evaluate(ticket, noticed.in_force(), now)
    (unknown,) = account.not_judged
    assert (unknown.demand, unknown.required) == ("seconds of notice", "at least 600")
    said = "\n".join(explain_account(account))
    assert "lets it through as far as paper shows." in said
    assert (
        "Its demand of at least 600 seconds of notice was not judged: "
        "it takes when the proposal was entered, which only the log shows."
    ) in said
    logged = Logged(Times(T0 - NOTICE, T0 - NOTICE))
    by_log = evaluate(ticket, noticed.in_force(), now, logged)
    assert (by_log.not_judged, by_log.refusals) == ((), ())
    assert "as far as paper shows" not in "\n".join(explain_account(by_log))


@pytest.mark.parametrize(
    ("entered", "now", "found"),
    [
        ((0, 0), (NOTICE, NOTICE), ""),
        ((0, 0), (NOTICE - 1, NOTICE - 1), "599"),
        ((0, 0), (NOTICE - 1, NOTICE + 50), "599"),
        ((0, 5), (NOTICE, NOTICE), "595"),
        ((0, 50), (10, 60), "0"),
    ],
)
def test_notice_counts_from_the_later_reading_to_the_earlier(
    noticed: Any, entered: tuple[int, int], now: tuple[int, int], found: str
) -> None:
    proposal = noticed.proposal()
    noticed.times = Times(T0 + entered[0], T0 + entered[1])
    noticed.record(proposal, "lab")
    noticed.times = Times(T0 + now[0], T0 + now[1])
    ticket = noticed.ticket(proposal)
    if not found:
        admit(noticed.ledger, ticket, "j", noticed.times)
        return
    with pytest.raises(RuleNotMet) as refusal:
        admit(noticed.ledger, ticket, "j", noticed.times)
    assert refusal.value.details["claim"] == "seconds of notice"
    assert refusal.value.details["actual"] == found


def test_a_bundle_that_brings_its_proposal_has_given_no_notice(noticed: Any) -> None:
    with pytest.raises(RuleNotMet) as refusal:
        admit(noticed.ledger, noticed.ticket(), "j", noticed.times)
    assert refusal.value.details["actual"] == "0"


def test_whoever_replays_or_audits_the_log_judges_alike(noticed: Any) -> None:
    proposal = noticed.proposal()
    noticed.record(proposal, "lab")
    noticed.times = Times(T0 + NOTICE, T0 + NOTICE)
    noticed.lease(noticed.ticket(proposal), noticed.join())
    replayed = Ledger(noticed)
    replayed.replay_all(noticed.entries, noticed.head())
    signed = replayed.proposal(digest_of(encode(proposal)))
    with pytest.raises(RuleNotMet):
        check_stands(replayed, signed, "", Times(T0 + NOTICE - 1, T0 + NOTICE - 1))
    assert audited(noticed, noticed.entries).complete


def test_an_audit_finds_the_lease_of_an_authority_that_waited_too_little(noticed: Any) -> None:
    proposal = noticed.proposal()
    noticed.record(proposal, "lab")
    known = noticed.ledger.state.proposals[digest_of(encode(proposal))]
    known.logged = Logged(Times(T0 - 1, T0 - 1))  # so it tells itself
    noticed.times = Times(T0 + NOTICE - 1, T0 + NOTICE - 1)
    noticed.lease(noticed.ticket(proposal), noticed.join())
    with pytest.raises(LogEntryInvalid, match="seconds of notice"):
        audited(noticed, noticed.entries)


def audited(world: Any, entries: list[bytes]) -> AuditReport:
    tree = Tree(map(leaf_hash, entries))
    head = Checkpoint(world.signer.verifier_key.name, tree.size, tree.root())
    return audit(
        entries, world, world.name, sign_checkpoint(head, world.signer), attest=world.attest
    )


def test_an_amendment_gives_notice_like_anything_else(noticed: Any) -> None:
    with pytest.raises(RuleNotMet) as refusal:
        noticed.amend(name="In haste")
    assert refusal.value.details["rule"] == "amend"
