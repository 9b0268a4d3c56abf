# SPDX-License-Identifier: Apache-2.0
"""What the threat model says that a host can still do, done; each test is named in
docs/threat-model-tests.md."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from placet.enclave.peer import BootKeys
from placet.enclave.worker.joining import Membership, join
from placet.governance.documents import Proposal
from placet.governance.envelope import inspect, parse_envelope
from placet.governance.jobs import job_name
from placet.proto.v1 import enclaves_pb2
from placet.refusals import Refused
from tests.support.council import seal
from tests.support.memory_host import memory_host
from tests.support.scene import Scene

PROGRAM = "sha256:" + "ab" * 32


async def joined(stage: Any, name: str) -> Membership:
    connection = await stage.connect(name)
    attester = stage.machine.attester("worker", PROGRAM)
    return await join(connection, attester, PROGRAM, int(time.time()))


async def lease(stage: Any, ticket: Any, worker: str, job: str = "j1") -> str:
    """A lease for this worker; its digest."""
    name = job_name(parse_envelope(ticket.proposal).digest, job)
    request = enclaves_pb2.LeaseRequest(ticket=ticket, worker=worker, job=name)
    reply = await stage.host.ask(enclaves_pb2.KIND_LEASE, request)
    return parse_envelope(enclaves_pb2.LeasePackage.FromString(reply).lease).digest


async def renewed(stage: Any, digest: str, name: str) -> None:
    request = enclaves_pb2.RenewRequest(lease=digest)
    await stage.host.ask(enclaves_pb2.KIND_RENEW, request, peer=name)


async def reason_of(work: Any) -> str:
    with pytest.raises(Refused) as refusal:
        await work
    return refusal.value.reason


async def ticket_of(stage: Any, **terms: Any) -> Any:
    """A ticket for an object whose key is provisioned."""
    sealed = seal(b"plain")
    await stage.provision(sealed)
    return stage.council.ticket(PROGRAM, {"data": sealed.descriptor}, **terms)


def kept(host: Any) -> tuple[list[bytes], dict[str, bytes], dict[str, bytes], bytes]:
    """A copy of all that a host stores."""
    return list(host.entries), dict(host.documents), dict(host.secrets), host.checkpoint


def put_back(host: Any, state: Any) -> None:
    entries, documents, secrets, host.checkpoint = state
    host.entries, host.documents, host.secrets = list(entries), dict(documents), dict(secrets)


def test_it_keeps_a_stop_to_itself(scene: Any) -> None:
    async def story(stage: Any) -> None:
        ticket = await ticket_of(stage)
        member = await joined(stage, "w1")
        digest = await lease(stage, ticket, member.keys.identity.digest)
        stop = stage.council.stop("s0", "pause", parse_envelope(ticket.proposal).digest)
        await renewed(stage, digest, "w1")  # the host has the stop, and says nothing of it
        await stage.record(stop)
        assert await reason_of(renewed(stage, digest, "w1")) == "STOPPED"

    scene(story)


def test_it_chooses_the_worker(scene: Any) -> None:
    async def story(stage: Any) -> None:
        ticket = await ticket_of(stage)
        workers = [await joined(stage, name) for name in ("w1", "w2")]
        for number in (1, 0):
            worker = workers[number].keys.identity.digest
            await lease(stage, ticket, worker, f"j{number}")
            assert json.loads(stage.host.entries[-1])["worker"] == worker

    scene(story)


def test_it_reads_every_document(scene: Any) -> None:
    async def story(stage: Any) -> None:
        ticket = await ticket_of(stage, parameters={"cohort": "all of ward 7"})
        await stage.record(ticket.proposal)
        stored = stage.host.documents[parse_envelope(ticket.proposal).digest]
        said = inspect(stored, Proposal)
        assert said.proposer == "engineer"
        assert said.job.parameters == {"cohort": "all of ward 7"}
        [size] = [given.object.length for given in said.job.inputs.values()]
        assert size == len(b"plain")

    scene(story)


def test_it_sets_the_clock_forward_for_good(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(stage: Any) -> None:
        ticket = await ticket_of(stage)
        member = await joined(stage, "w1")
        real = time.time
        monkeypatch.setattr("time.time", lambda: real() + 2 * 10**4)
        await stage.end()
        await stage.boot()
        monkeypatch.undo()
        await stage.end()
        await stage.boot()
        times = [json.loads(entry)["at"][1] for entry in stage.host.entries]
        assert times == sorted(times) and times[-1] > real() + 10**4
        work = lease(stage, ticket, member.keys.identity.digest)
        assert await reason_of(work) == "TICKET_EXPIRED"

    scene(story)


def test_it_says_that_it_stored_what_it_did_not(scene: Any) -> None:
    """A key leaves for a lease that no later life of the authority knows of; the last use is there
    again."""

    async def story(stage: Any) -> None:
        host = stage.host
        ticket = await ticket_of(stage, uses=1)
        worker = (await joined(stage, "w1")).keys.identity.digest
        before = kept(host)
        await lease(stage, ticket, worker)  # keys left
        await stage.end()
        put_back(host, before)
        await stage.boot()
        worker = (await joined(stage, "w2")).keys.identity.digest
        await lease(stage, ticket, worker, "j2")  # the one use, again

    scene(story)


def test_an_earlier_state_forgets_stops_and_uses(scene: Any) -> None:
    async def story(stage: Any) -> None:
        host = stage.host
        sealed = seal(b"plain")
        await stage.provision(sealed, uses=1)
        ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor}, uses=1)
        other = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        before = kept(host)
        await lease(stage, ticket, (await joined(stage, "w1")).keys.identity.digest)
        stop = stage.council.stop("s0", "pause", parse_envelope(other.proposal).digest)
        await stage.record(other.proposal)
        await stage.record(stop)
        worker = (await joined(stage, "w2")).keys.identity.digest
        assert await reason_of(lease(stage, other, worker)) == "STOPPED"
        await stage.end()
        put_back(host, before)
        await stage.boot()
        worker = (await joined(stage, "w3")).keys.identity.digest
        await lease(stage, other, worker)  # neither the stop nor the use of the grant is known

    scene(story)


def test_two_authorities_of_one_log_each_give_the_last_use(scene: Any, tmp_path: Path) -> None:
    async def story(stage: Any) -> None:
        ticket = await ticket_of(stage, uses=1)
        folder = tmp_path / "twin"
        folder.mkdir()
        async with memory_host(folder) as twin:
            put_back(twin, kept(stage.host))
            clone = Scene(twin, stage.machine, stage.council)
            log = stage.council.log
            await clone.boot()
            assert stage.council.log == log
            for number, side in enumerate((stage, clone)):
                worker = (await joined(side, f"w{number}")).keys.identity.digest
                await lease(side, ticket, worker)
            assert stage.host.entries != twin.entries
            for connection in clone.connections:
                await connection.close()
            await clone.end()

    scene(story)


def test_a_worker_takes_leases_for_other_jobs_of_its_program(scene: Any) -> None:
    """A hostile program makes another identity beside its worker's, and joins with that as well."""

    async def story(stage: Any) -> None:
        host = stage.host
        first = await ticket_of(stage)
        second = await ticket_of(stage)
        await lease(stage, first, (await joined(stage, "w1")).keys.identity.digest)
        hello = enclaves_pb2.JoinHello(nonce=os.urandom(32))
        reply = await host.ask(enclaves_pb2.KIND_JOIN_HELLO, hello, peer="w1")
        keys = BootKeys("worker").of(stage.council.log, stage.council.name)
        attester = stage.machine.attester("worker", PROGRAM)  # the same launch: bound to PROGRAM
        nonce = enclaves_pb2.JoinOffer.FromString(reply).nonce
        request = enclaves_pb2.JoinRequest(
            identity=keys.identity.to_bytes(),
            evidence=keys.evidence(attester, nonce, b"").to_bytes(),
        )
        await host.ask(enclaves_pb2.KIND_JOIN, request, peer="w1")
        await lease(stage, second, keys.identity.digest)

    scene(story)


