# SPDX-License-Identifier: Apache-2.0
"""Writing a log out as files that others read (C2SP tlog-tiles), with the documents it names.

    FOLDER/checkpoint           the newest; written last, so that it covers what is there
    FOLDER/tile/<L>/<N>         hash tiles; with .p/<W> partial ones
    FOLDER/tile/entries/<N>     bundles of entries
    FOLDER/documents/<hex>      documents by the digits of their digests

An export goes on where an earlier one ended, or broke off: it writes what is new. What is there is
never changed, but a partial tile goes once the full one is there.
"""

import fcntl
import os
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from placet.auditing.consistency import verify_extends
from placet.auditing.tiles.contents import MAX_BUNDLE_BYTES, encode_entries, encode_tile
from placet.auditing.tiles.paths import (
    CHECKPOINT_PATH,
    TILE_WIDTH,
    TilePath,
    document_path,
    tile_paths,
)
from placet.client.errors import FileRefused
from placet.client.files import read_file, write_file
from placet.client.log.replica import forked
from placet.governance.envelope import digest_of, parse_envelope
from placet.governance.log import (
    MAX_NOTE_BYTES,
    Tree,
    VerifierKey,
    leaf_hash,
    verify_checkpoint,
)
from placet.refusals import LogCheckpointInvalid, LogTileMalformed, Refusal


@dataclass(frozen=True, slots=True)
class Export:
    """What an export wrote: the log has `size` entries. `missing` are documents that the host did
    not give; an audit of the folder will say so."""

    size: int
    root: str
    files: int
    documents: int
    missing: tuple[str, ...]


def lacking(folder: Path, digests: Iterable[str]) -> list[str]:
    """Those of the documents that the folder does not have."""
    return [d for d in digests if (path := _path_of(folder, d)) is None or not path.exists()]


def write_log(
    folder: Path,
    key: VerifierKey,
    note: bytes,
    entries: Sequence[bytes],
    documents: Mapping[str, bytes],
) -> int:
    """Write the entries under a verified checkpoint, and documents; returns how many files of the
    log are new.

    Raises `FileRefused` for a folder that holds something else, `LogTruncated` or `LogForked` for
    one that holds a longer log or another history.
    """
    tree = Tree(map(leaf_hash, entries))
    with _held(folder):
        before = _size_before(folder, key, note, tree)
        paths = list(tile_paths(before, tree.size))
        new = sum(_write(folder / p.to_text(), _rendered(p, tree, entries)) for p in paths)
        for digest, document in documents.items():
            if (place := _path_of(folder, digest)) is not None:
                place.parent.mkdir(exist_ok=True)
                write_file(place, document)
        if new or before != tree.size:
            write_file(folder / CHECKPOINT_PATH, note)
        for path in paths:
            if path.width == TILE_WIDTH:
                shutil.rmtree(folder / f"{path.to_text()}.p", ignore_errors=True)
    return new


def is_document(digest: str, data: bytes) -> bool:
    """Whether these bytes are the document of a digest: an envelope's is that of its payload."""
    if digest_of(data) == digest:
        return True
    try:
        return parse_envelope(data).digest == digest
    except Refusal:
        return False


@contextmanager
def _held(folder: Path) -> Generator[None]:
    """One export at a time writes into a folder: of two, the older would write over the newer."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no folder can have this name"
        raise FileRefused(f"Cannot write to {folder}: {why}. Name another folder.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _size_before(folder: Path, key: VerifierKey, note: bytes, tree: Tree) -> int:
    """How many entries are there already: a checkpoint is written after what it covers."""
    path = folder / CHECKPOINT_PATH
    if not path.exists():
        return 0
    try:
        found = verify_checkpoint(read_file(path, MAX_NOTE_BYTES), key)
    except LogCheckpointInvalid:
        raise FileRefused(
            f"{path} is no checkpoint of this council's log. Name another folder.", claim=str(path)
        ) from None
    newest = verify_checkpoint(note, key)
    if found.size > newest.size:
        verify_extends(found, newest, ())  # always raises
    if tree.root(found.size) != found.root:
        raise forked(found)
    return found.size


def _rendered(path: TilePath, tree: Tree, entries: Sequence[bytes]) -> bytes:
    if path.level is None:
        return encode_entries(entries[path.start : path.start + path.width])
    return encode_tile(tree, path)


def _write(path: Path, data: bytes) -> bool:
    """Whether the file is new. Raises `FileRefused` for one that holds something else."""
    if path.exists():
        if read_file(path, MAX_BUNDLE_BYTES) != data:
            raise FileRefused(
                f"{path} is not what this council's log has there. Keep it, and name another "
                "folder.",
                claim=str(path),
            )
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileRefused(f"Cannot write {path}: {error.strerror}. Name another folder.") from None
    write_file(path, data)
    return True


def _path_of(folder: Path, digest: str) -> Path | None:
    """Where a document lies; None for a name that no document can have."""
    try:
        return folder / document_path(digest)
    except LogTileMalformed:
        return None
