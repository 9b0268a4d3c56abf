# SPDX-License-Identifier: Apache-2.0
"""A hostile program, approved by a council that did not read it, speaks as its worker: what it can
and cannot obtain.

The guard is no sandbox: the program climbs the stack to the worker's connection. What it is told
becomes its output.
"""

import json
from typing import Any

import pytest

from placet.governance.documents import Output

CLIMB = """
import asyncio
import json
import os
import sys
import time

from placet.enclave import _kernel
from placet.enclave.peer import BootKeys
from placet.proto.v1 import common_pb2, enclaves_pb2 as pb
from placet.proto.v1 import governance_pb2


def climb(name):
    frame = sys._getframe()
    while name not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals[name]
"""

# Each attack is (name, coroutine); `ask` gives back what refused it.
SPEAK = (
    CLIMB
    + """

class Attacks:
    def __init__(self, worker, member, package):
        self.connection, self.attester = worker._connection, worker._attester
        self.log, self.member, self.package = member.log.to_text(), member, package

    async def ask(self, kind, message, peer="authority"):
        try:
            await self.connection.link.request(kind, message, peer=peer)
        except Exception as refusal:
            return [refusal.reason, str(refusal), sorted(refusal.details)]
        return ["LET THROUGH", "", []]

    async def hello(self, nonce=bytes(32)):
        message = pb.JoinHello(nonce=nonce)
        reply = await self.connection.link.request(pb.KIND_JOIN_HELLO, message, peer="authority")
        return pb.JoinOffer.FromString(reply).nonce

    async def join(
        self, role="worker", log="", charter="", hello=True, nonce=None, change=lambda e: e
    ):
        offered = await self.hello() if hello else bytes(32)
        keys = BootKeys(role).of(log or self.log, charter or self.member.charter)
        evidence = keys.evidence(self.attester, nonce or offered, b"").to_bytes()
        request = pb.JoinRequest(identity=keys.identity.to_bytes(), evidence=change(evidence))
        return await self.ask(pb.KIND_JOIN, request)

    def kind(self, kind):
        return lambda e: json.dumps(
            {**json.loads(e), "kind": kind}, sort_keys=True, separators=(",", ":")
        ).encode()

    async def lease(self, worker, job):
        ticket = self.package.ticket
        return await self.ask(pb.KIND_LEASE, pb.LeaseRequest(ticket=ticket, worker=worker, job=job))

    async def all(self):
        own, other = self.member.keys.identity.digest, "sha256:" + "ab" * 32
        release = pb.ReleaseRequest(release=b"{}", key_envelope=b"x")
        return {
            "nonce missing": await self.ask(pb.KIND_JOIN_HELLO, pb.JoinHello()),
            "nonce short": await self.ask(pb.KIND_JOIN_HELLO, pb.JoinHello(nonce=bytes(31))),
            "join without a hello": await self.join(hello=False),
            "another nonce": await self.join(nonce=b"n" * 32),
            "another role": await self.join(role="authority"),
            "another log": await self.join(log="x" + self.log),
            "another council": await self.join(charter=other),
            "simulation that says it is hardware": await self.join(change=self.kind("sgx")),
            "no known kind": await self.join(change=self.kind("mine")),
            "truncated evidence": await self.join(change=lambda e: e[:-1]),
            "unknown field": await self.join(change=lambda e: e[:-1] + b',"more":1}'),
            "oversized evidence": await self.join(change=lambda e: e + b" " * 2**18),
            "a second lease": await self.lease(own, "another"),
            "another's lease": await self.lease(other, "another"),
            "renewal of no lease": await self.ask(pb.KIND_RENEW, pb.RenewRequest(lease=other)),
            "release of no form": await self.ask(pb.KIND_RELEASE, release),
            "a commit": await self.ask(pb.KIND_COMMIT, pb.Commit()),
            "a result key": await self.ask(pb.KIND_RESULT, pb.ResultKeyRequest(lease=other)),
            "a record": await self.ask(pb.KIND_RECORD, pb.RenewRequest()),
            "a commit to the host": await self.ask(pb.KIND_COMMIT, pb.Commit(), peer=""),
            "a secret of the host": await self.ask(
                pb.KIND_FETCH_SECRET, pb.FetchSecret(name="root"), peer=""
            ),
            "another worker": await self.ask(pb.KIND_JOIN, pb.JoinRequest(), peer="0" * 16),
        }


def main(job):
    attacks = Attacks(climb("worker"), climb("member"), climb("package"))
    loop = climb("worker")._loop
    said = asyncio.run_coroutine_threadsafe(attacks.all(), loop).result()
    with job.output("out") as sink:
        sink.write(json.dumps(said).encode())
"""
)

