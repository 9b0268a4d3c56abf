# SPDX-License-Identifier: Apache-2.0
"""The authority conducts rounds: whose keys it gives to whom, and what a host can do to it
meanwhile."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.governance.codec import parse_object
from placet.governance.documents import Receipt
from placet.governance.envelope import digest_of, inspect, parse_envelope
from placet.governance.jobs import round_job
from placet.proto.v1 import enclaves_pb2, federations_pb2
from tests.support import rounds
from tests.support.council import seal

Play = Callable[..., None]


def test_a_round_from_its_opening_to_its_model(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        clients = list(federation.terms.roster)
        sent = {c: rounds.Sent.of(rounds.vector(n)) for n, c in enumerate(clients)}
        for client, made in sent.items():
            made.inner = replace(made.inner, weight=7, norm=0.1)
            receipt = await federation.send(client, made)
            entry = federation.verified(receipt.index, receipt.entry, receipt.proof)
            assert (entry["kind"], entry["client"], entry["round"]) == ("update", client, 1)
        closed = await federation.close(1)
        assert closed.job == round_job(federation.digest, 1)

        member = await federation.joined("w1")
        package = await federation.lease(member.keys.identity.digest, 1)
        keys = federation.round_keys(package, member)
        assert keys.base is None
        assert [key.client for key in keys.updates] == clients
        for key in keys.updates:
            made = sent[key.client]
            assert base64.b64decode(key.key) == made.key.to_bytes()
            assert (key.object, key.commitment) == (made.object, made.commitment)
            assert (float.fromhex(key.norm), float.fromhex(key.scale), key.weight) == (0.1, 1.0, 7)
            assert key.organisation == rounds.ORGANISATIONS[key.client]
        assert keys.updates[0].key not in repr(keys)

        released = await federation.release("w1", member, package)
        assert federation.entries("release")[0]["left"] == {}
        model, key = await federation.model(1)
        assert model.receipt == released.receipt
        entry = federation.verified(released.index, model.entry, model.proof)
        assert entry["receipt"] == parse_envelope(model.receipt).digest
        descriptor = inspect(model.receipt, Receipt).predicate.outputs["model"]
        key.verify_commitment(descriptor.commitment)

        await federation.open(ticket=False)
        for client in clients:
            await federation.send(client, rounds.Sent.of(rounds.vector(1)))
        await federation.close(2)
        member = await federation.joined("w2")
        package = await federation.lease(member.keys.identity.digest, 2)
        base = federation.round_keys(package, member).base
        assert base is not None
        assert (base.descriptor, base.stream_key().to_bytes()) == (descriptor, key.to_bytes())

    play(story)


def test_a_round_key_is_durable_together_with_its_round(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        steps = [
            commit
            for commit in federation.host.commits
            if any(parse_object(entry)["kind"] == "open-round" for entry in commit.entries)
        ]
        name = f"round/{federation.digest}/1"
        assert [name in {s.name for s in commit.secrets} for commit in steps] == [True]

    play(story)


def test_the_first_round_takes_the_ticket_and_one_round_is_open_at_a_time(
    scene: Any, federations: Any
) -> None:
    async def story(stage: Any) -> None:
        federation = rounds.Federation(stage, None, rounds=1)
        assert await rounds.refused(federation.open(ticket=False)) == "FEDERATION_NOT_FOUND"
        few = federation.ticket.ballots[2]
        del federation.ticket.ballots[2]
        size = len(stage.host.entries)
        assert await rounds.refused(federation.open()) == "RULE_NOT_MET"
        assert len(stage.host.entries) == size
        federation.ticket.ballots.append(few)
        await federation.open()
        assert await rounds.refused(federation.open()) == "ROUND_OPEN"
        assert await rounds.refused(federation.open(ticket=False)) == "ROUND_OPEN"
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        assert await rounds.refused(federation.open()) == "ROUND_OPEN"  # it is being aggregated
        await federation.aggregate(1)
        assert await rounds.refused(federation.open()) == "FEDERATION_ENDED"

        other = enclaves_pb2.OpenRound(ticket=federation.ticket, federation="sha256:" + "ab" * 32)
        work = stage.host.ask(enclaves_pb2.KIND_OPEN_ROUND, other)
        assert await rounds.refused(work) == "REQUEST_MALFORMED"

    scene(story, federations)


def test_a_worker_of_another_federation_gets_no_lease(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        other = rounds.Federation(stage, None, clip="2")
        await other.open()
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        member = await other.joined("w1")
        work = federation.lease(member.keys.identity.digest, 1)
        assert await rounds.refused(work) == "LAUNCHED_FOR_MISMATCH"

    play(story)


def test_a_client_that_left_sits_out_and_is_let_in_again(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        roster = federation.terms.roster
        await federation.send_all(*roster)
        await federation.close(1)
        await federation.aggregate(1, {"ana": "VALUES_NOT_FINITE"})
        await federation.open()
        sent = rounds.Sent.of(rounds.vector(1))
        assert await rounds.refused(federation.send("ana", sent)) == "CLIENT_QUARANTINED"
        await federation.send_all(*(set(roster) - {"ana"}))
        await federation.close(2)  # nobody waits for ana
        await federation.aggregate(2)
        await federation.open()
        assert [e["client"] for e in federation.entries("lift")] == ["ana"]
        await federation.send("ana", rounds.Sent.of(rounds.vector(1)))
        assert federation.audit().complete

    play(story)


def test_a_void_round_releases_nothing_and_uses_up_its_number(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        name = f"round/{federation.digest}/1"
        wrapped = stage.host.secrets[name]
        await federation.send_all("dia", "eli")  # of one organisation
        closed = await federation.close_in_time(1)
        assert closed.job == ""
        assert await federation.close(1) == closed
        assert federation.entries("close-round")[0]["standing"] == "void"
        assert stage.host.secrets[name] != wrapped
        member = await federation.joined("w1")
        work = federation.lease(member.keys.identity.digest, 1)
        assert await rounds.refused(work) == "ROUND_NOT_OPEN"
        assert await rounds.refused(federation.model(1)) == "MODEL_NOT_RELEASED"
        await federation.open()
        assert federation.opened["round"] == 2
        assert federation.audit().complete

    play(story, round_seconds=1)


def test_too_few_that_stay_release_nothing(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        roster = federation.terms.roster
        await federation.send_all(*roster)
        await federation.close(1)
        all_but_one = dict.fromkeys(roster[1:], "NORM_EXCEEDED")
        few = federation.aggregate(1, all_but_one)
        assert await rounds.refused(few) == "COHORT_TOO_SMALL"  # a model of one organisation
        [lease] = [e["lease"] for e in federation.entries("lease")]
        await federation.end_attempt(lease)
        released = await federation.aggregate(1, all_but_one, released=False)
        assert released.receipt == b""
        assert federation.entries("release")[0]["receipt"] == ""
        assert await rounds.refused(federation.model(1)) == "MODEL_NOT_RELEASED"

    play(story)


def test_after_the_last_attempt_a_round_is_over_and_its_key_gone(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        name = f"round/{federation.digest}/1"
        wrapped = stage.host.secrets[name]
        for attempt in (1, 2):
            assert stage.host.secrets[name] == wrapped
            assert await rounds.refused(federation.open()) == "ROUND_OPEN"
            member = await federation.joined(f"w{attempt}")
            package = await federation.lease(member.keys.identity.digest, 1)
            await federation.end_attempt(parse_envelope(package.lease).digest)
        assert stage.host.secrets[name] != wrapped
        await federation.open()
        assert federation.opened["round"] == 2
        assert federation.audit().complete

    play(story)


def test_a_model_is_for_the_roster_and_the_initial_one_needs_a_live_grant(play: Play) -> None:
    initial = seal(rounds.vector(9).tobytes())

    async def story(stage: Any, federation: Any) -> None:
        _, key = await federation.model(0)
        assert key.to_bytes() == initial.key.to_bytes()
        assert await rounds.refused(federation.model(1)) == "MODEL_NOT_RELEASED"
        assert await rounds.refused(federation.model(0, "zoe")) == "NOT_ON_ROSTER"
        assert await rounds.refused(federation.model(0, "ana", "ben")) == "SIGNATURE_INVALID"
        [grant] = [e["grant"] for e in federation.entries("grant")]
        await stage.record(federation.council.stop("hospital", "withdraw", grant))
        assert await rounds.refused(federation.model(0)) == "GRANT_WITHDRAWN"

    play(story, initial)


def test_without_an_initial_model_there_is_none_to_ask_for(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        assert await rounds.refused(federation.model(0)) == "MODEL_NOT_RELEASED"

    play(story)


def test_a_stop_reaches_the_worker_of_a_round_and_ends_the_taking_in(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        member = await federation.joined("w1")
        package = await federation.lease(member.keys.identity.digest, 1)
        await stage.record(federation.council.stop("s0", "pause", federation.digest))
        while not stage.host.stopped:
            await asyncio.sleep(0.01)
        [(peer, stopped)] = stage.host.stopped
        assert (peer, stopped.lease) == ("w1", parse_envelope(package.lease).digest)
        refused = federation.release("w1", member, package)
        assert await rounds.refused(refused) == "STOPPED"

    play(story)


def test_a_stopped_federation_takes_in_nothing(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        name = f"round/{federation.digest}/1"
        wrapped = stage.host.secrets[name]
        await stage.record(federation.council.stop("s0", "pause", federation.digest))
        assert stage.host.secrets[name] != wrapped
        sent = rounds.Sent.of(rounds.vector(1))
        assert await rounds.refused(federation.send("ana", sent)) == "STOPPED"
        assert await rounds.refused(federation.open()) == "STOPPED"
        closed = await federation.close(1)  # with the entry that ended it
        [ended] = federation.entries("close-round")
        assert parse_object(stage.host.entries[closed.committed.index]) == ended
        assert ended["standing"] == "void"
        assert closed.job == ""
        assert federation.audit().complete

    play(story)


def test_the_initial_model_waits_for_the_round_that_is_charged_for_it(
    scene: Any, federations: Any
) -> None:
    initial = seal(rounds.vector(9).tobytes())

    async def story(stage: Any) -> None:
        await stage.provision(initial, uses=1)
        stage.host.blobs[initial.descriptor.id] = initial.data
        federation = rounds.Federation(stage, initial)
        gate, reached = asyncio.Event(), asyncio.Event()

        async def hold(commit: enclaves_pb2.Commit) -> None:
            reached.set()
            await gate.wait()

        stage.host.on_commit = hold
        opening = asyncio.create_task(federation.open())
        await reached.wait()
        asked = asyncio.create_task(federation.model(0))
        refused = asyncio.create_task(federation.model(7))
        await asyncio.wait([asked, refused, opening], timeout=0.1)
        # Neither what it gives nor what it refuses leaves: both were judged over the round.
        assert not (asked.done() or refused.done() or opening.done())
        gate.set()
        await opening
        _, key = await asked
        assert key.to_bytes() == initial.key.to_bytes()
        assert await rounds.refused(refused) == "MODEL_NOT_RELEASED"
        del stage.host.on_commit
        # The round that hands it out has taken the one use.
        again = rounds.Federation(stage, initial)
        assert await rounds.refused(again.open()) == "GRANT_USED_UP"
        assert await rounds.refused(again.model(0)) == "FEDERATION_NOT_FOUND"

    scene(story, federations)


@pytest.mark.parametrize("end", ["pause", "revoke-seat", "revoke-program", "ballot", "amend"])
def test_whatever_ends_a_round_ends_its_key_and_reservations_in_the_same_step(
    play: Play, end: str
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        host, council = stage.host, federation.council
        await federation.send("ana", rounds.Sent.of(rounds.vector(1)))
        name = f"round/{federation.digest}/1"
        wrapped = host.secrets[name]
        if end == "amend":
            await federation.amend()
        elif end == "ballot":
            [no] = council.ballots(federation.proposal, ("s0",), "non placet", 2)
            await stage.record(no)
        else:
            target = {"pause": federation.digest, "revoke-seat": "s1"}
            target = target.get(end, federation.terms.program)
            await stage.record(council.stop("s0", end, target))
        step = host.commits[-1]
        kinds = [parse_object(entry)["kind"] for entry in step.entries]
        assert kinds[-1] == "close-round" and len(kinds) > 1
        assert name in {secret.name for secret in step.secrets}
        assert host.secrets[name] != wrapped
        [void] = federation.entries("close-round")
        assert void["standing"] == "void"
        assert (await federation.close(1)).job == ""
        report = federation.audit()
        assert report.complete
        assert not report.privacy["ana"].reserved

    play(story)


def test_leases_of_an_earlier_life_are_closed(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        name = f"round/{federation.digest}/1"
        wrapped = stage.host.secrets[name]
        for attempt in (1, 2):
            assert stage.host.secrets[name] == wrapped
            member = await federation.joined(f"w{attempt}")
            await federation.lease(member.keys.identity.digest, 1)
            await stage.end()
            await stage.boot()
            await federation.close(1)
            assert [e["why"] for e in federation.entries("close")] == ["lost"] * attempt
        # No attempt is left, so the round went with the last one.
        assert stage.host.secrets[name] != wrapped
        assert not federation.audit().privacy["ana"].reserved

    play(story)


def test_everything_survives_a_restart_between_any_two_steps(play: Play) -> None:
    initial = seal(rounds.vector(9).tobytes())

    async def story(stage: Any, federation: Any) -> None:
        async def restart() -> None:
            await stage.end()
            await stage.boot()

        clients = federation.terms.roster
        for number in (1, 2):
            sent = dict[str, Any]()
            for client in clients:
                await restart()
                sent[client] = federation.request(client, rounds.Sent.of(rounds.vector(1)))
                await federation.post(sent[client])
            await restart()
            again = await federation.post(sent["ana"])
            federation.verified(again.index, again.entry, again.proof)
            closed = await federation.close(number)
            await restart()
            assert (await federation.close(number)).committed.index == closed.committed.index
            await restart()
            # A lease ends with the life that gave it; the round does not.
            member = await federation.joined(f"lost-{number}")
            package = await federation.lease(member.keys.identity.digest, number)
            keys = federation.round_keys(package, member)
            assert len(keys.updates) == len(clients)
            await restart()
            await federation.close(number)  # or whatever is asked first
            over = federation.end_attempt(parse_envelope(package.lease).digest)
            assert await rounds.refused(over) == "LEASE_CLOSED"
            await restart()
            member = await federation.joined(f"found-{number}")
            package = await federation.lease(member.keys.identity.digest, number)
            again = federation.round_keys(package, member)
            assert (again.base, again.updates) == (keys.base, keys.updates)
            await federation.release(f"found-{number}", member, package)
            await restart()
            await federation.model(number)
            await restart()
            await federation.open(ticket=False)
        assert [e["round"] for e in federation.entries("release")] == [1, 2]
        assert len(federation.entries("update")) == 2 * len(clients)
        assert federation.audit().complete

    play(story, initial)


def test_a_host_that_lost_or_changed_what_it_keeps_gets_no_lease(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        requests = dict[str, federations_pb2.UpdateRequest]()
        for client in federation.terms.roster:
            requests[client] = federation.request(client, rounds.Sent.of(rounds.vector(1)))
            await federation.post(requests[client])
        await federation.close(1)
        await stage.end()
        await stage.boot()  # nothing is in memory now
        member = await federation.joined("w1")
        host, worker = stage.host, member.keys.identity.digest
        sealed = digest_of(requests["ben"].sealed)
        update = parse_envelope(requests["ben"].update).digest
        name = f"round/{federation.digest}/1"
        size = len(host.entries)
        for store, key, reason in (
            (host.documents, update, "DOCUMENT_NOT_FOUND"),
            (host.documents, sealed, "DOCUMENT_NOT_FOUND"),
            (host.secrets, name, "KEY_UNWRAP_REFUSED"),
        ):
            kept = store[key]
            store[key] = kept[:-1] + bytes([kept[-1] ^ 1])
            assert await rounds.refused(federation.lease(worker, 1)) == reason
            del store[key]
            assert await rounds.refused(federation.lease(worker, 1)) == "DOCUMENT_NOT_FOUND"
            store[key] = kept
        assert len(host.entries) == size
        package = await federation.lease(worker, 1)
        assert len(federation.round_keys(package, member).updates) == len(requests)

    play(story)
