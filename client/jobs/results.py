# SPDX-License-Identifier: Apache-2.0
"""Results: nothing is opened before the receipt was verified, and nothing is kept that did not
verify.

Steps of `result`:
  1. fetch receipt, proof, entry and key envelope; verify the receipt against the pinned council;
  2. the proof's checkpoint is of the one log that was read;
  3. the receipt is the job's, and answers the proposal that the job's name says it is of;
  4. open the result key, which is bound to the receipt's digest and the recipient's name;
  5. for each output: fetch the sealed bytes, verify their root, open, take the padding off;
  6. keep the key in the receipt's file, sealed to the recipient, so that files can be held against
     the receipt later.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from placet.client.data.blobs import AsyncBlobs
from placet.client.data.objects import Progress
from placet.client.errors import FileRefused
from placet.client.files import replacing
from placet.client.trust.openings import Content
from placet.client.trust.verify import VerifiedReceipt
from placet.sealing import (
    HEADER_BYTES,
    ObjectDescriptor,
    StreamKey,
    open_stream,
    unpad_into,
    verify_root,
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a job released: the verified receipt, the opened outputs by name, and the receipt's
    file."""

    receipt: VerifiedReceipt
    outputs: dict[str, Path]
    receipt_file: Path


async def open_outputs(
    blobs: AsyncBlobs,
    outputs: Mapping[str, ObjectDescriptor],
    key: StreamKey,
    folder: Path,
    progress: Progress | None,
    force: bool,
) -> tuple[dict[str, Path], dict[str, Content]]:
    """Step 5, for all outputs of a verified receipt: the files that were written, and what they
    hold, by name."""
    _prepare(folder)
    total, done = sum(d.sealed_length for d in outputs.values()), 0
    paths: dict[str, Path] = {}
    contents: dict[str, Content] = {}
    for name, descriptor in sorted(outputs.items()):
        report = _shifted(progress, done, total)
        paths[name] = folder / name
        contents[name] = await _fetched(blobs, paths[name], descriptor, key, report, force)
        done += descriptor.sealed_length
    return paths, contents


async def _fetched(
    blobs: AsyncBlobs,
    path: Path,
    descriptor: ObjectDescriptor,
    key: StreamKey,
    progress: Progress | None,
    force: bool,
) -> Content:
    sealed = path.with_name(f".{descriptor.id}.sealed")
    length = descriptor.sealed_length
    await blobs.get(descriptor.id, sealed, length=length, progress=progress)
    try:
        return await asyncio.to_thread(_open_output, sealed, path, descriptor, key, force)
    finally:
        sealed.unlink(missing_ok=True)


def _open_output(
    sealed: Path, path: Path, descriptor: ObjectDescriptor, key: StreamKey, force: bool
) -> Content:
    with sealed.open("rb") as source, replacing(path, mode=0o600, keep=not force) as plain:
        leaves = verify_root(source, descriptor)
        with open_stream(source, key, descriptor, leaf_hashes=leaves) as reader:
            unpad_into(reader, plain, descriptor.length)
        source.seek(0)
        plain.seek(0)
        return Content.of(source.read(HEADER_BYTES), plain)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileRefused(f"Cannot make {folder}: {error.strerror}. Name another.") from None


def _shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(start + done, total)
