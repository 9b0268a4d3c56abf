# SPDX-License-Identifier: Apache-2.0
"""Rounds: how they open, who may send, what closes them."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from placet.governance.codec import encode
from placet.governance.documents import Layout, Tensor
from placet.governance.envelope import digest_of
from placet.governance.evaluate import Ticket
from placet.governance.jobs import round_job
from placet.governance.judgements.federation import judge_update, logged_update
from placet.sealing import HPKEPrivateKey

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


def test_rounds_follow_one_another_and_end(federation: Any, refused: Any, audited: Any) -> None:
    for number in range(1, 5):
        entry = federation.round("ana-a", "cem-b")
        assert (entry["round"], entry["job"]) == (number, round_job(federation.digest, number))
        assert federation.state.models[number] == entry["lease"] == federation.state.model
    refused("FEDERATION_ENDED", federation.open)
    audited(federation)


def test_one_round_is_under_way_at_a_time(federation: Any, refused: Any, audited: Any) -> None:
    federation.open()
    refused("ROUND_OPEN", federation.open)
    federation.send("ana-a")
    federation.send("cem-b")
    federation.later(601)
    federation.close()
    refused("ROUND_OPEN", federation.open)
    lease = federation.lease()
    refused("ROUND_OPEN", federation.open)
    federation.world.close(lease["lease"])
    assert federation.settle() is None
    refused("ROUND_OPEN", federation.open)  # an attempt is left
    again = federation.lease()
    assert again["attempt"] == 2
    assert federation.settle() is None
    federation.world.close(again["lease"])
    assert federation.settle()["standing"] == "void"  # no attempt is left: it changed nothing
    assert federation.settle() is None
    federation.open()
    assert [r.status for r in federation.state.rounds] == ["void", "open"]
    assert federation.state.model == ""
    audited(federation)


def test_a_round_opens_under_a_ticket_that_is_valid(federation: Any, refused: Any) -> None:
    few = Ticket(federation.ticket.proposal, federation.ticket.ballots[:1])
    whole, federation.ticket = federation.ticket, few
    refused("RULE_NOT_MET", federation.open)
    federation.ticket = whole
    federation.open()
    federation.world.record(federation.world.stop("data-b", "pause", federation.digest), "data-b")
    federation.settle()
    assert federation.state.current.status == "void"
    refused("STOPPED", lambda: federation.send("ana-a"))
    refused("ROUND_NOT_OPEN", federation.close)
    refused("STOPPED", federation.open)


def test_no_round_opens_after_the_window(federation: Any, refused: Any) -> None:
    federation.round("ana-a", "cem-b")
    federation.later(2 * 86400)
    refused("TICKET_EXPIRED", federation.open)


def test_an_update_is_taken_once_and_found_again(federation: Any, refused: Any) -> None:
    federation.open()
    envelope = federation.world.signed(federation.update("ana-a"), "ana-a")
    assert logged_update(federation.ledger, envelope) is None
    signed, entry = judge_update(federation.ledger, envelope, federation.world.times)
    index = federation.ledger.tree.size
    federation.world.add(entry, envelope)
    logged = logged_update(federation.ledger, envelope)
    assert logged is not None
    assert (logged.digest, logged.index) == (signed.digest, index)
    times = federation.world.times
    refused("DOCUMENT_REPLAYED", lambda: judge_update(federation.ledger, envelope, times))
    refused("UPDATE_DUPLICATE", lambda: federation.send("ana-a"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"round": 2}, "ROUND_NOT_OPEN"),
        ({"layout": "sha256:" + "00" * 32}, "UPDATE_MALFORMED"),
        ({"federation": "sha256:" + "00" * 32}, "FEDERATION_NOT_FOUND"),
    ],
)
def test_an_update_for_something_else_is_refused(
    federation: Any, changes: dict[str, Any], reason: str, refused: Any
) -> None:
    federation.open()
    refused(reason, lambda: federation.send("ana-a", **changes))
    assert federation.state.current.updates == {}


def test_only_the_roster_sends_and_each_for_itself(federation: Any, refused: Any) -> None:
    federation.open()
    refused("NOT_ON_ROSTER", lambda: federation.send("lab"))
    refused("SIGNATURE_INVALID", lambda: federation.send("ana-a", signer="ben-a"))


def test_an_update_comes_in_time(federation: Any, refused: Any) -> None:
    federation.open()
    federation.later(600)
    federation.send("ana-a")
    federation.later(1)
    refused("ROUND_NOT_OPEN", lambda: federation.send("cem-b"))


def test_a_round_closes_early_only_when_everybody_has_sent(federation: Any, refused: Any) -> None:
    federation.open()
    for client in CLIENTS[:-1]:
        federation.send(client)
        refused("ROUND_OPEN", federation.close)
    federation.send(CLIENTS[-1])
    entry = federation.close()
    assert entry["standing"] == "closed"
    assert entry["counted"] == [u.digest for u in federation.state.current.updates.values()]
    refused("ROUND_NOT_OPEN", federation.close)
    refused("ROUND_NOT_OPEN", lambda: federation.send("ana-a"))


def test_the_smallest_cohort_counts_organisations(
    federation: Any, refused: Any, audited: Any
) -> None:
    federation.open()
    federation.send("ana-a")
    federation.send("ben-a")
    federation.later(601)
    assert federation.close()["standing"] == "void"
    refused("ROUND_NOT_OPEN", federation.lease)
    federation.open()
    assert federation.state.current.number == 2
    audited(federation)


def test_two_proposals_of_the_same_terms_share_workers_and_nothing_else(
    world: Any, federation: Any, audited: Any
) -> None:
    first = federation.round("ana-a", "cem-b")
    proposal = world.proposal(
        action="federate", uses=federation.terms.rounds, body=federation.terms
    )
    federation.proposal, federation.ticket = proposal, world.ticket(proposal)
    federation.digest = digest_of(encode(proposal))
    second = federation.round("ana-a", "cem-b")
    assert (first["round"], second["round"]) == (1, 1)
    assert first["proposal"] != second["proposal"]
    audited(federation)


def test_a_lease_is_of_the_closed_round_and_of_a_worker_for_these_terms(
    federation: Any, refused: Any
) -> None:
    federation.open()
    refused("ROUND_NOT_OPEN", federation.lease)
    federation.send("ana-a")
    federation.send("cem-b")
    federation.later(601)
    federation.close()
    world, job = federation.world, round_job(federation.digest, 1)
    for launched_for in (
        federation.terms.program,
        federation.digest,
        replace(federation.terms, clip="2").launch_digest,
    ):
        other = world.join(f"for {launched_for}", launched_for)
        refused("LAUNCHED_FOR_MISMATCH", partial(world.lease, federation.ticket, other, job))
    worker = world.join("for the terms", federation.terms.launch_digest)
    for wrong in ("job-1", round_job(federation.digest, 2)):
        refused("ROUND_NOT_OPEN", partial(world.lease, federation.ticket, worker, wrong))
    assert world.lease(federation.ticket, worker, job)["job"] == job
