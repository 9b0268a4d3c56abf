# SPDX-License-Identifier: Apache-2.0
"""The sealed objects of an attempt: inputs brought and checked against their roots, outputs sealed
and stored.

Only ciphertext touches the disk. The plaintext of an input exists where the program asked for
it, that of an output in memory until it is sealed.
"""

import asyncio
import io
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio
from typing_extensions import Buffer

from placet.enclave.connection import Connection
from placet.enclave.worker import blobs
from placet.enclave.worker.job import Input
from placet.enclave.worker.patience import pauses
from placet.governance.documents.lease import RESULT_KIND, output_id
from placet.governance.documents.work.parts import Output
from placet.sealing import ObjectDescriptor, StreamKey, open_stream, pad, seal_stream, verify_root
from placet.sealing import StreamReader as Reader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Runs a coroutine where the stream to the host lives, and waits for it.
Call = Callable[[Coroutine[Any, Any, None]], None]

_AT_ONCE = 8  # streams that are fetched side by side


class Objects:
    """Between scratch, the host's blobs and the program. Used from the main thread.

    `left` says for how many seconds outputs may be tried to be stored; inputs are tried to be
    brought in the first half of them.
    """

    def __init__(
        self, host: Connection, call: Call, scratch: Path, left: Callable[[], float]
    ) -> None:
        self._host = host
        self._call = call
        self._scratch = scratch
        self._left = left
        half = left() / 2
        self._bringing = lambda: left() - half

    def bring(self, name: str, descriptor: ObjectDescriptor, key: StreamKey) -> Input:
        """Fetch the sealed bytes and check them against the descriptor's root, segment by segment.

        They lie on the host's disk, so each segment is checked again when it is opened.
        """
        path = self._scratch / f"input-{name}"
        self._call(blobs.fetch(self._host, descriptor, path, self._bringing))
        with path.open("rb", buffering=0) as source:
            leaves = verify_root(source, descriptor)
        return Input(
            lambda: _Opened(path, key, descriptor, leaves), descriptor.length, descriptor.labels
        )

    def bring_streams(
        self, ids: Sequence[str], length: int, arrived: Callable[[int], None]
    ) -> tuple[list[Path], set[str]]:
        """Fetch the sealed bytes of streams that have no descriptor, a few at a time.

        Returns a file for each, in order, and which of them could not be fetched. `length` is what
        each should have; no more than a little above it is taken in. A file that is too short or
        too long is for whoever reads it to see. `arrived` is told how many streams have been dealt
        with.
        """
        paths = [self._scratch / f"stream-{number}" for number in range(len(ids))]
        missing = set[str]()

        async def bring_all() -> None:
            wanted = iter(zip(ids, paths, strict=True))
            done = 0

            async def bring_some() -> None:
                nonlocal done
                for object_id, path in wanted:
                    try:
                        await blobs.receive(self._host, object_id, length, path, self._bringing)
                    except grpc.aio.AioRpcError:
                        missing.add(object_id)
                    done += 1
                    arrived(done)

            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(bring_some())

        self._call(bring_all())
        return paths, missing

    def store(
        self, contents: Mapping[str, Buffer], declared: Mapping[str, Output], owner: str, lease: str
    ) -> tuple[StreamKey, dict[str, ObjectDescriptor]]:
        """Seal every output of a lease at its declared size under one new key, and put it.

        A disk or a host that is short of something is tried again. The caller wipes the key.
        """
        key, descriptors = self._seal_patiently(contents, declared, lease)
        for name, descriptor in descriptors.items():
            path = self._output(name)
            self._call(blobs.store(self._host, descriptor.id, owner, path, self._left))
        return key, descriptors

    def _seal_patiently(
        self, contents: Mapping[str, Buffer], declared: Mapping[str, Output], lease: str
    ) -> tuple[StreamKey, dict[str, ObjectDescriptor]]:
        for pause in pauses(self._left):
            try:
                return self._seal(contents, declared, lease)
            except OSError:  # scratch lies on the host's disk, and is ciphertext
                time.sleep(pause)
        return self._seal(contents, declared, lease)

    def _seal(
        self, contents: Mapping[str, Buffer], declared: Mapping[str, Output], lease: str
    ) -> tuple[StreamKey, dict[str, ObjectDescriptor]]:
        """Every output as a file, under a key that nothing was sealed under before."""
        key, descriptors = StreamKey.generate(), dict[str, ObjectDescriptor]()
        try:
            for name, content in contents.items():
                plain = _Plain(content)
                padded = pad(plain, plain.length, declared[name].max_bytes)
                with self._output(name).open("wb") as sink:
                    descriptors[name] = seal_stream(
                        padded,
                        sink,
                        key,
                        kind=RESULT_KIND,
                        labels=(),
                        object_id=output_id(lease, name, key.commitment),
                    )
        except BaseException:
            key.wipe()
            raise
        return key, descriptors

    def _output(self, name: str) -> Path:
        return self._scratch / f"output-{name}"


class _Plain:
    """The bytes of an output as a source, read where they lie: a copy would not be wiped."""

    def __init__(self, content: Buffer) -> None:
        self._left = memoryview(content).cast("B")
        self.length = len(self._left)

    def readinto(self, buffer: memoryview, /) -> int:
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _Opened(io.RawIOBase):
    """The plaintext of an object in a file; closing it closes the file and wipes the reader's
    buffers."""

    def __init__(
        self, path: Path, key: StreamKey, descriptor: ObjectDescriptor, leaves: tuple[bytes, ...]
    ) -> None:
        super().__init__()
        self._sealed = path.open("rb", buffering=0)
        try:
            self._reader: Reader = open_stream(self._sealed, key, descriptor, leaf_hashes=leaves)
        except BaseException:
            self._sealed.close()
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        return self._reader.readinto(buffer)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._reader.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
            self._sealed.close()
        super().close()
