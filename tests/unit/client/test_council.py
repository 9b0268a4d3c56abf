# SPDX-License-Identifier: Apache-2.0
"""Founding, proposing, voting and stopping."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from placet.client import CharterDraft, Client, Home, Keys, UsageRefused
from placet.governance.documents import Ballot, Constitution, Job, Seen, new_header
from placet.governance.envelope import sign
from placet.refusals import (
    AppraisalRefused,
    LogEntryInvalid,
    NotPermitted,
    OtherLog,
    Refused,
    SignatureInvalid,
)
from tests.support.inside.relay import Call


def test_a_council_is_founded_by_every_seat(
    client: Client, constitution: Constitution, people: dict[str, Keys], host: Any
) -> None:
    draft = client.founding.draft(constitution)
    assert draft.missing() == ("alice", "bob")
    apart = [client.founding.sign(draft, people[seat]) for seat in ("alice", "bob")]
    draft = CharterDraft.from_bytes(apart[0].merge(apart[1]).to_bytes())
    assert draft.signed_by() == {"alice", "bob"}
    recorded = client.founding.found(draft)
    assert recorded.index == 0
    council = client.council.verify()
    assert council.log == client.log.key == host.signer.verifier_key.to_text()
    assert council.charter.digest == recorded.digest
    assert council.newest.document == constitution


def test_a_draft_that_not_all_have_signed_is_not_sent(
    client: Client, constitution: Constitution, people: dict[str, Keys]
) -> None:
    draft = client.founding.sign(client.founding.draft(constitution), people["alice"])
    with pytest.raises(UsageRefused, match="bob"):
        client.founding.found(draft)


def test_only_seats_sign(
    client: Client, constitution: Constitution, people: dict[str, Keys]
) -> None:
    draft = client.founding.draft(constitution)
    with pytest.raises(NotPermitted):
        client.founding.sign(draft, people["analyst"])


def test_no_charter_for_an_authority_that_is_not_wanted(
    client: Client, constitution: Constitution
) -> None:
    evidence = constitution.evidence
    other = replace(evidence, authority={**evidence.authority, "measurements": ["cc" * 32]})
    with pytest.raises(AppraisalRefused, match="measurement"):
        client.founding.draft(replace(constitution, evidence=other))


def test_proposal_ballots_and_account(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys]
) -> None:
    digest = propose()
    first = founded.council.account(founded.council.ticket(digest))
    assert [r.reason for r in first.refusals]
    founded.council.vote(people["alice"], digest, "abstain")
    founded.council.vote(people["alice"], digest, "placet")
    founded.council.vote(people["bob"], digest, "placet")
    ballots = founded.council.ballots(digest)
    assert [(b.document.seat, b.document.sequence) for b in ballots] == [
        ("alice", 2),
        ("bob", 1),
    ]
    assert [b.document.expires is None for b in ballots] == [False, False]
    assert not founded.council.account(founded.council.ticket(digest)).refusals
    assert [(p.digest, len(p.ballots)) for p in founded.council.proposals()] == [(digest, 2)]


def test_the_ballot_of_a_revoked_seat_does_not_count(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys]
) -> None:
    digest = propose()
    for seat in ("alice", "bob"):
        founded.council.vote(people[seat], digest, "placet")
    ticket = founded.council.ticket(digest)
    assert not founded.council.account(ticket).refusals
    founded.council.stop(people["alice"], "revoke-seat", "bob")
    account = founded.council.account(ticket)
    assert {refusal.reason for refusal in account.refusals} == {"RULE_NOT_MET"}
    assert [b.why for b in account.ballots] == ["", "the seat has been revoked"]


def test_one_record_is_good_for_several_votes(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys], home: Home
) -> None:
    record = founded.council.find(propose())
    founded.council.vote(people["alice"], record, "non placet")
    founded.council.vote(people["alice"], record, "placet")
    with Client.at_home(home) as other:  # which has not read the log
        other.council.vote(people["alice"], record, "abstain")
        other.council.vote(people["bob"], record, "placet")
    votes = [b.document.vote for b in founded.council.ballots(record)]
    assert votes == ["abstain", "placet"]
    assert [b.document.sequence for b in founded.council.ballots(record)] == [3, 1]
    assert len(founded.council.ticket(record).ballots) == 2
    assert record.item.ballots == ()


def test_a_stop_is_recorded_and_a_refusal_says_why(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys]
) -> None:
    digest = propose()
    with pytest.raises(Refused) as refused:
        founded.council.stop(people["alice"], "veto", digest, reason="No.")
    assert refused.value.reason == "NOT_PERMITTED"
    assert refused.value.details["actual"] == "alice"
    assert "seat with a veto" in str(refused.value)
    assert founded.council.stop(people["bob"], "veto", digest).index == 3


def test_a_key_that_is_not_the_seats_signs_nothing(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys]
) -> None:
    digest = propose()
    with pytest.raises(Refused) as refused:
        founded.council.vote(people["analyst"].acting_as("alice"), digest, "placet")
    assert refused.value.reason == SignatureInvalid.reason


def test_what_the_host_says_was_recorded_has_to_be_in_the_log(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys], host: Any
) -> None:
    digest = propose()

    async def pretend(call: Call) -> Any:
        committed = await call.answer()
        committed.index -= 1
        return committed

    host.relay.lie("Governance.Vote", pretend)
    with pytest.raises(LogEntryInvalid, match="another entry there"):
        founded.council.vote(people["alice"], digest, "placet")


def test_an_entry_about_a_document_is_not_its_own(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys], host: Any
) -> None:
    """A ballot's entry names the proposal too, which it does not record."""
    council = founded.council.verify()

    async def pretend(call: Call) -> Any:
        committed = await call.answer()
        ballot = Ballot(
            header=new_header(council.charter.digest, Seen(*host.core.ledger.head())),
            seat="alice",
            proposal=committed.digest,
            constitution=council.newest.digest,
            sequence=1,
            vote="abstain",
            interests="",
            rationale="",
            expires=None,
        )
        call.request.envelope = sign(ballot, people["alice"].signing)
        return await call.answer()

    host.relay.lie("Governance.Propose", pretend)
    with pytest.raises(LogEntryInvalid, match="another entry there"):
        propose()


