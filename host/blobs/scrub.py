# SPDX-License-Identifier: Apache-2.0
"""A scrub: every blob is read again, at a bounded rate, and held against its manifest. It reads
only, so a host may run meanwhile; all functions block."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from placet.host.blobs.blob_files import BlobFiles, Manifest

Condition = Literal["whole", "unfinished", "lost", "damaged", "unreadable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How a blob is: `unfinished` if its put broke off, `lost` if a part is gone or has another
    length, `damaged` if its bytes are others, `unreadable` if the disk fails or the manifest is
    none."""

    blob: str
    condition: Condition
    length: int

    @property
    def bad(self) -> bool:
        """Whether it has to be put again."""
        return self.condition in ("lost", "damaged", "unreadable")


class Pace:
    """Waits, so that no more than so many bytes a second are read."""

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._due = clock()

    def __call__(self, size: int) -> None:
        now = self._clock()
        self._sleep(max(self._due - now, 0.0))
        self._due = max(self._due, now) + size / self._rate


def scrub(files: BlobFiles, pace: Callable[[int], None]) -> Iterator[Finding]:
    """What there is, in the order of ids; a blob that is deleted meanwhile is left out."""
    for blob in sorted(files.blobs()):
        try:
            manifest = files.manifest(blob)
            if manifest is None:
                if files.has_manifest(blob):
                    yield Finding(blob, "unreadable", 0)
                continue
            condition = _condition(files, blob, manifest, pace)
            if files.manifest(blob) == manifest:
                yield Finding(blob, condition, manifest.length)
        except OSError:
            yield Finding(blob, "unreadable", 0)


def _condition(
    files: BlobFiles, blob: str, manifest: Manifest, pace: Callable[[int], None]
) -> Condition:
    if not manifest.complete:
        return "unfinished"
    if files.received(blob, manifest) != manifest.parts:
        return "lost"
    try:
        found = files.digest(blob, manifest, pace)
    except FileNotFoundError:
        return "lost"
    return "whole" if found == manifest.sha256 else "damaged"