def test_an_owner_seals_whatever_they_like(scene: Any) -> None:
    """Labels and kind are the owner's words; nobody reads the contents before a program does."""

    async def story(stage: Any) -> None:
        garbage = seal(os.urandom(1000))
        assert (garbage.descriptor.kind, garbage.descriptor.labels) == ("dataset", ("health",))
        await stage.provision(garbage)
        ticket = stage.council.ticket(PROGRAM, {"data": garbage.descriptor})
        await lease(stage, ticket, (await joined(stage, "w1")).keys.identity.digest)

    scene(story)


def test_a_lost_store_is_the_end_of_the_log(scene: Any) -> None:
    async def story(stage: Any) -> None:
        host, log = stage.host, stage.council.log
        await stage.provision(seal(b"plain"))
        await stage.end()
        put_back(host, ([], {}, {}, b""))
        await stage.boot()
        assert stage.council.log != log
        assert await reason_of(stage.provision(seal(b"plain"))) == "NOT_FOUNDED"

    scene(story)


def test_it_passes_documents_on_in_another_order(scene: Any) -> None:
    async def story(stage: Any) -> None:
        ticket = await ticket_of(stage)
        size = len(stage.host.entries)
        stop = stage.council.stop("s0", "pause", parse_envelope(ticket.proposal).digest)
        assert await reason_of(stage.record(stop)) == "DOCUMENT_NOT_FOUND"  # it came first
        await stage.record(ticket.proposal)
        await stage.record(stop)
        kinds = [json.loads(entry)["kind"] for entry in stage.host.entries[size:]]
        assert kinds == ["proposal", "stop"]

    scene(story)
