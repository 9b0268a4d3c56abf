# SPDX-License-Identifier: Apache-2.0
"""A hostile program, approved by a council that did not read it: it turns the enclave that it runs in against the rest.

It finds the worker's attester and its stream to the host, makes a second identity with evidence that is perfectly
genuine, joins as that, and asks for the lease of *another* program's approved proposal. Its output says what it was told.
"""

import asyncio
import gc

from placet.enclave.connection import METADATA
from placet.enclave.peer import Keys
from placet.proto.v1 import enclaves_pb2 as pb
from placet.proto.v1 import governance_pb2, governance_pb2_grpc


def main(job):
    attempt = next(o for o in gc.get_objects() if type(o).__name__ == "Attempt")
    attester = next(o for o in gc.get_objects() if type(o).__name__ == "SimulatedAttester")
    connection, loop = attempt._connection, attempt._loop
    work = steal(connection, attester, attempt._member.log.to_text(), job.parameters["victim"])
    said = asyncio.run_coroutine_threadsafe(work, loop).result()
    with job.output("report") as sink:
        sink.write(said.encode())


async def steal(connection, attester, log, victim):
    keys = Keys("worker", log)
    hello = await ask(connection, pb.KIND_JOIN_HELLO, pb.JoinHello(nonce=bytes(32)))
    nonce = pb.JoinOffer.FromString(hello).nonce
    evidence = keys.evidence(attester, nonce, b"").to_bytes()
    request = pb.JoinRequest(identity=keys.identity.to_bytes(), evidence=evidence)
    joined = pb.Joined.FromString(await ask(connection, pb.KIND_JOIN, request))
    stub = governance_pb2_grpc.GovernanceStub(connection.channel)
    found = await stub.GetProposal(
        governance_pb2.GetProposalRequest(digest=victim), metadata=METADATA
    )
    lease = pb.LeaseRequest(ticket=found.ticket, worker=joined.worker, job="stolen")
    try:
        await ask(connection, pb.KIND_LEASE, lease)
    except Exception as refusal:  # noqa: BLE001 - whatever it was is the answer
        return f"{getattr(refusal, 'reason', type(refusal).__name__)}: {refusal}"
    return "LEASED: it worked"


async def ask(connection, kind, message):
    return await connection.link.request(kind, message, peer="authority")
