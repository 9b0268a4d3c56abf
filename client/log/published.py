# SPDX-License-Identifier: Apache-2.0
"""Auditing a published log, without its host: the files that `placet log export` writes.

Steps of `audit_published`:
  1. the charter has the digest that names the council, and names the log's key;
  2. that key has signed the checkpoint;
  3. the entries in the bundles have the checkpoint's root;
  4. checkpoint and what this home has seen of the log are of one history;
  5. all is judged again (`placet.auditing.audit`).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from placet.auditing.audit import AuditReport, audit
from placet.auditing.tiles.contents import MAX_BUNDLE_BYTES, decode_entries
from placet.auditing.tiles.paths import CHECKPOINT_PATH, TilePath, document_path, tile_paths
from placet.client.errors import FileRefused
from placet.client.log.auditing import GivenDocuments, attest, digests_in
from placet.client.log.memory import CouncilMemory
from placet.client.log.places import Place
from placet.client.log.replica import forked
from placet.governance.judgements.founding import verify_charter
from placet.governance.log import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Tree,
    VerifierKey,
    leaf_hash,
    verify_checkpoint,
)

MAX_DOCUMENT_BYTES = 1024 * 1024
_AT_ONCE = 8


def audit_published(place: Place, charter: str, memory: CouncilMemory | None = None) -> AuditReport:
    """Judge the published log of the council whose charter has this digest.

    memory: what a home has seen of the log; the two have to be of one history, whichever is longer.
    Raises `FileRefused` for a file that is missing, `LogCheckpointInvalid`, `LogTileMalformed`,
    `LogForked`, or as `audit`.
    """
    named = verify_charter(_needed(place, document_path(charter), MAX_DOCUMENT_BYTES), charter)  # 1
    note = _needed(place, CHECKPOINT_PATH, MAX_NOTE_BYTES)
    checkpoint = verify_checkpoint(note, VerifierKey.from_text(named.log))  # 2
    entries = read_entries(place, checkpoint.size)
    tree = Tree(map(leaf_hash, entries))
    if tree.root() != checkpoint.root:  # 3
        raise forked(checkpoint)
    if memory is not None and memory.charter == charter:
        _one_history(tree, checkpoint, memory)  # 4
    documents = GivenDocuments(read_documents(place, digests_in(entries)))
    return audit(entries, documents, charter, note, attest=attest)  # 5


def read_entries(place: Place, size: int) -> list[bytes]:
    """The entries of the first `size`. A bundle that has become full may have taken the place of a
    partial one. Raises `FileRefused` or `LogTileMalformed`."""
    entries: list[bytes] = []
    for path in tile_paths(0, size):
        if path.level is not None:
            break
        data = place.find(path.to_text(), MAX_BUNDLE_BYTES)
        if data is None:
            whole = TilePath(None, path.index)
            found = decode_entries(_needed(place, whole.to_text(), MAX_BUNDLE_BYTES), whole)
            entries += found[: path.width]
        else:
            entries += decode_entries(data, path)
    return entries


def read_documents(place: Place, digests: Sequence[str]) -> dict[str, bytes]:
    """Those of the documents that are there."""

    def find(digest: str) -> bytes | None:
        return place.find(document_path(digest), MAX_DOCUMENT_BYTES)

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = zip(digests, threads.map(find, digests), strict=True)
        return {digest: data for digest, data in found if data is not None}


def _needed(place: Place, path: str, limit: int) -> bytes:
    data = place.find(path, limit)
    if data is None:
        raise FileRefused(
            f"The published log has no {path}. Name the folder or address that holds `checkpoint`.",
            claim=path,
        )
    return data


def _one_history(tree: Tree, checkpoint: Checkpoint, memory: CouncilMemory) -> None:
    """Raises `LogForked`."""
    seen = memory.newest()
    if seen is None:
        return
    if seen.size <= tree.size:
        if tree.root(seen.size) != seen.root:
            raise forked(seen)
    elif Tree(map(leaf_hash, memory.entries())).root(tree.size) != checkpoint.root:
        raise forked(checkpoint)
