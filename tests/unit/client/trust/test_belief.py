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
from placet.governance.codec import encode
from placet.governance.documents import Constitution
from placet.governance.envelope import digest_of, parse_envelope, sign
from placet.governance.jobs import requested_job
from placet.governance.judgements.admission import judge_document
from placet.governance.log import LogProof
from placet.proto.v1 import runs_pb2
from placet.refusals import NotFounded, OtherLog, ReceiptInvalid, RuleNotMet, Stopped, Vetoed

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
    assert not host.provisioned


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
    host.documents[OTHER] = host.documents[founded.log.charter]
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
    home: Home, founded: Client, people: dict[str, Keys], serve: Any, tmp_path: Path, host: Any
) -> None:
    owner = people["owner"]
    made = sealed(tmp_path, owner)
    service = serve()
    with Client.at_home(home) as client:
        grant = client.grants.sign(owner, made.descriptor, _terms())
        with pytest.raises(EvidenceSimulated):
            client.grants.provision(owner, grant, made.open_key(owner.hpke))
        with pytest.raises(EvidenceSimulated):
            client.services.open(service, user=people["analyst"])
    assert not host.provisioned and not host.services.asked
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
    decoy, envelope = _alike(founded, people["analyst"], real, 2)
    host.append(judge_document(host.ledger, envelope, host.times()), {decoy: envelope})
    with pytest.raises(UsageRefused, match="2 proposals of the log"):
        founded.council.find(real[7:9])
    assert founded.council.find(real).digest == real


def _alike(client: Client, keys: Keys, digest: str, digits: int) -> tuple[str, bytes]:
    """Another proposal whose digest begins with the same digits."""
    document = client.council.find(digest).document
    for number in range(100_000):
        nonce = hashlib.sha256(b"%d" % number).hexdigest()[:32]
        other = replace(document, header=replace(document.header, nonce=nonce))
        found = digest_of(encode(other))
        if found[7 : 7 + digits] == digest[7 : 7 + digits]:
            return found, sign(other, keys.signing)
    raise AssertionError("two digits are found in a few hundred tries")


def test_a_job_is_of_the_proposal_that_its_name_says(
    founded: Client, released: str, host: Any, people: dict[str, Keys], propose: Callable[[], str]
) -> None:
    """`cancel JOB` signs no stop of what the host says the job is of."""
    running = founded.runs.proposal(released).digest
    other = propose()
    host.jobs[released].proposal = other
    founded.runs.stop(people["bob"], released, reason="patients object")
    state = host.ledger.state
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

    async def old(request: Any, context: Any) -> runs_pb2.Run:
        found = runs_pb2.Run()
        found.CopyFrom(host.jobs[released])
        found.proposal = new
        return found

    host.runs.Start = old
    with pytest.raises(AnswerMalformed, match="another run"):
        founded.runs.start(founded.council.ticket(new))


def test_the_result_of_another_proposal_is_not_a_jobs(
    founded: Client, released: str, host: Any, people: dict[str, Keys],
    propose: Callable[[], str], tmp_path: Path,
) -> None:  # fmt: skip
    job = requested_job(propose(), bytes(16))
    shown = host.results[job] = host.results[released]
    index, size = LogProof.from_bytes(shown.proof).index, len(host.entries)
    proof = LogProof(index, host.ledger.tree.inclusion_proof(index, size), host.note())
    shown.proof = proof.to_bytes()
    with pytest.raises(ReceiptInvalid, match="another job"):
        founded.jobs.result(job, people["analyst"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_vote_takes_four_calls_and_reads_only_what_is_new(
    home: Home, founded: Client, host: Any, people: dict[str, Keys], propose: Callable[[], str],
    constitution: Constitution,
) -> None:  # fmt: skip
    digest = propose()
    with Client.at_home(home) as client:
        client.council.verify()
    asked = _counted(host)
    with Client.at_home(home) as client:
        client.council.vote(people["alice"], digest, "placet")
    assert len(asked) <= 4, asked
    assert asked[0] == ("GetEntries", len(host.entries) - 1)  # from what this home has seen


def _counted(host: Any) -> list[tuple[str, int]]:
    """Every call from here on, with where it reads on from."""
    asked: list[tuple[str, int]] = []
    read, document, vote = host.GetEntries, host.GetDocument, host.Vote

    async def entries(request: Any, context: Any) -> Any:
        asked.append(("GetEntries", request.start))
        async for answer in read(request, context):
            yield answer

    async def documents(request: Any, context: Any) -> Any:
        asked.append(("GetDocument", 0))
        return await document(request, context)

    async def votes(request: Any, context: Any) -> Any:
        asked.append(("Vote", 0))
        return await vote(request, context)

    async def other(request: Any, context: Any) -> Any:
        raise AssertionError("a vote asks for nothing else")

    host.GetEntries, host.GetDocument, host.Vote = entries, documents, votes
    host.GetCheckpoint = other
    return asked


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
    founded: Client, serve: Any, host: Any, people: dict[str, Keys], action: Any
) -> None:
    """The host goes on describing the worker as if nothing had happened."""
    service = serve()
    with founded.services.open(service, user=people["analyst"]) as model:
        target = {
            "revoke-measurement": host.services.measurement,
            "revoke-seat": "bob",
        }.get(action, service)
        seat = "alice" if action == "revoke-seat" else "bob"
        founded.council.stop(people[seat], action, target)
        with pytest.raises((Stopped, Vetoed, RuleNotMet)):
            founded.services.verify(service)
        with pytest.raises((Stopped, Vetoed, RuleNotMet)):
            founded.services.open(service, user=people["analyst"])
        asked = len(host.services.asked)
    assert len(host.services.asked) == asked == 0, model
