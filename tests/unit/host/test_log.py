# SPDX-License-Identifier: Apache-2.0
"""The log and the council's documents as the host stores and serves them."""

from typing import Any

from placet.auditing.consistency import verify_consistency
from placet.auditing.tiles.contents import decode_entries, decode_tile
from placet.auditing.tiles.paths import TilePath
from placet.governance.log import (
    VerifierKey,
    leaf_hash,
    verify_checkpoint,
    verify_inclusion,
)
from placet.proto.v1 import governance_pb2, log_pb2


def key_of(world: Any) -> VerifierKey:
    """The key of the log, as the council has it."""
    return VerifierKey.from_text(world.council.log)


async def entries_of(client: Any, world: Any, start: int = 0, end: int = 0) -> list[bytes]:
    request = log_pb2.GetEntriesRequest(start=start, end=end)
    call = client.log.GetEntries(request, metadata=world.metadata)
    return [entry async for batch in call for entry in batch.entries]


def test_anyone_can_check_the_log(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            await client.run(world.ticket("release", uses=1))
            for _ in range(20):
                proposal = governance_pb2.DocumentRequest(envelope=world.ticket("hang").proposal)
                await client.governance.Propose(proposal, metadata=world.metadata)
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
            proposal = governance_pb2.DocumentRequest(envelope=world.ticket("hang").proposal)
            committed = await client.governance.Propose(proposal, metadata=world.metadata)
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
            founding = world.council.founding()  # of which the log has entry 0
            ticket = world.ticket("release")
            given = [founding.constitution, founding.charter, ticket.proposal, world.ballot(ticket)]
            for method, envelope in ((governance.Propose, given[2]), (governance.Vote, given[3])):
                await method(governance_pb2.DocumentRequest(envelope=envelope), metadata=meta)
            for envelope in given:
                request = log_pb2.GetDocumentRequest(digest=world.digest(envelope))
                document = await client.log.GetDocument(request, metadata=meta)
                assert document.document == envelope
            missing = log_pb2.GetDocumentRequest(digest="sha256:" + "0" * 64)
            call = client.log.GetDocument(missing, metadata=meta)
            await refused(call, "DOCUMENT_NOT_FOUND")

    run(body())
