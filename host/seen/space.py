# SPDX-License-Identifier: Apache-2.0
"""Who takes how much of the disk: by what it is, and, of blobs, by whose they are."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from placet.host.blobs.blob_files import BlobFiles

KINDS = ("blobs", "broken", "database", "logs", "tmp")


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes by KINDS, and those of blobs by the public key of their owner, "" for nobody's."""

    kinds: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    owners: Mapping[str, int] = field(default_factory=lambda: dict[str, int]())


def measure(state: Path) -> Space:
    """What a state folder takes now. Blocks, for as long as it takes to look at every file."""
    kinds, owners = Counter[str](dict.fromkeys(KINDS, 0)), Counter[str]()
    files = BlobFiles(state / "blobs")
    for blob in files.blobs():
        size, manifest = _size(state / "blobs" / blob), files.manifest(blob)
        kinds["blobs" if manifest is not None and manifest.complete else "broken"] += size
        owners["" if manifest is None else manifest.owner] += size
    kinds["database"] = sum(_length(path) for path in state.glob("placet.db*"))
    kinds["logs"], kinds["tmp"] = _size(state / "logs"), _size(state / "tmp")
    return Space(kinds, owners)


def _size(folder: Path) -> int:
    return sum(
        _length(Path(parent) / name) for parent, _, names in os.walk(folder) for name in names
    )


def _length(path: Path) -> int:
    """0 for a file that has just gone."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
