# SPDX-License-Identifier: Apache-2.0
"""Whom a client believes: the council whose charter it was told, and the log below that charter;
never the host's choice."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.client import (
    AnswerMalformed,
    Client,
    EvidenceSimulated,
    Home,
    Keys,
    SealedObject,
    SettingMissing,
    UsageRefused,
    seal_file,
)
from placet.client.links import CouncilLink, spoken
from placet.governance.codec import encode, parse_object
from placet.governance.documents import Constitution
from placet.governance.envelope import digest_of, parse_envelope, sign
from placet.governance.jobs import requested_job
from placet.proto.v1 import runs_pb2
from placet.refusals import (
    LogEntryInvalid,
    NotFounded,
    OtherLog,
    ReceiptInvalid,
    RuleNotMet,
    Stopped,
    Vetoed,
)
from tests.support.inside.questions import Questions
from tests.support.inside.relay import Call

DAY = 86400
OTHER = "sha256:" + "c4" * 32


@pytest.fixture
def newcomer(founded: Client, served: tuple[str, str], tmp_path: Path) -> Home:
    """The home of somebody who knows where the host is, and not which council is theirs."""
    home = Home(tmp_path / "newcomer")
    home.configure(*served)
    return home


def sealed(folder: Path, owner: Keys) -> SealedObject:
    """An owner's data, sealed at home."""
    (folder / "rows").write_bytes(b"name,diagnosis")
    recipient = owner.hpke.public
    return seal_file(folder / "rows", folder / "rows.sealed", recipient, kind="dataset", labels=())


def test_without_a_charter_nothing_of_the_hosts_is_believed(
    newcomer: Home, people: dict[str, Keys], host: Any, tmp_path: Path
) -> None:
    """A host shows a council of its making: an owner who was told no charter gives it no key."""
    owner = people["owner"]
    made = sealed(tmp_path, owner)
    with Client.at_home(newcomer, simulated=True) as client:
        for call in (
            client.council.verify,
            client.log.checkpoint,
            client.council.proposals,
            client.log.audit,
            client.authority.verify,
            lambda: client.grants.sign(owner, made.descriptor, None),  # type: ignore[arg-type]
            lambda: client.council.stop(owner, "withdraw", OTHER),
            lambda: client.federations.join(OTHER, owner),
            lambda: client.services.verify(OTHER),
            lambda: client.services.open(OTHER, user=owner),
        ):
            with pytest.raises(SettingMissing, match="charter"):
                call()
        assert "charter" in client.status().evidence
    assert "Keys.Provision" not in host.called


def test_the_charter_that_another_member_has_told_is_believed(
    newcomer: Home, founded: Client, served: tuple[str, str]
) -> None:
    newcomer.configure(*served, founded.log.charter)
    with Client.at_home(newcomer) as client:
        assert client.council.verify() == founded.council.verify()
    with pytest.raises(OtherLog):
        newcomer.configure(*served, OTHER)
    with Client.connect(*served, charter=founded.log.charter) as client:
        assert client.council.verify() == founded.council.verify()


def test_the_host_of_another_council_is_found_out(
    newcomer: Home, served: tuple[str, str], host: Any, founded: Client
) -> None:
    newcomer.configure(*served, OTHER)
    with Client.at_home(newcomer) as client, pytest.raises(NotFounded, match="another council"):
        client.council.verify()
    # It gives its own charter under the digest that was asked for.

    async def lie(call: Call) -> Any:
        if call.request.digest == OTHER:
            call.request.digest = founded.log.charter
        return await call.answer()

    host.relay.lie("Log.GetDocument", lie)
    with Client.at_home(newcomer) as client, pytest.raises(NotFounded, match="another council"):
        client.council.verify()


