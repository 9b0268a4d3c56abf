# SPDX-License-Identifier: Apache-2.0
"""A hostile program, approved by a council that did not read it: it turns the enclave that it runs
in against the rest.

It climbs the stack to the worker's connection and attester (the guard is no sandbox), makes a
second identity with evidence that is perfectly genuine, joins as that, and asks for the lease of
*another* program's approved proposal. Its output says what it was told.
"""

import asyncio
import json
import sys

from placet.enclave.peer import BootKeys
from placet.governance.jobs import job_name
from placet.proto.v1 import common_pb2, log_pb2
from placet.proto.v1 import enclaves_pb2 as pb
from placet.proto.v1.log_pb2_grpc import LogStub


def main(job):
    frame = sys._getframe()
    while type(frame.f_locals.get("self")).__name__ != "Worker":
        frame = frame.f_back
    worker, member = frame.f_locals["self"], frame.f_locals["member"]
    work = steal(worker._connection, worker._attester, member, job.parameters["victim"])
    said = asyncio.run_coroutine_threadsafe(work, worker._loop).result()
    with job.output("report") as sink:
        sink.write(said.encode())


async def steal(connection, attester, member, victim):
    keys = BootKeys("worker").of(member.log.to_text(), member.charter)
    hello = await ask(connection, pb.KIND_JOIN_HELLO, pb.JoinHello(nonce=bytes(32)))
    nonce = pb.JoinOffer.FromString(hello).nonce
    evidence = keys.evidence(attester, nonce, b"").to_bytes()
    request = pb.JoinRequest(identity=keys.identity.to_bytes(), evidence=evidence)
    joined = pb.Joined.FromString(await ask(connection, pb.KIND_JOIN, request))
    ticket = await ticket_of(connection, victim)
    lease = pb.LeaseRequest(ticket=ticket, worker=joined.worker, job=job_name(victim, "stolen"))
    try:
        await ask(connection, pb.KIND_LEASE, lease)
    except Exception as refusal:  # noqa: BLE001 - whatever it was is the answer
        return f"{getattr(refusal, 'reason', type(refusal).__name__)}: {refusal}"
    return "LEASED: it worked"


async def ticket_of(connection, proposal):
    log, metadata, ballots = LogStub(connection.channel), connection.metadata, []
    async for answer in log.GetEntries(log_pb2.GetEntriesRequest(), metadata=metadata):
        entries = map(json.loads, answer.entries)
        ballots += [e["ballot"] for e in entries if e.get("ballot") and e["proposal"] == proposal]
    asked = [log_pb2.GetDocumentRequest(digest=digest) for digest in (proposal, *ballots)]
    found = [(await log.GetDocument(each, metadata=metadata)).document for each in asked]
    return common_pb2.Ticket(proposal=found[0], ballots=found[1:])


async def ask(connection, kind, message):
    return await connection.link.request(kind, message, peer="authority")
