# SPDX-License-Identifier: Apache-2.0
"""The authority against a host that drops, delays, replays, forges and changes what it was given to
keep."""

import asyncio
import base64
import io
import json
import os
import secrets
import time
from dataclasses import replace
from typing import Any

import pytest

from placet.enclave.authority import main
from placet.enclave.authority.clock import Clock
from placet.enclave.authority.service import Authority
from placet.enclave.peer import BootKeys
from placet.enclave.worker.joining import Membership, join
from placet.governance import contexts
from placet.governance.documents import Lease, Limits, Release
from placet.governance.documents.lease import answer_header, output_id
from placet.governance.entries.table import KINDS
from placet.governance.envelope import inspect, parse_envelope, sign
from placet.governance.jobs import job_name
from placet.proto.refusals import error_of
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, jobs_pb2, keys_pb2
from placet.refusals import AuthorityUnavailable, Refused
from placet.sealing import (
    ObjectDescriptor,
    StreamKey,
    open_envelope,
    padded_length,
    seal_envelope,
    seal_stream,
)
from tests.support.council import Council, Sealed, seal
from tests.support.machines.machine import Machine

PROGRAM = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


async def refused(work: Any) -> str:
    with pytest.raises(Refused) as error:
        await work
    return error.value.reason


async def joined(stage: Any, name: str = "w1", program: str = PROGRAM) -> Membership:
    connection = await stage.connect(name)
    attester = stage.machine.attester("worker", program)
    return await join(connection, attester, program, int(time.time()))


def lease_request(ticket: Any, member: Membership, job: str = "j1") -> enclaves_pb2.LeaseRequest:
    name = job_name(parse_envelope(ticket.proposal).digest, job)
    return enclaves_pb2.LeaseRequest(ticket=ticket, worker=member.keys.identity.digest, job=name)


async def lease(stage: Any, ticket: Any, member: Membership, job: str = "j1") -> Any:
    request = lease_request(ticket, member, job)
    reply = await stage.host.ask(enclaves_pb2.KIND_LEASE, request)
    return enclaves_pb2.LeasePackage.FromString(reply)


def release_of(
    member: Membership,
    package: Any,
    *,
    size: int = 100,
    names: tuple[str, ...] = ("out",),
    **changed: Any,
) -> enclaves_pb2.ReleaseRequest:
    """A release as a worker makes it."""
    key, descriptors = StreamKey.generate(), dict[str, ObjectDescriptor]()
    lease = parse_envelope(package.lease).digest
    for name in names:
        plain = io.BytesIO(bytes(padded_length(size)))
        output = output_id(lease, name, key.commitment)
        descriptors[name] = seal_stream(
            plain, io.BytesIO(), key, kind="result", labels=(), object_id=output
        )
    release = Release(
        header=answer_header(inspect(package.lease, Lease), lease, Release.KIND),
        lease=lease,
        worker=member.keys.identity.digest,
        outputs=descriptors,
        left={},
    )
    envelope = sign(replace(release, **changed), member.keys.signing)
    info = contexts.release_info(parse_envelope(envelope).digest)
    sealed = seal_envelope(key.to_bytes(), member.authority.hpke, info)
    return enclaves_pb2.ReleaseRequest(release=envelope, key_envelope=sealed)


async def ready(stage: Any, **terms: Any) -> tuple[Any, Membership, Any]:
    """A sealed object with its key provisioned, a joined worker, a ticket."""
    sealed = seal(b"plain")
    await stage.provision(sealed)
    member = await joined(stage)
    return sealed, member, stage.council.ticket(PROGRAM, {"data": sealed.descriptor}, **terms)


