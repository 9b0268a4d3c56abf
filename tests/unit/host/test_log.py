# SPDX-License-Identifier: Apache-2.0
"""The log and the council's documents as the host stores and serves them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from placet.governance.log import (
    TilePath,
    VerifierKey,
    decode_entries,
    decode_tile,
    leaf_hash,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
)
from placet.governance.log.note import NoteSigner
from placet.host.errors import LogEntryInvalid, LogRange
from placet.host.log.log_table import (
    apply_commit,
    log_size,
    read_checkpoint,
    read_document,
    read_entries,
    read_secret,
)
from placet.host.store.job_table import (
    NewJob,
    find_request,
    get_job,
    insert_job,
    open_leases,
    refuse_job,
)
from placet.host.store.schema import metadata
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, jobs_pb2, log_pb2


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def commit_of(first: int, *entries: dict[str, Any]) -> enclaves_pb2.Commit:
    return enclaves_pb2.Commit(
        first_index=first,
        entries=[json.dumps(entry).encode() for entry in entries],
        documents=[enclaves_pb2.StoredDocument(digest=f"sha256:{first}", document=b"d")],
        secrets=[enclaves_pb2.Secret(name="s", wrapped=str(first).encode())],
        checkpoint=f"note {first + len(entries)}".encode(),
    )


def test_a_commit_is_whole_or_not_at_all(connection: sa.Connection) -> None:
    with connection.begin():
        apply_commit(connection, commit_of(0, {"kind": "boot"}, {"kind": "unknown to hosts"}))
    for bad in (b"", b"[]", b"{", b'{"kind": 1}', b'{"kind": "lease"}', b"[" * 5000):
        commit = commit_of(2, {"kind": "proposal", "proposal": "p"})
        commit.entries.append(bad)
        with pytest.raises(LogEntryInvalid), connection.begin():
            apply_commit(connection, commit)
    for first in (0, 1, 3):
        with pytest.raises(LogRange) as caught:
            apply_commit(connection, commit_of(first, {"kind": "boot"}))
        assert caught.value.details == {"expected": "2", "actual": str(first)}
    assert log_size(connection) == 2
    assert read_checkpoint(connection) == b"note 2"
    assert read_secret(connection, "s") == b"0"
    assert read_document(connection, "sha256:2") is None
    apply_commit(connection, commit_of(2))  # secrets and a checkpoint alone are a commit too
    assert read_secret(connection, "s") == b"2"
    assert len(read_entries(connection, 0, 10)) == 2


def test_entries_move_a_job_and_an_ended_one_stays(connection: sa.Connection) -> None:
    new = NewJob(id="j", request_id=b"r", proposal="p", program="q", ticket=b"t")
    insert_job(connection, new)
    lease = {
        "kind": "lease",
        "lease": "l",
        "proposal": "p",
        "job": "j",
        "attempt": 1,
        "worker": "w",
    }
    effects = apply_commit(connection, commit_of(0, lease))
    assert [(r.state, r.lease) for r in effects.jobs] == [(jobs_pb2.JOB_STATE_LEASED, "l")]
    assert open_leases(connection) == [("l", "j")]
    release = {"kind": "release", "lease": "l", "proposal": "p", "job": "j", "receipt": "r"}
    apply_commit(connection, commit_of(1, release))
    assert open_leases(connection) == []
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_PROGRAM_EXITED)
    assert refuse_job(connection, "j", refusal).state == jobs_pb2.JOB_STATE_RELEASED
    apply_commit(connection, commit_of(2, {**lease, "lease": "l2", "attempt": 2}))
    record = get_job(connection, "j")
    assert (record.state, record.lease, record.receipt) == (jobs_pb2.JOB_STATE_RELEASED, "l", "r")


def test_a_job_that_is_being_started_gets_its_row_with_its_lease(
    connection: sa.Connection,
) -> None:
    starting = {
        job: NewJob(id=job, request_id=job.encode(), proposal="p", program="q", ticket=b"t")
        for job in ("j", "k")
    }
    lease = {
        "kind": "lease",
        "lease": "l",
        "proposal": "p",
        "job": "j",
        "attempt": 1,
        "worker": "w",
    }
    effects = apply_commit(connection, commit_of(0, lease), starting)
    assert [(r.id, r.state, r.lease, r.attempt) for r in effects.jobs] == [
        ("j", jobs_pb2.JOB_STATE_LEASED, "l", 1)
    ]
    assert find_request(connection, b"j", "p") == effects.jobs[0]
    assert find_request(connection, b"k", "p") is None
    # One that waits again before its start was over has its row by then.
    insert_job(connection, starting["k"])
    effects = apply_commit(connection, commit_of(1, {**lease, "lease": "m", "job": "k"}), starting)
    assert [(r.id, r.lease) for r in effects.jobs] == [("k", "m")]


def key_of(world: Any) -> VerifierKey:
    """The key of the scripted log, whose seed the host stores in plain."""
    engine = sa.create_engine(f"sqlite:///{world.folder / 'state' / 'placet.db'}")
    with engine.connect() as connection:
        seed = read_secret(connection, "log-key")
    engine.dispose()
    assert seed is not None
    return NoteSigner(world.origin, seed).verifier_key


async def entries_of(client: Any, world: Any, start: int = 0, end: int = 0) -> list[bytes]:
    request = log_pb2.GetEntriesRequest(start=start, end=end)
    call = client.log.GetEntries(request, metadata=world.metadata)
    return [entry async for batch in call for entry in batch.entries]


def test_anyone_can_check_the_log(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            await client.run(world.ticket("release", uses=1))
            for _ in range(20):
                stop = governance_pb2.DocumentRequest(envelope=world.veto(world.ticket("hang")))
                await client.governance.Stop(stop, metadata=world.metadata)
            note = await client.log.GetCheckpoint(
                log_pb2.GetCheckpointRequest(), metadata=world.metadata
            )
            checkpoint = verify_checkpoint(note.note, key_of(world))
            entries = await entries_of(client, world)
            size = len(entries)
            assert checkpoint.size == size
            assert entries[3:7] == await entries_of(client, world, 3, 7)
            leaves = [leaf_hash(entry) for entry in entries]
            request: Any = log_pb2.InclusionProofRequest(index=2, size=size)
            proof = await client.log.GetInclusionProof(request, metadata=world.metadata)
            verify_inclusion(leaves[2], 2, size, tuple(proof.hashes), checkpoint.root)
            await check_tiles(client, world, entries)
            assert await get_tile(client, world, "checkpoint") == note.note
            await refused(get_tile(client, world, f"tile/0/000.p/{size + 1}"), "LOG_RANGE")
            await refused(get_tile(client, world, "tile/0/001"), "LOG_RANGE")
            await refused(get_tile(client, world, "../placet.db"), "LOG_TILE_MALFORMED")
            await refused(entries_of(client, world, 0, size + 1), "LOG_RANGE")
            await refused(entries_of(client, world, 9, 3), "LOG_RANGE")
            request = log_pb2.InclusionProofRequest(index=size, size=size)
            call = client.log.GetInclusionProof(request, metadata=world.metadata)
            await refused(call, "LOG_RANGE")
        async with world.host() as (_, client):  # the next host has the same log
            assert (await entries_of(client, world))[:size] == entries
            await client.until_health("placet.v1.Keys", serving=True)
            stop = governance_pb2.DocumentRequest(envelope=world.veto(world.ticket("hang")))
            committed = await client.governance.Stop(stop, metadata=world.metadata)
            later = verify_checkpoint(committed.checkpoint, key_of(world))
            request = log_pb2.ConsistencyProofRequest(old_size=size, new_size=later.size)
            proof = await client.log.GetConsistencyProof(request, metadata=world.metadata)
            verify_consistency(size, later.size, checkpoint.root, later.root, tuple(proof.hashes))

    run(body())


async def check_tiles(client: Any, world: Any, entries: list[bytes]) -> None:
    path = TilePath(0, 0, len(entries))
    tile = await get_tile(client, world, path.to_text())
    assert decode_tile(tile, path) == tuple(leaf_hash(entry) for entry in entries)
    path = TilePath(None, 0, len(entries))
    bundle = await get_tile(client, world, path.to_text())
    assert list(decode_entries(bundle, path)) == entries


async def get_tile(client: Any, world: Any, path: str) -> bytes:
    request = log_pb2.GetTileRequest(path=path)
    data: bytes = (await client.log.GetTile(request, metadata=world.metadata)).data
    return data


def test_the_councils_documents_are_read_from_the_store(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            governance, meta = client.governance, world.metadata
            ask = governance_pb2.GetConstitutionRequest()
            await refused(governance.GetConstitution(ask, metadata=meta), "NOT_FOUNDED")
            constitution, charter = world.founding()
            found = governance_pb2.FoundRequest(constitution=constitution, charter=charter)
            await governance.Found(found, metadata=meta)
            held = await governance.GetConstitution(ask, metadata=meta)
            assert (held.charter, list(held.constitutions)) == (charter, [constitution])
            tickets = [world.ticket("release") for _ in range(3)]
            for ticket in tickets:
                document = governance_pb2.DocumentRequest(envelope=ticket.proposal)
                await governance.Propose(document, metadata=meta)
            ballot = world.ballot(tickets[1])
            vote = governance_pb2.DocumentRequest(envelope=ballot)
            await governance.Vote(vote, metadata=meta)
            request: Any = governance_pb2.ListProposalsRequest(limit=2)
            listed = await governance.ListProposals(request, metadata=meta)
            digests = [world.digest(ticket.proposal) for ticket in tickets]
            assert [item.digest for item in listed.proposals] == [digests[2], digests[1]]
            assert [item.ballots for item in listed.proposals] == [0, 1]
            request = governance_pb2.GetProposalRequest(digest=digests[1])
            proposal = await governance.GetProposal(request, metadata=meta)
            assert proposal.ticket.proposal == tickets[1].proposal
            assert list(proposal.ticket.ballots) == [ballot]
            request = governance_pb2.GetProposalRequest(digest="sha256:" + "0" * 64)
            await refused(governance.GetProposal(request, metadata=meta), "DOCUMENT_NOT_FOUND")
            request = log_pb2.GetDocumentRequest(digest=digests[0])
            document = await client.log.GetDocument(request, metadata=meta)
            assert document.document == tickets[0].proposal

    run(body())
