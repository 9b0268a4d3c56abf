# SPDX-License-Identifier: Apache-2.0
"""Finished work is kept: a worker whose output the host cannot take in for a moment tries again."""

import asyncio
import os
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from placet.client.connection.channel import METADATA
from placet.host.blobs.blob_store import BlobStore
from placet.host.enclaves.attach import Enclaves
from placet.proto.v1 import blobs_pb2, enclaves_pb2
from placet.refusals import AuthorityUnavailable, QueueFull
from tests.support.council import Council

PROGRAM = "def main(job): job.output('out').write(b'done')  # "


@pytest.fixture(scope="module")
def narrow(start: Callable[..., Any]) -> Any:
    """A host that takes in one blob at a time, with leases of two seconds."""
    return start(Council(lease_seconds=2), max_puts=1, put_wait_seconds=0.2)


@pytest.fixture(scope="module")
def data(narrow: Any) -> Any:
    return narrow(narrow.live.provision(b"plain"))[0]


def full(_: object) -> Any:
    """How a full disk is used."""
    return SimpleNamespace(total=1, used=1, free=0)


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
    async def story() -> Any:
        live = narrow.live
        ticket = live.council.ticket(await live.program(PROGRAM + "disk"), {"data": data})
        monkeypatch.setattr(shutil, "disk_usage", full)
        asyncio.get_running_loop().call_later(2.5, monkeypatch.undo)
        return await live.result(await live.watch(await live.submit(ticket)))

    check(narrow(story()))


def test_it_says_first_what_it_puts_again(
    narrow: Any, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, said = BlobStore.put, list[int]()

    async def lost(self: Any, header: blobs_pb2.PutHeader, *args: Any) -> Any:
        info = await put(self, header, *args)
        said.append(len(header.sha256))
        if len(said) == 1:
            raise QueueFull("The answer was lost.")
        return info

    async def story() -> Any:
        live = narrow.live
        ticket = live.council.ticket(await live.program(PROGRAM + "again"), {"data": data})
        monkeypatch.setattr(BlobStore, "put", lost)
        return await live.result(await live.watch(await live.submit(ticket)))

    check(narrow(story()))
    assert said == [0, 32]


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
    async def story() -> Any:
        live = narrow.live
        program = await live.program(PROGRAM + "end")
        ticket = live.council.ticket(program, {"data": data}, seconds=2)
        monkeypatch.setattr(shutil, "disk_usage", full)
        return await live.watch(await live.submit(ticket))

    outcome = narrow(story())
    assert (outcome.state, outcome.reason) == ("FAILED", "BLOB_INCOMPLETE")
