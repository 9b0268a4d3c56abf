# SPDX-License-Identifier: Apache-2.0
"""The authority conducts rounds: what it takes in, whose keys it gives to whom, and what a host can do to it meanwhile."""

import asyncio
import base64
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from placet.governance import contexts
from placet.governance.codec import parse_object
from placet.governance.documents import Receipt
from placet.governance.envelope import digest_of, inspect, parse_envelope
from placet.governance.log import VerifierKey, leaf_hash, verify_proof
from placet.governance.rounds import round_job
from placet.proto.refusals import PeerRefused
from placet.proto.v1 import enclaves_pb2, federations_pb2
from placet.sealing import HPKEPrivateKey

Play = Callable[..., None]


def verified(federation: Any, index: int, entry: bytes, proof: bytes) -> dict[str, Any]:
    """An entry that is shown to be in the log."""
    verify_proof(proof, leaf_hash(entry), VerifierKey.from_text(federation.council.log))
    assert federation.host.entries[index] == entry
    return parse_object(entry)


def test_a_round_from_its_opening_to_its_model(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        clients = list(federation.terms.roster)
        sent = {c: rounds.Sent.of(rounds.vector(n)) for n, c in enumerate(clients)}
        for client, made in sent.items():
            made.inner = replace(made.inner, weight=7, norm=0.1)
            receipt = await federation.send(client, made)
            entry = verified(federation, receipt.index, receipt.entry, receipt.proof)
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
            assert key.organisation == rounds.organisations[key.client]
        assert keys.updates[0].key not in repr(keys)

        released = await federation.release("w1", member, package)
        assert federation.entries("aggregate")[0]["left"] == {}
        model, key = await federation.model(1)
        assert model.receipt == released.receipt
        entry = verified(federation, released.index, model.entry, model.proof)
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


def test_no_key_of_a_client_is_kept_in_the_clear(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        sent = rounds.Sent.of(rounds.vector(1))
        await federation.send("ana", sent)
        host = federation.host
        stored = b"".join([*host.entries, *host.documents.values(), *host.secrets.values()])
        assert sent.key.to_bytes() not in stored
        assert base64.b64encode(sent.key.to_bytes()) not in stored

    play(story)


def test_a_round_key_is_durable_together_with_its_round(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        steps = [
            commit
            for commit in federation.host.commits
            if any(parse_object(entry)["kind"] == "open" for entry in commit.entries)
        ]
        name = f"round/{federation.digest}/1"
        assert [name in {s.name for s in commit.secrets} for commit in steps] == [True]

    play(story)


def test_the_first_round_takes_the_ticket_and_one_round_is_open_at_a_time(
    scene: Any, rounds: Any, federations: Any
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


def test_the_same_update_again_gets_the_same_receipt_and_another_is_a_duplicate(
    play: Play, rounds: Any
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        request = federation.request("ana", rounds.Sent.of(rounds.vector(1)))
        first = await federation.post(request)
        size = len(stage.host.entries)
        again = await federation.post(request)
        assert (again.index, again.entry) == (first.index, first.entry)
        verified(federation, again.index, again.entry, again.proof)
        another = federation.request("ana", rounds.Sent.of(rounds.vector(2)))
        assert await rounds.refused(federation.post(another)) == "UPDATE_DUPLICATE"
        assert len(stage.host.entries) == size

        await federation.send_all(*(set(federation.terms.roster) - {"ana"}))
        await federation.close(1)
        await federation.aggregate(1)
        await federation.open()
        size = len(stage.host.entries)
        # A replay in a later round changes nothing: it is the old round's update still.
        assert (await federation.post(request)).index == first.index
        header = federation.document("ana", rounds.Sent.of(rounds.vector(1)), b"").header
        replayed = replace(header, nonce=inspect_nonce(request))
        made = federation.request("ana", rounds.Sent.of(rounds.vector(2)), header=replayed)
        assert await rounds.refused(federation.post(made)) == "DOCUMENT_REPLAYED"
        assert len(stage.host.entries) == size

    play(story)


def test_an_update_is_in_the_log_once_however_often_it_is_sent_at_once(
    play: Play, rounds: Any
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await stage.end()
        await stage.boot()  # so that each of them has to wait for what is not at hand
        request = federation.request("ana", rounds.Sent.of(rounds.vector(1)))
        found = await asyncio.gather(*(federation.post(request) for _ in range(5)))
        assert len({receipt.index for receipt in found}) == 1
        others = [federation.request("ben", rounds.Sent.of(rounds.vector(n))) for n in range(5)]
        answers = await asyncio.gather(*map(federation.post, others), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, PeerRefused)]
        assert [refusal.reason for refusal in refused] == ["UPDATE_DUPLICATE"] * 4
        assert len(federation.entries("update")) == 2

    play(story)


def test_no_receipt_is_given_before_the_update_is_durable(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        gate, reached = asyncio.Event(), asyncio.Event()

        async def hold(commit: enclaves_pb2.Commit) -> None:
            reached.set()
            await gate.wait()

        request = federation.request("ana", rounds.Sent.of(rounds.vector(1)))
        stage.host.on_commit = hold
        first = asyncio.create_task(federation.post(request))
        await reached.wait()
        again = asyncio.create_task(federation.post(request))
        await asyncio.wait([first, again], timeout=0.05)
        assert not first.done()
        assert not again.done()
        gate.set()
        assert (await first).index == (await again).index

    play(story)


def test_a_worker_of_another_federation_gets_no_lease(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        other = rounds.Federation(stage, None, clip="2")
        await other.open()
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        member = await other.joined("w1")
        work = federation.lease(member.keys.identity.digest, 1)
        assert await rounds.refused(work) == "BOUND_TO_MISMATCH"

    play(story)


def inspect_nonce(request: federations_pb2.UpdateRequest) -> str:
    return str(parse_object(parse_envelope(request.update).payload)["header"]["nonce"])


def _changed(field: str, value: Any) -> Callable[[Any, Any], dict[str, Any]]:
    def change(federation: Any, sent: Any) -> dict[str, Any]:
        return {"inner": replace(sent.inner, **{field: value}).pack()}

    return change


def _info(*changed: str | int) -> Callable[[Any, Any], dict[str, Any]]:
    """Sealed for another federation, round, client or stream."""

    def change(federation: Any, sent: Any) -> dict[str, Any]:
        own = (federation.digest, 1, "ana", sent.object)
        parts: list[Any] = [other or mine for other, mine in zip(changed, own, strict=True)]
        return {"info": contexts.update_info(*parts)}

    return change


_ELSEWHERE = "sha256:" + "ab" * 32
_REFUSED: dict[str, tuple[str, Callable[[Any, Any], dict[str, Any]]]] = {
    "off the roster": ("NOT_ON_ROSTER", lambda f, s: {"client": "zoe", "signer": "zoe"}),
    "in another's name": ("SIGNATURE_INVALID", lambda f, s: {"signer": "ben"}),
    "another federation": ("FEDERATION_NOT_FOUND", lambda f, s: {"federation": _ELSEWHERE}),
    "another round": ("ROUND_NOT_OPEN", lambda f, s: {"round": 2}),
    "another layout": ("UPDATE_MALFORMED", lambda f, s: {"layout": _ELSEWHERE}),
    "a bound that no model without noise is within": (
        "PRIVACY_BUDGET",
        lambda f, s: {"epsilon": "100", "delta": "1e-6"},
    ),
    "no weight": ("UPDATE_MALFORMED", _changed("weight", 0)),
    "too much weight": ("UPDATE_MALFORMED", _changed("weight", 1001)),
    "the most weight there is": ("UPDATE_MALFORMED", _changed("weight", 2**32 - 1)),
    "a norm that is none": ("UPDATE_MALFORMED", _changed("norm", math.nan)),
    "an infinite norm": ("UPDATE_MALFORMED", _changed("norm", math.inf)),
    "a negative norm": ("UPDATE_MALFORMED", _changed("norm", -1.0)),
    "a scale of its own": ("UPDATE_MALFORMED", _changed("scale", 2.0)),
    "a scale that is none": ("UPDATE_MALFORMED", _changed("scale", math.nan)),
    "another length": ("UPDATE_MALFORMED", lambda f, s: {"inner": s.inner.pack() + b"x"}),
    "nothing sealed": ("UPDATE_MALFORMED", lambda f, s: {"inner": b""}),
    "another stream's key": ("KEY_COMMITMENT_MISMATCH", _changed("key", bytes(32))),
    "another commitment": ("KEY_COMMITMENT_MISMATCH", lambda f, s: {"commitment": "ab" * 32}),
    "another round's key": (
        "ENVELOPE_KEY_MISMATCH",
        lambda f, s: {"to": HPKEPrivateKey.generate().public.to_text()},
    ),
    "sealed for another federation": ("ENVELOPE_FORGED", _info(_ELSEWHERE, 0, "", "")),
    "sealed for another round": ("ENVELOPE_FORGED", _info("", 2, "", "")),
    "sealed for another client": ("ENVELOPE_FORGED", _info("", 0, "ben", "")),
    "sealed for another stream": ("ENVELOPE_FORGED", _info("", 0, "", "ab" * 16)),
    "another envelope named": ("UPDATE_MALFORMED", lambda f, s: {"sealed": _ELSEWHERE}),
}


def test_what_is_wrong_with_an_update_refuses_it_and_changes_nothing(
    play: Play, rounds: Any
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        size = len(stage.host.entries)
        found = dict[str, str]()
        for name, (_, change) in _REFUSED.items():
            sent = rounds.Sent.of(rounds.vector(1))
            request = federation.request(
                **{"client": "ana", "sent": sent, **change(federation, sent)}
            )
            found[name] = await rounds.refused(federation.post(request))
        assert found == {name: reason for name, (reason, _) in _REFUSED.items()}
        assert len(stage.host.entries) == size
        garbage = federations_pb2.UpdateRequest(update=b"{}", sealed=b"x")
        assert await rounds.refused(federation.post(garbage)) == "DOCUMENT_MALFORMED"
        await federation.send("ana", rounds.Sent.of(rounds.vector(1)))

    play(story)


def test_an_update_after_the_close_does_not_count(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await federation.send_all("ana", "ben")
        assert await rounds.refused(federation.close(2)) == "ROUND_NOT_OPEN"
        await federation.close_in_time(1)
        late = rounds.Sent.of(rounds.vector(1))
        assert await rounds.refused(federation.send("cem", late)) == "ROUND_NOT_OPEN"
        assert len(federation.entries("cohort")[0]["counted"]) == 2

    play(story, round_seconds=1)


def test_a_client_that_left_sits_out_and_is_let_in_again(play: Play, rounds: Any) -> None:
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


def test_a_void_round_releases_nothing_and_uses_up_its_number(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        name = f"round/{federation.digest}/1"
        wrapped = stage.host.secrets[name]
        await federation.send_all("dia", "eli")  # of one organisation
        closed = await federation.close_in_time(1)
        assert closed.job == ""
        assert await federation.close(1) == closed
        assert federation.entries("cohort")[0]["standing"] == "void"
        assert stage.host.secrets[name] != wrapped
        member = await federation.joined("w1")
        work = federation.lease(member.keys.identity.digest, 1)
        assert await rounds.refused(work) == "ROUND_NOT_OPEN"
        assert await rounds.refused(federation.model(1)) == "MODEL_NOT_RELEASED"
        await federation.open()
        assert federation.opened["round"] == 2
        assert federation.audit().complete

    play(story, round_seconds=1)


def test_too_few_that_stay_release_nothing(play: Play, rounds: Any) -> None:
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
        assert federation.entries("aggregate")[0]["receipt"] == ""
        assert await rounds.refused(federation.model(1)) == "MODEL_NOT_RELEASED"

    play(story)


def test_after_the_last_attempt_a_round_is_over_and_its_key_gone(play: Play, rounds: Any) -> None:
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


def test_a_model_is_for_the_roster_and_the_initial_one_needs_a_live_grant(
    play: Play, rounds: Any, kit: Any
) -> None:
    initial = kit.seal(rounds.vector(9).tobytes())

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


def test_without_an_initial_model_there_is_none_to_ask_for(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        assert await rounds.refused(federation.model(0)) == "MODEL_NOT_RELEASED"

    play(story)


def test_a_stop_reaches_the_worker_of_a_round_and_ends_the_taking_in(
    play: Play, rounds: Any
) -> None:
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


def test_a_stopped_federation_takes_in_nothing(play: Play, rounds: Any) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await stage.record(federation.council.stop("s0", "pause", federation.digest))
        sent = rounds.Sent.of(rounds.vector(1))
        assert await rounds.refused(federation.send("ana", sent)) == "STOPPED"
        assert await rounds.refused(federation.open()) == "ROUND_OPEN"

    play(story)


def test_everything_survives_a_restart_between_any_two_steps(
    play: Play, rounds: Any, kit: Any
) -> None:
    initial = kit.seal(rounds.vector(9).tobytes())

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
            verified(federation, again.index, again.entry, again.proof)
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
            await federation.end_attempt(parse_envelope(package.lease).digest)
            await restart()
            member = await federation.joined(f"found-{number}")
            package = await federation.lease(member.keys.identity.digest, number)
            assert federation.round_keys(package, member) == keys
            await federation.release(f"found-{number}", member, package)
            await restart()
            await federation.model(number)
            await restart()
            await federation.open(ticket=False)
        assert [e["round"] for e in federation.entries("aggregate")] == [1, 2]
        assert len(federation.entries("update")) == 2 * len(clients)
        assert federation.audit().complete

    play(story, initial)


def test_a_host_that_lost_or_changed_what_it_keeps_gets_no_lease(play: Play, rounds: Any) -> None:
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
