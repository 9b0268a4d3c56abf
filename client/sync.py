# SPDX-License-Identifier: Apache-2.0
"""The client for programs without an event loop: the same core, run in a background thread.

    with Client.at_home(Home.default()) as client:
        job = client.submit(ticket)
        for state in client.watch(job.id):
            ...

Progress callbacks are called from that thread. Each method does what its namesake in `AsyncClient`
says.
"""

from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from placet.client._sync_services import SyncServices
from placet.client.aio import AsyncClient, AsyncModel
from placet.client.connection.memory import CouncilMemory
from placet.client.data.grants import Terms
from placet.client.data.objects import Progress
from placet.client.home import Home
from placet.client.keys import Keys
from placet.client.portal import Portal
from placet.client.records import Blob, HostStatus, Job, Recorded, Result
from placet.client.services.arrays import Array
from placet.client.services.chain import ServedWorker
from placet.client.services.users import Token
from placet.client.trust.artifacts import ReceiptFile
from placet.client.trust.verify import VerifiedReceipt
from placet.governance.documents import Card, Proposal
from placet.governance.documents.serving import Field
from placet.governance.documents.work.serve import Serve
from placet.governance.envelope import Signed
from placet.governance.evaluate import Ticket
from placet.governance.keys import PublicKey
from placet.sealing import ObjectDescriptor, StreamKey


class Client(SyncServices):
    """All operations, blocking. Made by `connect` or `at_home`; close it, or use it as a
    context."""

    @classmethod
    def connect(
        cls,
        address: str,
        pin: str,
        *,
        charter: str = "",
        memory: CouncilMemory | None = None,
        simulated: bool = False,
    ) -> Self:
        """See `AsyncClient.connect`."""
        return cls._opened(
            AsyncClient.connect(address, pin, charter=charter, memory=memory, simulated=simulated)
        )

    @classmethod
    def at_home(cls, home: Home, *, simulated: bool = False) -> Self:
        """See `AsyncClient.at_home`."""
        return cls._opened(AsyncClient.at_home(home, simulated=simulated))

    @classmethod
    def _opened(cls, connecting: Coroutine[Any, Any, AsyncClient]) -> Self:
        portal = Portal()
        try:
            return cls(portal, portal.run(connecting))
        except BaseException:
            portal.close()
            raise

    def close(self) -> None:
        """End the connection and the thread."""
        try:
            self._portal.run(self._core.close())
        finally:
            self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def status(self, limit: int = 10) -> HostStatus:
        """See `AsyncClient.status`."""
        return self._portal.run(self._core.status(limit))

    def put_blob(
        self,
        id: str,
        source: Path | bytes,
        *,
        owner: PublicKey | None = None,
        progress: Progress | None = None,
    ) -> Blob:
        """See `AsyncClient.put_blob`."""
        return self._portal.run(self._core.put_blob(id, source, owner=owner, progress=progress))

    def stat_blob(self, id: str) -> Blob:
        """See `AsyncClient.stat_blob`."""
        return self._portal.run(self._core.stat_blob(id))

    def get_blob(
        self, id: str, sink: Path, *, length: int | None = None, progress: Progress | None = None
    ) -> Path:
        """See `AsyncClient.get_blob`."""
        return self._portal.run(self._core.get_blob(id, sink, length=length, progress=progress))

    def delete_blob(self, id: str, keys: Keys) -> None:
        """See `AsyncClient.delete_blob`."""
        self._portal.run(self._core.delete_blob(id, keys))

    def grant(self, keys: Keys, object: ObjectDescriptor, terms: Terms) -> bytes:
        """See `AsyncClient.grant`."""
        return self._portal.run(self._core.grant(keys, object, terms))

    def provision(self, keys: Keys, grant: bytes, key: StreamKey) -> Recorded:
        """See `AsyncClient.provision`."""
        return self._portal.run(self._core.provision(keys, grant, key))

    def submit(self, ticket: Ticket, request_id: bytes | None = None) -> Job:
        """See `AsyncClient.submit`."""
        return self._portal.run(self._core.submit(ticket, request_id))

    def job(self, id: str) -> Job:
        """See `AsyncClient.job`."""
        return self._portal.run(self._core.job(id))

    def jobs(self, limit: int = 100, before: str = "") -> tuple[Job, ...]:
        """See `AsyncClient.jobs`."""
        return self._portal.run(self._core.jobs(limit, before))

    def watch(self, id: str, *, patience: float = 60.0) -> Iterator[Job]:
        """See `AsyncClient.watch`."""
        return self._portal.iterate(self._core.watch(id, patience=patience))

    def wait(self, id: str, *, patience: float = 60.0) -> Job:
        """See `AsyncClient.wait`."""
        return self._portal.run(self._core.wait(id, patience=patience))

    def proposal_of(self, id: str) -> Signed[Proposal]:
        """See `AsyncClient.proposal_of`."""
        return self._portal.run(self._core.proposal_of(id))

    def cancel(self, keys: Keys, id: str, *, reason: str = "") -> Recorded:
        """See `AsyncClient.cancel`."""
        return self._portal.run(self._core.cancel(keys, id, reason=reason))

    def receipt(self, id: str, recipient: str) -> tuple[VerifiedReceipt, ReceiptFile, bytes]:
        """See `AsyncClient.receipt`."""
        return self._portal.run(self._core.receipt(id, recipient))

    def result(
        self,
        id: str,
        keys: Keys,
        folder: Path,
        *,
        recipient: str | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """See `AsyncClient.result`."""
        return self._portal.run(
            self._core.result(id, keys, folder, recipient=recipient, progress=progress)
        )


class Model:
    """A served model, for one user: see `AsyncModel`. Open from the start; close it, or use it as a
    context."""

    def __init__(
        self,
        source: Home | Client,
        service: str,
        *,
        user: Keys | Token,
        patience: float = 60.0,
        simulated: bool = False,
    ) -> None:
        self._own = (
            Client.at_home(source, simulated=simulated) if isinstance(source, Home) else None
        )
        client = self._own or source
        assert isinstance(client, Client), "a home folder has just become one"
        self._portal = client._portal  # pyright: ignore[reportPrivateUsage]
        core = client._core  # pyright: ignore[reportPrivateUsage]
        self._core = AsyncModel(core, service, user=user, patience=patience)
        try:
            self._portal.run(self._core.open())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End what is under way, and the connection if it was made here."""
        self._portal.run(self._core.close())
        if self._own is not None:
            self._own.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def worker(self) -> ServedWorker:
        """See `AsyncModel.worker`."""
        return self._core.worker

    @property
    def terms(self) -> Serve:
        """See `AsyncModel.terms`."""
        return self._core.terms

    @property
    def card(self) -> Card:
        """See `AsyncModel.card`."""
        return self._core.card

    @property
    def inputs(self) -> tuple[Field, ...]:
        """See `AsyncModel.inputs`."""
        return self._core.inputs

    @property
    def answers(self) -> tuple[Field, ...]:
        """See `AsyncModel.answers`."""
        return self._core.answers

    def predict(
        self,
        rows: Array | Mapping[str, Array],
        *,
        deadline: float | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """See `AsyncModel.predict`."""
        return self._portal.run(self._core.predict(rows, deadline=deadline, progress=progress))
