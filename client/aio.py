# SPDX-License-Identifier: Apache-2.0
"""The client for programs that run in an event loop.

async with await AsyncClient.connect("127.0.0.1:7433", pin, memory=home.memory()) as client:
    job = await client.submit(ticket)
    async for state in client.watch(job.id):
        ...

async with AsyncModel(Home.default(), service, user=keys) as model:
    answers = await model.predict(rows)
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import grpc.aio

from placet.attestation import AttestationError
from placet.client.connection.channel import open_channel
from placet.client.connection.connection import Session
from placet.client.connection.memory import CouncilMemory
from placet.client.data.objects import Progress
from placet.client.errors import Refused, SettingMissing, UsageRefused
from placet.client.home import Home
from placet.client.keys import Keys
from placet.client.log.auditing import AuditOperations
from placet.client.records import HostStatus
from placet.client.services.arrays import Array, judge_rows
from placet.client.services.asking import Asking, find_worker
from placet.client.services.chain import ServedWorker
from placet.client.services.predicting import ask_rows
from placet.client.services.users import Token, judge_user
from placet.governance.documents import Card
from placet.governance.documents.serving import Field
from placet.governance.documents.work.serve import Serve
from placet.governance.errors import NotFounded


class AsyncClient(AuditOperations):
    """All operations over one channel. Made by `connect` or `at_home`."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        memory: CouncilMemory,
        address: str = "",
        *,
        simulated: bool = False,
    ) -> None:
        super().__init__(Session(channel, memory, simulated=simulated))
        self._channel = channel
        self.address = address

    @classmethod
    async def connect(
        cls,
        address: str,
        pin: str,
        *,
        charter: str = "",
        memory: CouncilMemory | None = None,
        simulated: bool = False,
    ) -> Self:
        """Connect to the host at "address:port" whose certificate has this pin ("sha256:<hex>").

        charter: the digest of the council's charter, from another member; needed unless the memory
        knows it, or a council is founded. memory: where the log is kept; without it nothing is
        remembered after this client. simulated: accept SIMULATED evidence of whom a secret is given
        to. Raises `HostUnreachable`, `PinMismatch` or `OtherLog`.
        """
        kept = memory or CouncilMemory()
        if charter:
            kept.pin(charter)
        return cls(await open_channel(address, pin), kept, address, simulated=simulated)

    @classmethod
    async def at_home(cls, home: Home, *, simulated: bool = False) -> Self:
        """Connect to the host of a home folder, with its memory."""
        address, pin = home.host()
        made = await cls.connect(address, pin, memory=home.memory(), simulated=simulated)
        made.outbox = home.outbox
        return made

    async def close(self) -> None:
        """End the connection; calls that run are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open_asking(self, service: str, user: Keys | Token, patience: float) -> Asking:
        """Find a worker of a service and verify it. Raises `UserNotAllowed`, `OfferInvalid`, or
        what a call raises."""
        worker = await find_worker(self, service, patience)
        rules = (await self.council()).newest.document
        known_as = judge_user(user, worker.terms, rules)
        return Asking(self, self._session, worker, known_as, patience)

    async def status(self, limit: int = 10) -> HostStatus:
        """Host, log, evidence and the newest jobs in one view.

        What could not be verified about the evidence is told in it and not raised; a log that
        shrank or forked is raised.
        """
        size, constitution, evidence = 0, "", ""
        marks = ["UNWITNESSED"]
        try:
            council = await self.council()
            constitution = council.newest.digest
            size = self._session.replica.size
            authority = await self.verify_authority(council.policy("authority"))
            evidence = authority.attested.claims.kind
            if authority.attested.simulated:
                marks.insert(0, "SIMULATED")
        except NotFounded:
            evidence = "not judged before the log is founded"
        except SettingMissing as missing:
            evidence = f"not judged: {missing}"
        except AttestationError as error:
            evidence = f"REFUSED: {error}"
        except Refused as refused:
            if refused.reason not in ("NOT_FOUNDED", "AUTHORITY_UNAVAILABLE"):
                raise
            evidence = refused.message
        jobs = await self.jobs(limit)
        return HostStatus(self.address, self.log, size, constitution, evidence, tuple(marks), jobs)


class AsyncModel:
    """A served model, for one user. Open it, or use it as a context; channel, verdict and session
    are kept between calls.

    source: a home folder, or a client that stays open as long. service: the digest of the proposal.
    patience: for how many seconds on end there may be no host, no worker, or one that has too much
    to do. simulated: accept SIMULATED evidence (of a home folder; a client has been told).
    """

    def __init__(
        self,
        source: Home | AsyncClient,
        service: str,
        *,
        user: Keys | Token,
        patience: float = 60.0,
        simulated: bool = False,
    ) -> None:
        self._simulated = simulated
        self._source = source
        self._service = service
        self._user = user
        self._patience = patience
        self._own: AsyncClient | None = None
        self._asking: Asking | None = None

    async def open(self) -> Self:
        """Connect, and verify a worker. Raises `UserNotAllowed`, `OfferInvalid`, or what a call
        raises."""
        client = self._source
        if isinstance(client, Home):
            client = self._own = await AsyncClient.at_home(client, simulated=self._simulated)
        try:
            self._asking = await client.open_asking(self._service, self._user, self._patience)
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """End what is under way, and the connection if it was made here."""
        if self._asking is not None:
            await self._asking.close()
        if self._own is not None:
            await self._own.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def worker(self) -> ServedWorker:
        """The worker that is asked now, verified."""
        return self._opened().worker

    @property
    def terms(self) -> Serve:
        """What the council approved."""
        return self.worker.terms

    @property
    def card(self) -> Card:
        """What the owner says of the model."""
        return self.terms.card

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The arrays that it takes. A dimension of 0 may be of any length; the first one counts
        rows."""
        return self.worker.offer.document.inputs

    @property
    def answers(self) -> tuple[Field, ...]:
        """The arrays that it gives."""
        return self.worker.offer.document.answers

    async def predict(
        self,
        rows: Array | Mapping[str, Array],
        *,
        deadline: float | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Ask about rows: of one input and one output array in, array out; else dicts of arrays
        (`Arrays`).

        Many rows become several questions, up to 32 of them under way; cancelling ends them all.
        deadline: seconds for all. progress(answered, all): in rows. Raises `QuestionRefused`,
        `CallTimedOut`, `Refused` (ANSWERS_USED_UP and others), `Unreachable`, `OfferInvalid`,
        `AnswerMalformed` or `placet.sealing.AnswerForged`.
        """
        asking = self._opened()
        asked = judge_rows(rows, self.terms, self.inputs, self.answers)
        return await ask_rows(asking, asked, self.answers, deadline=deadline, progress=progress)

    def _opened(self) -> Asking:
        if self._asking is None:
            raise UsageRefused("The model is not open. Use it as a context, or call open().")
        return self._asking