def test_a_link_says_host_pin_and_charter() -> None:
    link = CouncilLink("[::1]:7433", "sha256:" + "ab" * 32, OTHER)
    assert CouncilLink.from_text(f" {link}\n") == link
    assert spoken(OTHER) == "c4c4 c4c4 c4c4 c4c4 c4c4 c4c4"
    for wrong in ("", "placet://host", str(link)[:-1], str(link) + "0", "http" + str(link)[6:]):
        with pytest.raises(UsageRefused):
            CouncilLink.from_text(wrong)


def test_simulated_evidence_gets_no_secret_unless_that_is_said(
    home: Home, founded: Client, people: dict[str, Keys], serve: Any, tmp_path: Path, host: Any,
    questions: Questions,
) -> None:  # fmt: skip
    owner = people["owner"]
    made = sealed(tmp_path, owner)
    service = serve()
    host.called.clear()
    with Client.at_home(home) as client:
        grant = client.grants.sign(owner, made.descriptor, _terms())
        with pytest.raises(EvidenceSimulated):
            client.grants.provision(owner, grant, made.open_key(owner.hpke))
        with pytest.raises(EvidenceSimulated):
            client.services.open(service, user=people["analyst"])
    assert "Keys.Provision" not in host.called and not questions.sent
    founded.grants.provision(owner, grant, made.open_key(owner.hpke))


def _terms() -> Any:
    from placet.client import GrantTerms

    anything: Any = "any"
    return GrantTerms(
        anything, anything, anything, anything, anything, None, "any", (), "any", "any",
        int(time.time()) + DAY, False,
    )  # fmt: skip


def test_a_decoy_that_the_host_lists_alone_is_not_what_a_short_name_means(
    founded: Client, host: Any, people: dict[str, Keys], propose: Callable[[], str]
) -> None:
    """A proposer grinds a second proposal whose digest begins alike. Both are in the log, so the
    start names neither."""
    real = propose()
    decoy = _alike(founded, people["analyst"], real, 2)

    async def swapped(call: Call) -> Any:
        call.request.envelope = decoy
        return await call.answer()

    host.relay.lie("Governance.Propose", swapped)
    with pytest.raises(LogEntryInvalid):  # the proposer's own client is not lied to
        propose()
    with pytest.raises(UsageRefused, match="2 proposals of the log"):
        founded.council.find(real[7:9])
    assert founded.council.find(real).digest == real


def _alike(client: Client, keys: Keys, digest: str, digits: int) -> bytes:
    """Another proposal whose digest begins with the same digits."""
    document = client.council.find(digest).document
    for number in range(100_000):
        nonce = hashlib.sha256(b"%d" % number).hexdigest()[:32]
        other = replace(document, header=replace(document.header, nonce=nonce))
        found = digest_of(encode(other))
        if found[7 : 7 + digits] == digest[7 : 7 + digits]:
            return sign(other, keys.signing)
    raise AssertionError("two digits are found in a few hundred tries")


def test_a_job_is_of_the_proposal_that_its_name_says(
    founded: Client, released: str, host: Any, people: dict[str, Keys], propose: Callable[[], str]
) -> None:
    """`cancel JOB` signs no stop of what the host says the job is of."""
    running = founded.runs.proposal(released).digest
    other = propose()

    async def lie(call: Call) -> Any:
        told = await call.answer()
        told.proposal = other
        return told

    host.relay.lie("Runs.Get", lie)
    founded.runs.stop(people["bob"], released, reason="patients object")
    state = host.state
    assert state.proposals[running].stopped == "cancel"
    assert not state.proposals[other].stopped
    assert (
        founded.runs.get(released).proposal.text == other
    )  # the host's word, of a type of its own
    for wrong in ("", "job-1", "0" * 40, "0" * 40 + "-1"):
        with pytest.raises(UsageRefused):
            founded.runs.stop(people["bob"], wrong)


