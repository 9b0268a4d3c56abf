# SPDX-License-Identifier: Apache-2.0
"""Asking a served model through a real host, in the event loop of the caller."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import numpy as np
from _inference.council import Owner
from _inference.models import Array, Served
from _inference.plain import answer_of, packed
from _inference.process import find_process
from hospitals import running_host

from placet.client import Keys
from placet.client.aio import AsyncClient
from placet.client.connection.access import Access
from placet.client.connection.channel import open_channel
from placet.client.connection.connection import Connection
from placet.client.connection.pins import Pins
from placet.client.services import Token
from placet.client.services.model import AsyncServedModel
from placet.client.services.questions import Bearer, Principal, QuestionSession, User
from placet.client.services.stream import QuestionStream
from placet.proto.v1 import access_pb2_grpc


class SealedPeer:
    """A served model, as `placet.client` asks it. `worker` is the worker's process."""

    def __init__(
        self,
        client: AsyncClient,
        connection: Connection,
        model: AsyncServedModel,
        owner: Owner,
        served: Served,
    ) -> None:
        self.worker = find_process("placet.enclave\0worker", str(owner.folder))
        self.host = find_process("placet.host\0", str(owner.folder))
        self._client = client
        self._connection = connection
        self._model = model
        self._user = _known_as(owner.user)
        self._questions = served.questions

    async def alone(self, number: int) -> Array:
        """The answer to one question, by a call of its own."""
        question = self._questions[number % len(self._questions)]
        given = question if len(question) > 1 else next(iter(question.values()))
        return cast("Array", await self._model.predict(given))

    async def stream(self, count: int) -> float:
        """Seconds for so many questions in one session, 32 of them under way."""
        asked = {
            name: np.concatenate(
                [self._questions[i % len(self._questions)][name] for i in range(count)]
            )
            for name in self._questions[0]
        }
        given = asked if len(asked) > 1 else next(iter(asked.values()))
        started = time.perf_counter()
        await self._model.predict(given)
        return time.perf_counter() - started

    async def sessions(self, count: int, in_flight: int) -> float:
        """Seconds for so many questions, each with a session of its own, by one stream."""
        # A worker that was verified now has a newer offer than one of minutes ago, and sessions end
        # with the offer after the next.
        worker = await self._client.services.verify(self._model.worker.service)
        charter = worker.offer.document.header.charter
        stream = QuestionStream(self._connection, worker.lease.digest)
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                if number % 2:  # what others have sealed leaves while this is sealed
                    await asyncio.sleep(0)
                session = QuestionSession(worker.offer, charter, self._user)
                asked = session.question(packed(self._questions[number % len(self._questions)]))
                answer_of(session.answer(asked, await stream.ask(asked.data, 0)))

        started = time.perf_counter()
        await asyncio.gather(*(some() for _ in range(in_flight)))
        seconds = time.perf_counter() - started
        await stream.close()
        return seconds


@contextlib.asynccontextmanager
async def sealed_peer(
    served: Served, folder: Path, *, token: bool = False
) -> AsyncGenerator[SealedPeer]:
    """Host, authority and worker as processes of their own, over `folder`."""
    owner = Owner(folder, token=token)
    with running_host(folder) as (address, pin):
        client = await asyncio.to_thread(owner.connect, address, pin)
        with client:
            service = await asyncio.to_thread(owner.serve, client, served)
        opened, _ = await open_channel(address, Pins(pin))
        async with (
            opened as channel,
            await AsyncClient.connect(
                address, pin, memory=owner.memory, simulated=True, keys=owner.analyst
            ) as asking,
            await asking.services.open(service, user=owner.user) as model,
        ):
            access = Access(
                access_pb2_grpc.AccessStub(channel),
                owner.analyst,
                lambda: owner.memory.charter,
                pin,
                None,
            )
            await access.ready()
            yield SealedPeer(asking, Connection(channel, access=access), model, owner, served)


def _known_as(user: Keys | Token) -> User:
    return (
        Bearer("user", user.secret) if isinstance(user, Token) else Principal(user.id, user.signing)
    )