def test_a_lease_brings_the_keys_to_its_worker_alone(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        info = contexts.lease_info(parse_envelope(package.lease).digest)
        keys = json.loads(open_envelope(package.key_envelope, member.keys.hpke, info))
        assert base64.b64decode(keys["data"]) == sealed.key.to_bytes()
        stored = b"".join([*stage.host.entries, *stage.host.documents.values()])
        stored += b"".join(stage.host.secrets.values())
        assert sealed.key.to_bytes() not in stored
        assert base64.b64encode(sealed.key.to_bytes()) not in stored

    scene(story)


def test_nothing_leaves_before_its_entry_is_covered(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        gate, reached = asyncio.Event(), asyncio.Event()

        async def hold(commit: enclaves_pb2.Commit) -> None:
            reached.set()
            await gate.wait()

        stage.host.on_commit = hold
        asked = asyncio.create_task(lease(stage, ticket, member))
        await reached.wait()
        await asyncio.wait([asked], timeout=0.05)
        assert not asked.done()
        gate.set()
        package = await asked
        assert package.entry in stage.host.entries

        gate.clear()
        reached.clear()
        request = release_of(member, package)
        released = asyncio.create_task(
            stage.host.ask(enclaves_pb2.KIND_RELEASE, request, peer="w1")
        )
        await reached.wait()
        digest = parse_envelope(package.lease).digest
        wanted = enclaves_pb2.ResultKeyRequest(lease=digest, recipient="engineer")
        result = asyncio.create_task(stage.host.ask(enclaves_pb2.KIND_RESULT, wanted))
        await asyncio.wait([released, result], timeout=0.05)
        assert not released.done()
        assert not result.done()
        gate.set()
        await asyncio.gather(released, result)
        step = stage.host.commits[-1]
        assert json.loads(step.entries[0])["kind"] == "release"
        assert [secret.name for secret in step.secrets] == ["result/" + digest]
        assert step.checkpoint

    scene(story)


def test_a_host_that_does_not_store_ends_the_authority_and_gets_nothing(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        entries = list(stage.host.entries)

        async def fail(commit: enclaves_pb2.Commit) -> None:
            raise error_of(common_pb2.Refusal(reason=common_pb2.REASON_LOG_RANGE))

        stage.host.on_commit = fail
        with pytest.raises(Refused) as error:
            await lease(stage, ticket, member)
        assert error.value.reason == AuthorityUnavailable.reason
        with pytest.raises(Refused):
            await stage.ended()
        assert stage.host.entries == entries

        del stage.host.on_commit
        await stage.boot()  # the next life goes on where the disk is
        assert await refused(lease(stage, ticket, member)) == "JOIN_UNKNOWN"
        member = await joined(stage, "w2")
        await lease(stage, ticket, member)

    scene(story)


def test_a_host_whose_disk_is_full_has_time_to_make_room(scene: Any) -> None:
    async def story(stage: Any) -> None:
        await ready(stage)
        assert stage.host.commit_deadline_ms / 1000 > time.time() + 12 * 3600

    scene(story)


def test_no_answer_leaves_before_what_it_was_judged_over_is_durable(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        gate, reached = asyncio.Event(), asyncio.Event()

        async def hold(commit: enclaves_pb2.Commit) -> None:
            reached.set()
            await gate.wait()

        stage.host.on_commit = hold
        digest = parse_envelope(ticket.proposal).digest
        stop = stage.council.stop("s0", "pause", digest)
        proposal = governance_pb2.DocumentRequest(envelope=ticket.proposal)
        waiting = [asyncio.create_task(stage.host.ask(enclaves_pb2.KIND_RECORD, proposal))]
        await reached.wait()
        # Of these the first brings an entry of its own; the others say yes, or no, over what is not
        # durable.
        for kind, request, peer in (
            (enclaves_pb2.KIND_RECORD, governance_pb2.DocumentRequest(envelope=stop), ""),
            (enclaves_pb2.KIND_RECORD, proposal, ""),
            (enclaves_pb2.KIND_ADMIT, ticket, ""),
            (enclaves_pb2.KIND_LEASE, lease_request(ticket, member), ""),
            (enclaves_pb2.KIND_EVIDENCE, keys_pb2.EvidenceRequest(nonce=bytes(32)), ""),
            (enclaves_pb2.KIND_JOIN_HELLO, enclaves_pb2.JoinHello(nonce=bytes(32)), "w7"),
        ):
            asked = stage.host.ask(kind, request, peer=peer)
            waiting.append(asyncio.create_task(asked))
        await asyncio.wait(waiting, timeout=0.2)
        assert not any(task.done() for task in waiting)
        gate.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        found = [getattr(answer, "reason", "") for answer in answers]
        assert found == ["", "", "DOCUMENT_REPLAYED", "STOPPED", "STOPPED", "", ""]

    scene(story)


def test_the_key_of_a_withdrawn_grant_goes_in_the_same_step(scene: Any) -> None:
    async def story(stage: Any) -> None:
        grant = await stage.provision(seal(b"plain"))
        name = f"grant/{grant}"
        wrapped = stage.host.secrets[name]
        await stage.record(stage.council.stop("hospital", "withdraw", grant))
        step = stage.host.commits[-1]
        assert [json.loads(entry)["kind"] for entry in step.entries] == ["stop"]
        assert [secret.name for secret in step.secrets] == [name]
        assert stage.host.secrets[name] != wrapped

    scene(story)


def test_two_requests_for_the_last_use(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, first, ticket = await ready(stage, uses=1)
        second = await joined(stage, "w2")
        answers = await asyncio.gather(
            lease(stage, ticket, first, "j1"),
            lease(stage, ticket, second, "j2"),
            return_exceptions=True,
        )
        [no] = [answer for answer in answers if isinstance(answer, Refused)]
        assert no.reason == "TICKET_USED_UP"

    scene(story)


def test_one_job_name_for_two_proposals_is_two_uses_of_a_grant(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed = seal(b"plain")
        await stage.provision(sealed, uses=1)
        tickets = [stage.council.ticket(PROGRAM, {"data": sealed.descriptor}) for _ in "ab"]
        await lease(stage, tickets[0], await joined(stage, "w1"), "same")
        second = lease(stage, tickets[1], await joined(stage, "w2"), "same")
        assert await refused(second) == "GRANT_USED_UP"

    scene(story)


def test_a_lease_is_for_a_worker_that_joined_for_this_program_and_had_none(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage, attempts=2)
        stranger = await joined(stage, "w2", OTHER)
        assert await refused(lease(stage, ticket, stranger)) == "LAUNCHED_FOR_MISMATCH"
        before = list(stage.host.entries)
        await lease(stage, ticket, member)
        assert await refused(lease(stage, ticket, member)) == "LEASE_PRESENTED_TWICE"
        assert await refused(lease(stage, ticket, member, "j2")) == "LEASE_PRESENTED_TWICE"
        third = await joined(stage, "w3")
        assert await refused(lease(stage, ticket, third)) == "ATTEMPT_OPEN"
        assert len(stage.host.entries) > len(before)

    scene(story)


def test_a_refused_lease_leaves_no_entry(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed = seal(b"plain")
        await stage.provision(sealed)
        member = await joined(stage, program=OTHER)
        ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        before = list(stage.host.entries)
        assert await refused(lease(stage, ticket, member)) == "LAUNCHED_FOR_MISMATCH"
        assert stage.host.entries == before

    scene(story)


def test_who_may_ask_for_what(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        request = lease_request(ticket, member)
        for kind in (enclaves_pb2.KIND_RESULT, enclaves_pb2.KIND_RECORD):
            assert await refused(stage.host.ask(kind, request, peer="w1")) == "FRAME_UNEXPECTED"
        # An enclave may ask for a lease of its own, never for another's.
        asked = stage.host.ask(enclaves_pb2.KIND_LEASE, request, peer="w9")
        assert await refused(asked) == "FRAME_UNEXPECTED"
        for kind in (enclaves_pb2.KIND_JOIN, enclaves_pb2.KIND_RELEASE, enclaves_pb2.KIND_RENEW):
            assert await refused(stage.host.ask(kind, request)) == "FRAME_UNEXPECTED"
        garbage = stage.host.ask(enclaves_pb2.KIND_LEASE, b"\xff\xff\xff")
        assert await refused(garbage) == "REQUEST_MALFORMED"

    scene(story)


def test_renewals_are_for_the_worker_that_has_the_lease(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        digest = parse_envelope(package.lease).digest
        request = enclaves_pb2.RenewRequest(lease=digest)
        asked = stage.host.ask(enclaves_pb2.KIND_RENEW, request, peer="w9")
        assert await refused(asked) == "FRAME_UNEXPECTED"
        reply = await stage.host.ask(enclaves_pb2.KIND_RENEW, request, peer="w1")
        assert 0 < enclaves_pb2.Renewed.FromString(reply).remaining_ms <= 10_000
        unknown = enclaves_pb2.RenewRequest(lease=OTHER)
        asked = stage.host.ask(enclaves_pb2.KIND_RENEW, unknown, peer="w1")
        assert await refused(asked) == "LEASE_UNKNOWN"

    scene(story)


def test_a_renewal_that_waits_for_a_document_is_not_timed_before_what_came_in_between(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives: list[Any] = []

    def remembered(*given: Any) -> Authority:
        authority = Authority(*given)
        lives.append(authority)
        return authority

    monkeypatch.setattr(main, "Authority", remembered)

    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        lease_digest = parse_envelope(package.lease).digest
        core = lives[-1].core
        seconds = [time.time()]
        core._clock = Clock(lambda: seconds[0])
        core.life.documents._kept.clear()
        core.ledger._loaded.clear()
        fetch = core.life.documents.fetch

        async def slow(digest: str) -> None:
            await fetch(digest)
            seconds[0] += 1
            times = core.now()
            core.append(
                KINDS["renewal"].new(times, {"lease": lease_digest, "deadline": times.at_most + 9})
            )

        core.life.documents.fetch = slow
        request = enclaves_pb2.RenewRequest(lease=lease_digest)
        await stage.host.ask(enclaves_pb2.KIND_RENEW, request, peer="w1")
        times = [json.loads(entry)["at"][1] for entry in stage.host.entries]
        assert seconds[0] > times[0] and times == sorted(times)

    scene(story)


def test_a_withdrawal_is_pushed_and_ends_renewal_and_release(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed = seal(b"plain")
        grant = await stage.provision(sealed)
        member = await joined(stage)
        ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        package = await lease(stage, ticket, member)
        digest = parse_envelope(package.lease).digest
        await stage.record(stage.council.stop("hospital", "withdraw", grant))
        [(peer, stopped)] = stage.host.stopped
        assert (peer, stopped.lease) == ("w1", digest)
        assert stopped.refusal.reason == common_pb2.REASON_GRANT_WITHDRAWN
        request = enclaves_pb2.RenewRequest(lease=digest)
        asked = stage.host.ask(enclaves_pb2.KIND_RENEW, request, peer="w1")
        assert await refused(asked) == "GRANT_WITHDRAWN"
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, release_of(member, package), peer="w1")
        assert await refused(asked) == "GRANT_WITHDRAWN"
        wanted = enclaves_pb2.ResultKeyRequest(lease=digest, recipient="engineer")
        assert await refused(stage.host.ask(enclaves_pb2.KIND_RESULT, wanted)) == "NOT_RELEASED"

    scene(story)


def test_a_release_is_taken_in_once(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        request = release_of(member, package)
        await stage.host.ask(enclaves_pb2.KIND_RELEASE, request, peer="w1")
        for again in (request, release_of(member, package)):
            asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, again, peer="w1")
            assert await refused(asked) == "LEASE_PRESENTED_TWICE"
        digest = parse_envelope(package.lease).digest
        renew = enclaves_pb2.RenewRequest(lease=digest)
        asked = stage.host.ask(enclaves_pb2.KIND_RENEW, renew, peer="w1")
        assert await refused(asked) == "LEASE_PRESENTED_TWICE"
        close = enclaves_pb2.CloseAttempt(lease=digest, why="lost")
        assert await refused(stage.host.ask(enclaves_pb2.KIND_CLOSE, close)) == "LEASE_CLOSED"
        wanted = enclaves_pb2.ResultKeyRequest(lease=digest, recipient="nobody")
        asked = stage.host.ask(enclaves_pb2.KIND_RESULT, wanted)
        assert await refused(asked) == "RECIPIENT_UNKNOWN"

    scene(story)


def test_a_closed_attempt_releases_nothing(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        close = enclaves_pb2.CloseAttempt(lease=parse_envelope(package.lease).digest, why="words")
        assert await refused(stage.host.ask(enclaves_pb2.KIND_CLOSE, close)) == "REQUEST_MALFORMED"
        close.why = "lost"
        await stage.host.ask(enclaves_pb2.KIND_CLOSE, close)
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, release_of(member, package), peer="w1")
        assert await refused(asked) == "LEASE_CLOSED"
        second = await joined(stage, "w2")
        assert await refused(lease(stage, ticket, second)) == "ATTEMPTS_USED_UP"

    scene(story)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": ("out", "more")}, "OUTPUT_UNDECLARED"),
        ({"names": ()}, "OUTPUT_MISSING"),
        ({"size": 99}, "OUTPUT_TOO_LARGE"),
        ({"size": 101}, "OUTPUT_TOO_LARGE"),
        ({"lease": OTHER}, "LEASE_UNKNOWN"),
        ({"worker": OTHER}, "JOIN_UNKNOWN"),
    ],
)
def test_the_gate_checks_what_is_released(scene: Any, change: Any, reason: str) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        request = release_of(member, package, **change)
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, request, peer="w1")
        assert await refused(asked) == reason

    scene(story)


def test_the_gate_is_for_the_lease_s_own_worker_and_key(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        other = await joined(stage, "w2")  # a second identity of the same program
        theirs = release_of(other, package)
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, theirs, peer="w2")
        assert await refused(asked) == "LEASE_UNKNOWN"
        forged = replace(member, keys=BootKeys("worker").of(member.log.to_text(), member.charter))
        request = release_of(forged, package, worker=member.keys.identity.digest)
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, request, peer="w1")
        assert await refused(asked) == "SIGNATURE_INVALID"
        request = release_of(member, package)
        request.key_envelope = release_of(member, package).key_envelope
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, request, peer="w1")
        assert await refused(asked) == "ENVELOPE_FORGED"
        request = release_of(member, package)
        info = contexts.release_info(parse_envelope(request.release).digest)
        request.key_envelope = seal_envelope(os.urandom(32), member.authority.hpke, info)
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, request, peer="w1")
        assert await refused(asked) == "KEY_COMMITMENT_MISMATCH"

    scene(story)


def test_a_grant_with_another_key_is_refused_and_leaves_no_trace(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed, other = seal(b"plain"), seal(b"other")
        before = list(stage.host.entries), dict(stage.host.secrets)
        mixed = Sealed(sealed.descriptor, other.key, sealed.data)
        assert await refused(stage.provision(mixed)) == "KEY_COMMITMENT_MISMATCH"
        request = stage.council.provision(sealed, stage.authority)
        request.key_envelope = stage.council.provision(sealed, stage.authority).key_envelope
        asked = stage.host.ask(enclaves_pb2.KIND_PROVISION, request)
        assert await refused(asked) == "ENVELOPE_FORGED"
        assert before == (stage.host.entries, stage.host.secrets)

    scene(story)


def test_documents_and_secrets_that_the_host_changed_are_refused_and_not_kept(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed = seal(b"plain")
        grant = await stage.provision(sealed)
        await stage.end()
        await stage.boot()  # nothing is in memory now
        ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        good, secret = stage.host.documents[grant], stage.host.secrets["grant/" + grant]
        member = await joined(stage)
        stage.host.documents[grant] = stage.council.grant(seal(b"x").descriptor)
        assert await refused(lease(stage, ticket, member)) == "DOCUMENT_NOT_FOUND"
        stage.host.documents[grant] = b"junk"
        assert await refused(lease(stage, ticket, member)) == "DOCUMENT_NOT_FOUND"
        stage.host.documents[grant] = good
        stage.host.secrets["grant/" + grant] = secret[:-1] + bytes([secret[-1] ^ 1])
        assert await refused(lease(stage, ticket, member)) == "KEY_UNWRAP_REFUSED"
        del stage.host.secrets["grant/" + grant]
        assert await refused(lease(stage, ticket, member)) == "DOCUMENT_NOT_FOUND"
        entries = list(stage.host.entries)
        stage.host.secrets["grant/" + grant] = secret
        await lease(stage, ticket, member)  # no use was taken by what was refused
        assert len(stage.host.entries) > len(entries)

    scene(story)


@pytest.mark.parametrize("cheat", ["drop", "swap", "change", "add", "checkpoint", "root"])
def test_a_log_that_the_host_changed_is_not_replayed(scene: Any, cheat: str) -> None:
    async def story(stage: Any) -> None:
        await stage.provision(seal(b"plain"))
        await stage.end()
        host = stage.host
        match cheat:
            case "drop":
                host.entries.pop()
            case "swap":
                host.entries[1], host.entries[2] = host.entries[2], host.entries[1]
            case "change":
                host.entries[2] = host.entries[2].replace(
                    b'"owner":"hospital"', b'"owner":"mallory"'
                )
            case "add":
                host.entries.insert(2, b"not json")
            case "checkpoint":
                host.checkpoint = host.checkpoint.replace(b"\n3\n", b"\n2\n")
            case "root":
                wrapped = host.secrets["root"]
                host.secrets["root"] = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
            case _:
                raise AssertionError
        with pytest.raises(Exception) as error:
            await stage.boot()
        expected = {
            "checkpoint": "LOG_CHECKPOINT_INVALID",
            "root": "KEY_UNWRAP_REFUSED",
        }.get(cheat, "LOG_ENTRY_INVALID")
        assert getattr(error.value, "reason", "") == expected

    scene(story)


def test_a_sealed_root_opens_on_its_own_machine_only(scene: Any) -> None:
    async def story(stage: Any) -> None:
        await stage.end()
        other = Machine(b"o" * 32)
        stage.machine, machine = other, stage.machine
        try:
            with pytest.raises(Exception) as error:
                await stage.boot()
            assert getattr(error.value, "reason", "") == "KEY_UNWRAP_REFUSED"
        finally:
            other.close()
            stage.machine = machine

    scene(story)


def test_nothing_of_an_older_boot_is_accepted(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage, attempts=2)
        package = await lease(stage, ticket, member)
        old = stage.council.provision(seal(b"x"), stage.authority)
        await stage.end()
        await stage.boot()
        asked = stage.host.ask(enclaves_pb2.KIND_PROVISION, old)
        assert await refused(asked) == "ENVELOPE_KEY_MISMATCH"
        asked = stage.host.ask(enclaves_pb2.KIND_RELEASE, release_of(member, package), peer="w1")
        assert await refused(asked) == "JOIN_UNKNOWN"
        renew = enclaves_pb2.RenewRequest(lease=parse_envelope(package.lease).digest)
        asked = stage.host.ask(enclaves_pb2.KIND_RENEW, renew, peer="w1")
        assert await refused(asked) == "JOIN_UNKNOWN"
        again = await joined(stage, "w2")
        close = enclaves_pb2.CloseAttempt(lease=renew.lease, why="lost")
        assert await refused(stage.host.ask(enclaves_pb2.KIND_CLOSE, close)) == "LEASE_CLOSED"
        await lease(stage, ticket, again)

    scene(story)


def test_a_result_is_given_again_after_a_restart(scene: Any) -> None:
    async def story(stage: Any) -> None:
        _, member, ticket = await ready(stage)
        package = await lease(stage, ticket, member)
        await stage.host.ask(enclaves_pb2.KIND_RELEASE, release_of(member, package), peer="w1")
        digest = parse_envelope(package.lease).digest
        wanted = enclaves_pb2.ResultKeyRequest(lease=digest, recipient="engineer")
        keys: list[bytes] = []
        result = jobs_pb2.ResultResponse()
        for _ in range(2):
            reply = await stage.host.ask(enclaves_pb2.KIND_RESULT, wanted)
            result = jobs_pb2.ResultResponse.FromString(reply)
            info = contexts.result_info(parse_envelope(result.receipt).digest, "engineer")
            keys.append(open_envelope(result.key_envelope, stage.council.recipient, info))
            await stage.end()
            await stage.boot()
        assert keys[0] == keys[1]
        released = json.loads(result.entry)
        index = next(n for n, e in enumerate(stage.host.entries) if e == result.entry)
        stage.host.entries[index] = b"{}"
        assert (
            await refused(stage.host.ask(enclaves_pb2.KIND_RESULT, wanted)) == "LOG_PROOF_INVALID"
        )
        assert released["kind"] == "release"

    scene(story)


def test_a_join_wants_the_right_evidence(scene: Any) -> None:
    async def story(stage: Any) -> None:
        host = stage.host
        log, charter = stage.council.log, stage.council.name

        async def attempt(
            role: str, says: str, *, launched_for: str = PROGRAM, nonce: bytes | None = None,
            log: str = log, charter: str = charter, hello: bool = True,
            evidence: bytes | None = None,
        ) -> str:  # fmt: skip
            offered = b""
            if hello:
                reply = await host.ask(
                    enclaves_pb2.KIND_JOIN_HELLO,
                    enclaves_pb2.JoinHello(nonce=os.urandom(32)),
                    peer="w",
                )
                offered = enclaves_pb2.JoinOffer.FromString(reply).nonce
            keys = BootKeys(says).of(log, charter)
            attester = stage.machine.attester(role, launched_for)
            proof = evidence or keys.evidence(attester, nonce or offered, b"").to_bytes()
            request = enclaves_pb2.JoinRequest(identity=keys.identity.to_bytes(), evidence=proof)
            return await refused(host.ask(enclaves_pb2.KIND_JOIN, request, peer="w"))

        assert await attempt("authority", "worker") == "APPRAISAL_REFUSED"
        assert await attempt("worker", "authority") == "IDENTITY_MALFORMED"
        assert await attempt("worker", "worker", launched_for="") == "LAUNCHED_FOR_MISMATCH"
        assert await attempt("worker", "worker", nonce=bytes(32)) == "EVIDENCE_BINDING"
        assert await attempt("worker", "worker", nonce=bytes(32), hello=False) == "FRAME_UNEXPECTED"
        assert await attempt("worker", "worker", log=log.replace("test", "tset")) == "OTHER_LOG"
        assert await attempt("worker", "worker", charter=PROGRAM) == "OTHER_LOG"
        assert await attempt("worker", "worker", charter="") == "OTHER_LOG"
        assert await attempt("worker", "worker", evidence=b"{}") == "EVIDENCE_MALFORMED"
        short = enclaves_pb2.JoinHello(nonce=b"short")
        asked = host.ask(enclaves_pb2.KIND_JOIN_HELLO, short, peer="w")
        assert await refused(asked) == "EVIDENCE_NONCE"

    scene(story)


def test_a_join_cannot_be_replayed(scene: Any) -> None:
    async def story(stage: Any) -> None:
        host = stage.host
        hello = enclaves_pb2.JoinHello(nonce=os.urandom(32))
        offer = enclaves_pb2.JoinOffer.FromString(
            await host.ask(enclaves_pb2.KIND_JOIN_HELLO, hello, peer="w")
        )
        keys = BootKeys("worker").of(stage.council.log, stage.council.name)
        attester = stage.machine.attester("worker", PROGRAM)
        request = enclaves_pb2.JoinRequest(
            identity=keys.identity.to_bytes(),
            evidence=keys.evidence(attester, offer.nonce, b"").to_bytes(),
        )
        await host.ask(enclaves_pb2.KIND_JOIN, request, peer="w")
        asked = host.ask(enclaves_pb2.KIND_JOIN, request, peer="w")
        assert await refused(asked) == "FRAME_UNEXPECTED"
        await host.ask(enclaves_pb2.KIND_JOIN_HELLO, hello, peer="w")
        asked = host.ask(enclaves_pb2.KIND_JOIN, request, peer="w")
        assert await refused(asked) == "EVIDENCE_BINDING"

    scene(story)


def test_many_large_documents_at_once_do_not_end_the_authority(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed = seal(b"plain")
        await stage.provision(sealed)
        proposals = [
            stage.council.proposal(
                PROGRAM,
                {"data": sealed.descriptor},
                parameters={f"p{n}": secrets.token_hex(490) for n in range(110)},
            )
            for _ in range(40)
        ]
        assert sum(map(len, proposals)) > 5_000_000  # more than a frame
        await asyncio.gather(*(stage.record(p) for p in proposals))
        assert max(commit.ByteSize() for commit in stage.host.commits) < 4 * 1024 * 1024

    scene(story)


def test_before_the_founding_nothing_works_but_evidence(scene: Any) -> None:
    async def story(stage: Any) -> None:
        await stage.boot()
        hello = enclaves_pb2.JoinHello(nonce=os.urandom(32))
        asked = stage.host.ask(enclaves_pb2.KIND_JOIN_HELLO, hello, peer="w")
        assert await refused(asked) == "NOT_FOUNDED"
        assert await refused(stage.provision(seal(b"x"))) == "NOT_FOUNDED"
        founding = stage.council.founding()
        stranger = Council()
        stranger.log = stage.council.log
        mixed = governance_pb2.FoundRequest(
            constitution=founding.constitution, charter=stranger.founding().charter
        )
        asked = stage.host.ask(enclaves_pb2.KIND_FOUND, mixed)
        assert await refused(asked) in ("SIGNATURE_INVALID", "OTHER_CONSTITUTION")
        await stage.host.ask(enclaves_pb2.KIND_FOUND, founding)
        asked = stage.host.ask(enclaves_pb2.KIND_FOUND, founding)
        assert await refused(asked) == "ALREADY_FOUNDED"

    scene(story, found=False)


def bounded(documents: int) -> Council:
    """One that bounds its principals to so many documents a day."""
    made = Council()
    limits = Limits(10, 600, documents=documents, documents_seconds=86_400)
    made.constitution = replace(made.constitution, limits=limits)
    return made


def test_the_bound_holds_at_each_way_in_and_lets_every_no_through(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed: Sealed = seal(b"plain")
        await stage.provision(sealed)
        await stage.provision(seal(b"more"))
        assert await refused(stage.provision(seal(b"too much"))) == "TOO_MANY_DOCUMENTS"
        make: Any = lambda: stage.council.proposal(PROGRAM, {"data": sealed.descriptor})
        proposal = make()
        await stage.record(proposal)
        await stage.record(make())
        assert await refused(stage.record(make())) == "TOO_MANY_DOCUMENTS"

        def vote(word: str, sequence: int) -> Any:
            [ballot] = stage.council.ballots(proposal, ("s4",), word, sequence)
            return stage.record(ballot)

        await vote("placet", 1)
        await vote("placet", 2)
        size = len(stage.host.entries)
        assert await refused(vote("placet", 3)) == "TOO_MANY_DOCUMENTS"
        assert len(stage.host.entries) == size
        for sequence in (3, 4, 5):
            await vote("non placet", sequence)
        digest = parse_envelope(proposal).digest
        await stage.record(stage.council.stop("s4", "veto", digest))
        await stage.record(stage.council.stop("engineer", "cancel", digest))

    scene(story, bounded(2))


def test_a_ticket_whose_proposal_is_one_too_many_changes_nothing(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed: Sealed = seal(b"plain")
        await stage.provision(sealed)
        make: Any = lambda: stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        await stage.record(make().proposal)
        size = len(stage.host.entries)
        ticket: common_pb2.Ticket = make()
        asked = stage.host.ask(enclaves_pb2.KIND_ADMIT, ticket)
        assert await refused(asked) == "TOO_MANY_DOCUMENTS"
        assert len(stage.host.entries) == size

    scene(story, bounded(1))


def test_a_lease_carries_the_ballots_that_stand(scene: Any) -> None:
    """Though the log, and the bundle, have others."""

    async def story(stage: Any) -> None:
        sealed: Sealed = seal(b"plain")
        await stage.provision(sealed)
        ticket: common_pb2.Ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        await stage.record(ticket.proposal)

        def vote(sequence: int) -> Any:
            return stage.council.ballots(ticket.proposal, ("s3",), "placet", sequence)

        for sequence in range(1, 6):
            await stage.record(vote(sequence)[0])
        ticket.ballots.extend(vote(7) + vote(6) + vote(8))
        package = await lease(stage, ticket, await joined(stage))
        assert len(package.ticket.ballots) == 4
        kinds = [json.loads(entry)["kind"] for entry in stage.host.entries]
        assert kinds.count("ballot") == 5 + 3 + 1

    scene(story, bounded(100))