def test_a_home_belongs_to_one_log(founded: Client, home: Home) -> None:
    with pytest.raises(OtherLog):
        home.memory().pin("sha256:" + "00" * 32)


def test_status_before_and_after_founding(
    client: Client, constitution: Constitution, people: dict[str, Keys]
) -> None:
    before = client.status()
    assert (before.log, before.size) == ("", 0)
    draft = client.founding.draft(constitution)
    for seat in ("alice", "bob"):
        draft = client.founding.sign(draft, people[seat])
    client.founding.found(draft)
    after = client.status()
    assert (after.size, after.evidence, after.marks) == (
        2,
        "simulation",
        ("SIMULATED", "UNWITNESSED"),
    )


def test_audit_judges_everything_again(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys], host: Any
) -> None:
    digest = propose()
    founded.council.vote(people["alice"], digest, "placet")
    report = founded.log.audit()
    assert (report.complete, report.checked) == (True, 4)
    host.withhold(founded.council.ballots(digest)[0].digest)
    report = founded.log.audit()
    assert [one.index for one in report.not_checked] == [3]


def test_an_audit_is_of_the_log_as_it_was_when_it_began(
    founded: Client, propose: Callable[[], str], people: dict[str, Keys], host: Any
) -> None:
    """Another task of the client reads on while the documents come."""
    digest = propose()
    began, read = threading.Event(), threading.Event()

    async def slow(call: Call) -> Any:
        began.set()
        await asyncio.to_thread(read.wait, 30)
        return await call.answer()

    host.relay.lie("Log.GetDocument", slow)
    with ThreadPoolExecutor(1) as pool:
        audit = pool.submit(founded.log.audit)
        assert began.wait(30)
        host.honest()
        founded.council.vote(people["alice"], digest, "placet")
        read.set()
        report = audit.result(30)
    assert (report.complete, report.size) == (True, 3)
    assert founded.log.audit().size == 4


def test_an_audit_asks_for_what_it_judges_by(
    founded: Client, released: str, job: Job, host: Any
) -> None:
    """The entry of a worker names its program, which no judgement takes."""
    asked = list[str]()

    async def counted(call: Call) -> Any:
        asked.append(call.request.digest)
        return await call.answer()

    host.relay.lie("Log.GetDocument", counted)
    founded.log.audit()
    assert founded.runs.get(released).proposal.text in asked
    assert job.program not in asked