ANSWERS = {
    "nonce missing": "EVIDENCE_NONCE",
    "nonce short": "EVIDENCE_NONCE",
    "join without a hello": "FRAME_UNEXPECTED",
    "another nonce": "EVIDENCE_BINDING",
    "another role": "IDENTITY_MALFORMED",
    "another log": "OTHER_LOG",
    "another council": "OTHER_LOG",
    "simulation that says it is hardware": "EVIDENCE_INVALID",
    "no known kind": "EVIDENCE_MALFORMED",
    "truncated evidence": "EVIDENCE_MALFORMED",
    "unknown field": "EVIDENCE_MALFORMED",
    "oversized evidence": "EVIDENCE_MALFORMED",
    "a second lease": "LEASE_PRESENTED_TWICE",
    "another's lease": "JOIN_UNKNOWN",
    "renewal of no lease": "LEASE_UNKNOWN",
    "release of no form": "DOCUMENT_MALFORMED",
    "a commit": "FRAME_UNEXPECTED",
    "a result key": "FRAME_UNEXPECTED",
    "a record": "FRAME_UNEXPECTED",
    "a commit to the host": "FRAME_UNEXPECTED",
    "a secret of the host": "FRAME_UNEXPECTED",
    "another worker": "FRAME_UNEXPECTED",
}


@pytest.fixture(scope="module")
def data(world: Any) -> Any:
    return world.data()


@pytest.fixture(scope="module")
def answers(world: Any, data: Any) -> Any:
    """What the authority and the host told the program; the log has its lease and its release, and
    no more."""
    outputs = {"out": Output(16_000)}
    job = world.job(world.bundle(SPEAK).digest, {"data": data}, outputs=outputs)
    ended = world.client.runs.wait(world.client.runs.start(world.ticket(job, uses=1 + 1)).id)
    assert ended.state == "finished", ended.refusal
    assert world.entries_of(ended.id) == ["lease", "release"]
    leased = [e for e in world.entries() if e["kind"] == "lease"]
    assert [e["job"] for e in leased] == [ended.id]
    return json.loads(world.output(ended.id))


@pytest.mark.parametrize("case", ANSWERS)
def test_a_worker_obtains_nothing_that_is_not_its_own(answers: Any, case: str) -> None:
    reason, message, details = answers[case]
    assert reason == ANSWERS[case], message
    assert message.endswith(".")
    assert set(details) <= {"claim", "expected", "actual", "rule", "remedy"}
    assert set(answers) == set(ANSWERS)


LATE = (
    CLIMB
    + """

def main(job):
    climb("attempt").call(climb("renewing").stop())  # nobody renews
    _kernel.exit_at(60.0, 86)  # and nobody ends it
    time.sleep(4.2)
    with job.output("out") as sink:
        sink.write(b"late")
"""
)


def test_a_lease_past_its_deadline_releases_nothing(world: Any, data: Any) -> None:
    job = world.job(world.bundle(LATE).digest, {"data": data}, attempts=1)
    ended = world.failed(world.ticket(job), "LEASE_EXPIRED")
    world.check_refusal(ended.refusal, "LEASE_EXPIRED", "expected", "actual", claim="deadline")


OVERTIME = (
    CLIMB
    + """

def main(job):
    renewing = climb("renewing")
    renewing.arm = lambda seconds: _kernel.exit_at(60.0, 86)  # the lease is renewed, the end is not
    renewing.arm(0)
    time.sleep(4.2)
    with job.output("out") as sink:
        sink.write(b"late")
"""
)


def test_the_time_of_the_job_is_not_extended_by_renewals(world: Any, data: Any) -> None:
    job = world.job(world.bundle(OVERTIME).digest, {"data": data}, deadline_seconds=1)
    ended = world.failed(world.ticket(job), "LEASE_EXPIRED")
    world.check_refusal(ended.refusal, "LEASE_EXPIRED", "actual", claim="deadline_seconds")


TWICE = (
    CLIMB
    + """

def main(job):
    link = climb("worker")._connection.link
    request = link.request

    async def twice(kind, message, **to):
        first = await request(kind, message, **to)
        if kind == pb.KIND_RELEASE:
            try:
                await request(kind, message, **to)
            except Exception as refusal:
                os._exit(41 if refusal.reason == "LEASE_PRESENTED_TWICE" else 42)
            os._exit(43)
        return first

    link.request = twice
    with job.output("out") as sink:
        sink.write(b"once")
"""
)


def test_a_lease_presented_twice_releases_once(world: Any, data: Any) -> None:
    job = world.job(world.bundle(TWICE).digest, {"data": data})
    ended = world.client.runs.wait(world.client.runs.start(world.ticket(job)).id)
    assert ended.state == "finished", ended.refusal
    assert world.output(ended.id) == b"once"
    world.until(lambda: f"attempt-ended job={ended.id} code=41 " in world.host_log())
    assert world.entries_of(ended.id) == ["lease", "release"]
    assert world.client.runs.get(ended.id) == ended


def test_no_attack_left_a_lease_open(world: Any) -> None:
    """After all of the above."""
    kinds = [entry["kind"] for entry in world.entries()]
    assert kinds.count("lease") == kinds.count("release") + kinds.count("close")