def test_the_job_of_another_proposal_is_not_taken_for_the_one_submitted(
    founded: Client, released: str, host: Any, people: dict[str, Keys], propose: Callable[[], str]
) -> None:
    """The host answers with a job of long ago, whose result would pass for the new one's."""
    new = propose()
    for seat in ("alice", "bob"):
        founded.council.vote(people[seat], new, "placet")

    async def old(call: Call) -> Any:
        found = await call.other("Runs.Get", runs_pb2.GetRunRequest(id=released))
        found.proposal = new
        return found

    host.relay.lie("Runs.Start", old)
    with pytest.raises(AnswerMalformed, match="another run"):
        founded.runs.start(founded.council.ticket(new))


def test_the_result_of_another_proposal_is_not_a_jobs(
    founded: Client, released: str, host: Any, people: dict[str, Keys],
    propose: Callable[[], str], tmp_path: Path,
) -> None:  # fmt: skip
    job = requested_job(propose(), bytes(16))

    async def lie(call: Call) -> Any:
        call.request.id = released
        return await call.answer()

    host.relay.lie("Jobs.Result", lie)
    with pytest.raises(ReceiptInvalid, match="another job"):
        founded.jobs.result(job, people["analyst"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_vote_takes_four_calls_and_reads_only_what_is_new(
    home: Home, founded: Client, host: Any, people: dict[str, Keys], propose: Callable[[], str],
    constitution: Constitution,
) -> None:  # fmt: skip
    digest = propose()
    with Client.at_home(home, keys=people["alice"]) as client:
        client.council.verify()
        client.runs.list(1)  # logs in, which lasts
    starts = list[int]()

    async def read(call: Call) -> Any:
        starts.append(call.request.start)
        async for answer in call.forward():
            yield answer

    host.relay.lie("Log.GetEntries", read)
    host.called.clear()
    with Client.at_home(home) as client:
        client.council.vote(people["alice"], digest, "placet")
    assert len(host.called) <= 4, host.called
    # From what this home has seen.
    assert (host.called[0], starts[0]) == ("Log.GetEntries", len(host.entries) - 1)
    assert set(host.called) <= {"Log.GetEntries", "Log.GetDocument", "Governance.Vote"}


def test_ballots_and_stops_of_the_log_are_seen_whatever_the_host_leaves_out(
    founded: Client, host: Any, people: dict[str, Keys], propose: Callable[[], str]
) -> None:
    digest = propose()
    ballot = founded.council.vote(people["bob"], digest, "non placet")
    founded.council.stop(people["alice"], "pause", digest)
    record = founded.council.find(digest)
    assert [b.digest for b in founded.council.ballots(record)] == [ballot.digest]
    assert [b.digest for b in record.item.ballots] == [ballot.digest]
    assert record.item.stopped == "pause"
    assert founded.log.ledger().state.proposals[digest].stopped == "pause"
    assert parse_envelope(record.proposal.envelope).digest == digest


@pytest.mark.parametrize("action", ["revoke-measurement", "pause", "veto", "revoke-seat"])
def test_a_worker_that_the_log_has_stopped_is_asked_nothing(
    founded: Client, serve: Any, host: Any, questions: Questions, people: dict[str, Keys],
    action: Any,
) -> None:  # fmt: skip
    """The host goes on describing the worker as if nothing had happened."""
    service = serve()
    with founded.services.open(service, user=people["analyst"]) as model:
        questions.kept, host.workers[-1].deaf = questions.told, True
        joined = [e for e in map(parse_object, host.entries) if e["kind"] == "join"]
        target = {
            "revoke-measurement": joined[-1]["measurement"],
            "revoke-seat": "bob",
        }.get(action, service)
        seat = "alice" if action == "revoke-seat" else "bob"
        founded.council.stop(people[seat], action, target)
        with pytest.raises((Stopped, Vetoed, RuleNotMet)):
            founded.services.verify(service)
        with pytest.raises((Stopped, Vetoed, RuleNotMet)):
            founded.services.open(service, user=people["analyst"])
    assert questions.sent == 0, model
