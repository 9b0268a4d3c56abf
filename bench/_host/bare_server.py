# SPDX-License-Identifier: Apache-2.0
"""The bare peer: a grpc.aio server with the host's own certificate, which writes a stream to the
disk and answers a call with the same bytes each time.

    python bench/_host/bare_server.py CERTIFICATE KEY FOLDER

It prints its port. A stream is written in parts of 8 MiB, each flushed by fsync before the next one
is begun; no digest is made of it.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from placet.proto.limits import GRPC_OPTIONS, MIB
from placet.proto.v1 import blobs_pb2, log_pb2

PART = 8 * MIB


class Bare:
    """Put and GetCheckpoint, without ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = log_pb2.CheckpointResponse(note=b"n" * 300)

    async def put(self, requests: Any, _: Any) -> blobs_pb2.BlobInfo:
        header = (await anext(requests)).header
        part, number, length = bytearray(), 0, 0
        async for request in requests:
            part += request.chunk
            if len(part) >= PART:
                await asyncio.to_thread(self._write, number, part)
                length, number, part = length + len(part), number + 1, bytearray()
        await asyncio.to_thread(self._write, number, part)
        length += len(part)
        return blobs_pb2.BlobInfo(id=header.id, length=length, received=length, complete=True)

    async def checkpoint(self, _: Any, __: Any) -> log_pb2.CheckpointResponse:
        return self._note

    def _write(self, number: int, part: bytearray) -> None:
        with (self._folder / f"part-{number}").open("wb") as file:
            file.write(part)
            file.flush()
            os.fsync(file.fileno())


async def serve(certificate: Path, key: Path, folder: Path) -> None:
    bare = Bare(folder)
    blobs: dict[str, Any] = {
        "Put": grpc.stream_unary_rpc_method_handler(
            bare.put, blobs_pb2.PutRequest.FromString, blobs_pb2.BlobInfo.SerializeToString
        )
    }
    log: dict[str, Any] = {
        "GetCheckpoint": grpc.unary_unary_rpc_method_handler(
            bare.checkpoint,
            log_pb2.GetCheckpointRequest.FromString,
            log_pb2.CheckpointResponse.SerializeToString,
        )
    }
    server = grpc.aio.server(options=GRPC_OPTIONS)
    for name, handlers in (("Blobs", blobs), ("Log", log)):
        handler = grpc.method_handlers_generic_handler(f"placet.v1.{name}", handlers)
        server.add_generic_rpc_handlers((handler,))
    pair = [(key.read_bytes(), certificate.read_bytes())]
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*map(Path, sys.argv[1:4])))
