# SPDX-License-Identifier: Apache-2.0
"""Finished work is kept: a worker whose output the host cannot take in for a moment tries again."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from placet.enclave.connection import METADATA
from placet.host.blobs.blob_files import BlobFiles
from placet.host.enclaves.attach import Enclaves
from placet.proto.v1 import blobs_pb2, enclaves_pb2
from placet.refusals import AuthorityUnavailable, QueueFull
from tests.support.council import Council

PROGRAM = "def main(job): job.output('out').write(b'done')  # "


@pytest.fixture(scope="module")
def narrow(start: Callable[..., Any]) -> Any:
    """A host that takes in one blob at a time, with leases of two seconds."""
    return start(Council(lease_seconds=2), max_puts=1)


@pytest.fixture(scope="module")
def data(narrow: Any) -> Any:
    return narrow(narrow.live.provision(b"plain"))[0]


def no_room(_: object) -> int:
    """Bytes that a full disk has room for."""
    return 0


def check(outcome: Any) -> None:
    """Released, by the one attempt that the ticket allows."""
    assert outcome.results == {"out": b"done"}, (outcome.reason, outcome.message)


def test_it_outlasts_a_full_queue_and_several_leases(narrow: Any, data: Any) -> None:
    async def story() -> Any:
        live = narrow.live
        ticket = live.council.ticket(await live.program(PROGRAM + "queue"), {"data": data})
        header = blobs_pb2.PutHeader(id=os.urandom(16).hex(), length=9, sha256=bytes(32))
        held = live.blobs.Put(metadata=METADATA)
        await held.write(blobs_pb2.PutRequest(header=header))  # and nothing after it

        async def when(state: str) -> None:
            if state == "RUNNING":
                asyncio.get_running_loop().call_later(4.5, held.cancel)

        return await live.result(await live.watch(await live.submit(ticket), when))

    check(narrow(story()))
    assert sum(b'"kind":"renewal"' in entry for entry in narrow(narrow.live.entries())) >= 2


def test_it_outlasts_a_full_disk(narrow: Any, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def when(state: str) -> None:
        if state == "LEASED":
            monkeypatch.setattr(BlobFiles, "free", no_room)
            asyncio.get_running_loop().call_later(1.5, monkeypatch.undo)

    check(narrow(narrow.live.run(PROGRAM + "disk", {"data": data}, when)))


def test_it_outlasts_a_release_that_nobody_takes(
    narrow: Any, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle, refusals = Enclaves.handle, [AuthorityUnavailable("No authority."), QueueFull("Full.")]

    async def short(self: Any, session: Any, frame: enclaves_pb2.Frame) -> Any:
        if frame.kind == enclaves_pb2.KIND_RELEASE and refusals:
            raise refusals.pop()
        return await handle(self, session, frame)

    monkeypatch.setattr(Enclaves, "handle", short)
    check(narrow(narrow.live.run(PROGRAM + "release", {"data": data})))
    assert not refusals


def test_it_ends_with_the_job_s_time(
    narrow: Any, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def when(state: str) -> None:
        if state == "LEASED":
            monkeypatch.setattr(BlobFiles, "free", no_room)

    outcome = narrow(narrow.live.run(PROGRAM + "end", {"data": data}, when, seconds=2))
    assert (outcome.state, outcome.reason) == ("FAILED", "BLOB_INCOMPLETE")
