# SPDX-License-Identifier: Apache-2.0
"""kill -9 to host, authority and workers: nothing acknowledged is lost, and nothing has its effect
twice.

After every kill the same four things hold (`Promises.check`): the log extends the one that was
seen; every document that was acknowledged is in it; every job that was acknowledged is there under
its request id, and ends; no job has two releases, and no ticket more uses than it allows. An audit
judges everything again at the end.
"""

import contextlib
import hashlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from placet.governance.envelope import parse_envelope
from placet.governance.evaluate import Ticket
from placet.proto.v1 import blobs_pb2, common_pb2, runs_pb2

SLOW = """
import time


def main(job):
    time.sleep(job.parameters["ms"] / 1000)
    with job.output("out") as sink:
        sink.write(b"done")
"""
USES = 12
# How long a job runs that has to be killed while it does: however slow the machine, the kill comes
# sooner.
LONG_MS = 3000


class Promises:
    """What a host has acknowledged, and whether it still holds."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.data = world.data(b"rows" * 1000)
        self.program = world.bundle(SLOW).digest
        self.jobs: dict[bytes, tuple[Ticket, str]] = {}  # by request id
        self.ended: dict[str, Any] = {}
        self.documents: list[str] = []
        self.outputs: dict[str, bytes] = {}

    def ticket(self, ms: int, **changed: int) -> Ticket:
        """An approved ticket for a program that takes so long."""
        job = self.world.job(self.program, {"data": self.data}, parameters={"ms": ms})
        ticket: Ticket = self.world.ticket(job, **{"uses": USES, **changed})
        documents = (ticket.proposal, *ticket.ballots)
        self.documents += [parse_envelope(envelope).digest for envelope in documents]
        return ticket

    def submit(self, ticket: Ticket) -> str:
        """A job that was acknowledged."""
        request_id = os.urandom(16)
        job = self.world.client.runs.start(ticket, request_id=request_id).id
        self.jobs[request_id] = ticket, job
        return str(job)

    def until(self, job: str, *states: str, attempt: int = 1) -> None:
        """Watch until a job is in one of the states, at this attempt or later; it has not ended.

        A host that was killed begins with what it had: a job is running until its attempt has been
        closed.
        """
        watching = self.world.client.runs.watch(job)
        with contextlib.closing(watching):
            for record in watching:
                if record.state in states and record.job.attempt >= attempt:
                    return
                assert not record.ended, record

    def check(self) -> None:
        """All promises; waits until every job has ended."""
        client = self.world.client
        for request_id, (ticket, job) in self.jobs.items():
            assert client.runs.start(ticket, request_id=request_id).id == job
            ended = client.runs.wait(job)
            assert ended.state == "finished", ended
            if job in self.ended:
                assert ended == self.ended[job]
            self.ended[job] = ended
            if job not in self.outputs:
                self.outputs[job] = self.world.output(job)
            assert self.outputs[job] == b"done"
        entries = self.world.entries()  # which the memory of checkpoints has checked
        there = {entry.get("proposal") for entry in entries} | {e.get("ballot") for e in entries}
        assert set(self.documents) <= there
        released = Counter(entry["job"] for entry in entries if entry["kind"] == "release")
        assert released == Counter({job: 1 for _, job in self.jobs.values()})
        leased = {(e["proposal"], e["job"]) for e in entries if e["kind"] == "lease"}
        uses = Counter(proposal for proposal, _ in leased)
        for ticket, count in Counter(ticket for ticket, _ in self.jobs.values()).items():
            assert uses[parse_envelope(ticket.proposal).digest] == count

    def restart(self) -> None:
        """Kill the host and begin again on the same folder."""
        self.world.kill()
        self.world.start()


@pytest.fixture(scope="module")
def promises(world: Any) -> Promises:
    return Promises(world)


@pytest.mark.parametrize("state", ["queued", "leased", "running", "finished"])
def test_the_host_is_killed_while_a_job_is(promises: Promises, state: str) -> None:
    world = promises.world
    ticket = promises.ticket(LONG_MS if state == "running" else 300)
    job = promises.submit(ticket)
    if state != "queued":
        promises.until(job, state, *(["running"] if state == "leased" else []))
    attempts = world.client.runs.get(job).job.attempt
    promises.restart()
    promises.check()
    if state == "finished":
        assert world.client.runs.get(job).job.attempt == attempts == 1
        assert world.entries_of(job) == ["lease", "release"]
    if state == "running":
        assert world.entries_of(job) == ["lease", "close", "lease", "release"]


def test_the_host_is_killed_twice_over_one_job(promises: Promises) -> None:
    job = promises.submit(promises.ticket(LONG_MS))
    for attempt in (1, 2):
        promises.until(job, "running", attempt=attempt)
        promises.restart()
    promises.check()
    assert promises.world.entries_of(job) == ["lease", "close"] * 2 + ["lease", "release"]


def test_attempts_are_counted_over_kills(promises: Promises) -> None:
    """The authority remembers what the host forgets: the proposal allows no further attempt."""
    world = promises.world
    job = world.job(
        promises.program, {"data": promises.data}, parameters={"ms": LONG_MS}, attempts=1
    )
    submitted = world.client.runs.start(world.ticket(job)).id
    promises.until(submitted, "running")
    promises.restart()
    ended = world.client.runs.wait(submitted)
    assert ended.state == "failed"
    world.check_refusal(ended.refusal, "ATTEMPTS_USED_UP", "claim", "expected", "actual")
    assert world.entries_of(submitted) == ["lease", "close"]


@pytest.mark.parametrize("role", ["worker", "authority", "preloaded"])
@pytest.mark.parametrize("state", ["leased", "running"])
def test_an_enclave_is_killed_while_a_job_is(promises: Promises, role: str, state: str) -> None:
    world = promises.world
    job = promises.submit(promises.ticket(LONG_MS, uses=1))
    promises.until(job, state, "running")
    for pid in world.enclaves(role):
        os.kill(pid, signal.SIGKILL)
    promises.check()
    assert world.entries_of(job)[-3:] == ["close", "lease", "release"]


def test_the_authority_is_killed_while_documents_come_in(promises: Promises) -> None:
    """A document that was acknowledged is in the log; one that was not may be handed in again."""
    world = promises.world
    proposal = world.propose(world.job(promises.program, {"data": promises.data}))
    promises.documents.append(proposal)
    for number in range(6):
        if number % 4 == 2:
            [authority] = world.enclaves("authority")
            os.kill(authority, signal.SIGKILL)
        sequence = number + 1

        def vote(sequence: int = sequence) -> str:
            return str(
                world.client.council.vote(
                    world.seats["ada"], proposal, "abstain", sequence=sequence
                ).digest
            )

        promises.documents.append(world.until_answered(vote))
    promises.check()


def test_the_host_is_killed_while_documents_come_in(promises: Promises) -> None:
    world = promises.world
    source = random.Random(4)
    for _ in range(2):
        proposal = world.propose(world.job(promises.program, {"data": promises.data}))
        promises.documents.append(proposal)
        stop = time.monotonic() + source.uniform(0.005, 0.05)
        acknowledged = 0
        while time.monotonic() < stop:
            vote = world.client.council.vote(world.seats["ben"], proposal, "abstain")
            promises.documents.append(vote.digest)
            acknowledged += 1
        promises.restart()
        known = world.client.council.find(proposal)
        assert max((ballot.sequence for ballot in known.item.ballots), default=0) >= acknowledged
    promises.check()


@pytest.mark.parametrize("seed", range(3))
def test_the_host_is_killed_at_any_time(promises: Promises, seed: int) -> None:
    """Jobs are submitted, and the host is killed at a moment that nobody chose; each job has three
    attempts."""
    source = random.Random(seed)
    ticket = promises.ticket(source.choice([0, 50, 200]))
    for _ in range(3):
        promises.submit(ticket)
    # Not for luck: whatever moment it hits, the same has to hold.
    time.sleep(source.uniform(0, 0.6))
    promises.restart()
    if seed % 2:
        promises.submit(ticket)
        time.sleep(source.uniform(0, 0.3))
        promises.restart()
    promises.check()


def test_a_submission_whose_answer_never_came(promises: Promises) -> None:
    """The host dies while it answers: the same request is one job, whether it was durable or
    not."""
    world = promises.world
    ticket = promises.ticket(0)
    source = random.Random(9)
    for _ in range(3):
        request = runs_pb2.StartRequest(
            ticket=common_pb2.Ticket(proposal=ticket.proposal, ballots=ticket.ballots),
            request_id=os.urandom(16),
        )
        call = world.stubs.runs.Start.future(request, metadata=world.metadata)
        time.sleep(source.uniform(0, 0.015))  # whatever moment it hits, the same has to hold
        world.process.kill()
        answered = ""
        with contextlib.suppress(grpc.RpcError):
            answered = call.result(timeout=10).id
        world.kill()
        world.start()
        again = world.client.runs.start(ticket, request_id=request.request_id)
        assert answered in ("", again.id)
        promises.jobs[request.request_id] = ticket, again.id
    promises.check()


def test_a_put_goes_on_after_the_host_was_killed(promises: Promises) -> None:
    world = promises.world
    path = world.folder / "large"
    data = os.urandom(40 * 2**20)
    path.write_bytes(data)
    blob, sha256 = os.urandom(16).hex(), hashlib.sha256(data).digest()
    for killed_at in (9, 30):

        def requests(killed_at: int = killed_at) -> Iterator[blobs_pb2.PutRequest]:
            header = blobs_pb2.PutHeader(id=blob, length=len(data), sha256=sha256)
            yield blobs_pb2.PutRequest(header=header)
            for number in range(40):
                if number == killed_at:
                    world.process.kill()
                chunk = data[number * 2**20 : (number + 1) * 2**20]
                yield blobs_pb2.PutRequest(chunk=chunk)

        with pytest.raises(grpc.RpcError):
            world.stubs.blobs.Put(requests(), metadata=world.metadata)
        world.kill()
        world.start()
    got = world.client.blobs.put(blob, path)
    assert got.complete
    fetched = world.client.blobs.get(blob, world.folder / "fetched")
    assert fetched.read_bytes() == path.read_bytes()


def test_the_founding_is_whole_or_not_at_all(new_world: Any) -> None:
    world = new_world().start(founding=False)
    draft = world.client.founding.draft(world.constitution())
    for keys in world.seats.values():
        draft = world.client.founding.sign(draft, keys)
    world.client.founding.found(draft)
    world.kill()
    world.start()
    assert [entry["kind"] for entry in world.entries()] == ["charter", "boot", "boot"]
    world.stop()


def test_no_enclave_outlives_its_host(promises: Promises) -> None:
    world = promises.world
    promises.until(promises.submit(promises.ticket(LONG_MS)), "running")
    pids = [pid for role in ("worker", "authority", "preloaded") for pid in world.enclaves(role)]
    assert len(pids) >= 3
    world.kill()
    deadline = time.monotonic() + 5
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    world.start()
    promises.check()


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_at_the_end_an_audit_finds_nothing(promises: Promises) -> None:
    promises.check()
    assert promises.world.client.log.audit().complete
    assert "commit-failed" not in promises.world.host_log()
