# SPDX-License-Identifier: Apache-2.0
"""Workers of a service as processes: from the lease to the end of it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.proto.refusals import reason_name
from placet.proto.v1 import enclaves_pb2
from tests.support import serving


@pytest.mark.parametrize("released", [False, True], ids=["a file", "the output of a job"])
def test_a_model_is_served_until_somebody_vetoes(play: Any, tmp_path: Path, released: bool) -> None:
    async def story(service: Any) -> None:
        worker = serving.WorkerProcess(service, tmp_path)
        await worker.begin()
        session = await worker.session()
        for rows in ([[1, 2]], [[3], [4]]):
            mean = await worker.ask(session, rows)
            assert np.allclose(mean, serving.TABLE[rows].mean(1))
        await service.stage.record(service.council.stop("s4", "veto", service.digest))
        ((name, stopped),) = service.host.stopped
        # As the host passes it on.
        service.host.links[worker.name].send(enclaves_pb2.KIND_STOPPED, stopped)
        assert (name, stopped.lease) == (worker.name, worker.lease)
        assert await worker.exit() == 70
        assert reason_name(service.host.ended[worker.lease].reason) == "VETOED"
        assert worker.log.read_text().count("\n") == 1  # that it has joined
        assert service.entries("release") == []

    play(story, serving.Sealed(serving.words(), released=released))


def test_offers_are_renewed_with_the_lease_and_the_process_ends_without_it(
    play: Any, tmp_path: Path
) -> None:
    async def story(service: Any) -> None:
        worker = serving.WorkerProcess(service, tmp_path)
        await worker.begin()
        session = await worker.session()
        await worker.ask(session, [[1]])
        offers = [(await worker.offer(number)).document for number in range(3)]
        assert len({offer.key for offer in offers}) == 3
        data = session.question(serving.question([[1]])).data
        assert await worker.refused_in_clear(data) == "SESSION_UNKNOWN"
        assert len(await worker.ask(await worker.session(number=2), [[1]])) == 1
        # Whoever does not renew a lease ends it.
        await service.stage.end()
        assert await worker.exit() == 87

    play(story, lease_seconds=2)


@pytest.mark.parametrize("plain", [b"", b"no model at all", b"half"], ids=lambda plain: str(plain))
def test_what_is_no_model_ends_the_worker(play: Any, tmp_path: Path, plain: bytes) -> None:
    async def story(service: Any) -> None:
        worker = serving.WorkerProcess(service, tmp_path)
        await worker.begin()
        assert await worker.exit() == 70
        assert reason_name(service.host.ended[worker.lease].reason) == "MODEL_INVALID"
        assert service.host.offers == {}

    words = serving.words()
    play(story, serving.Sealed(words[: len(words) // 2] if plain == b"half" else plain))


def test_a_model_that_the_host_changed_ends_the_worker(play: Any, tmp_path: Path) -> None:
    async def story(service: Any) -> None:
        (name,) = service.host.blobs
        data = service.host.blobs[name]
        service.host.blobs[name] = data[:-1] + bytes([data[-1] ^ 1])
        worker = serving.WorkerProcess(service, tmp_path)
        await worker.begin()
        assert await worker.exit() == 70
        assert reason_name(service.host.ended[worker.lease].reason) == "OBJECT_ROOT_MISMATCH"

    play(story)


def test_nothing_is_answered_before_there_is_a_lease(play: Any, tmp_path: Path) -> None:
    async def story(service: Any) -> None:
        worker = serving.WorkerProcess(service, tmp_path)
        while "w" not in service.host.links:
            await asyncio.sleep(0.01)
        worker.send(b"\x02" + bytes(300))
        await worker.begin()
        assert len(await worker.ask(await worker.session(), [[1]])) == 1
        assert list(service.host.answers) == [2]
        worker.process.kill()
        assert await worker.exit() == -9

    play(story)
