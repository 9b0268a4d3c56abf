# SPDX-License-Identifier: Apache-2.0
"""The log over plain HTTP: what strangers are given, and no more than over gRPC."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from placet.auditing.tiles.paths import document_path, tile_paths
from placet.client.log.places import open_place
from placet.client.log.published import audit_published
from placet.host import HostConfig
from placet.proto.v1 import governance_pb2, log_pb2

ANY = {"log_http": "127.0.0.1:0"}


async def get(address: str, path: str, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    return status.split(" ")[1], dict(line.split(": ") for line in lines), body


def test_the_log_is_read_and_audited_over_http(world: Any, run: Any) -> None:
    """What takes a login over gRPC is not there, and an audit says so."""

    async def body() -> None:
        async with world.host(**ANY) as (host, client):
            tickets = [world.ticket("hang") for _ in range(3)]
            for ticket in tickets:
                proposal = governance_pb2.DocumentRequest(envelope=ticket.proposal)
                await client.governance.Propose(proposal, metadata=world.metadata)
            place = open_place(f"http://{host.log_http}")
            report = await asyncio.to_thread(audit_published, place, world.council.name)
            assert report.log == world.council.log
            kinds = {one.kind for one in report.not_checked}
            assert kinds == {"boot", "grant", "proposal"} and report.checked

            async def told(path: str) -> bytes:
                request = log_pb2.GetTileRequest(path=path)
                return bytes((await client.log.GetTile(request, metadata=world.metadata)).data)

            for tile in tile_paths(0, report.size):
                status, header, data = await get(host.log_http, f"/{tile.to_text()}")
                assert (status, data) == ("200", await told(tile.to_text()))
                assert header["Content-Type"] == "application/octet-stream"
                assert int(header["Cache-Control"].removeprefix("max-age=")) > 86400
            status, header, note = await get(host.log_http, "/checkpoint")
            assert (status, note) == ("200", await told("checkpoint"))
            assert header["Content-Type"] == "text/plain; charset=utf-8"
            assert header["Cache-Control"] == "max-age=5"
            hidden = document_path(world.digest(tickets[0].proposal))
            more = f"/tile/0/000.p/{report.size + 1}"
            others = (f"/{hidden}", more, "/", "/tile/0/001", "/../placet.db", "/%00", "/tile/0/0")
            for path in others:
                assert (await get(host.log_http, path))[0] == "404"
            assert (await get(host.log_http, "/checkpoint", "POST"))[0] == "404"

    run(body())


def test_without_the_flag_nothing_is_published(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, _):
            assert host.log_http == ""

    run(body())


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="log_http"):
        HostConfig(tmp_path / "state", tmp_path / "cpu", "example.org/log", log_http="8080")
