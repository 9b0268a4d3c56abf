# SPDX-License-Identifier: Apache-2.0
"""Services as they are now, and whoever follows them."""

from placet.host.runs.board import Board
from placet.host.runs.followed import Followed, Shown
from placet.host.runs.routes import Routes
from placet.host.store import service_table
from placet.host.store.service_table import ServiceRecord
from placet.host.store.store import Store
from placet.proto.v1 import inference_pb2


class ServiceBoard(Followed[ServiceRecord, inference_pb2.Service]):
    """See `Followed`. `jobs` tells of the workers' jobs; `routes` has the workers that are
    ready."""

    def __init__(self, store: Store, jobs: Board, max_watchers: int) -> None:
        super().__init__("services", max_watchers)
        self._store = store
        self.routes = Routes(self.changed)
        jobs.tell(self.changed)

    async def read(self, name: str) -> Shown[ServiceRecord, inference_pb2.Service]:
        """How it is now. Raises `ServiceNotFound`."""
        record = await self._store.read(lambda c: service_table.get_service(c, name))
        return Shown(record, self._message(record))

    async def list(self) -> list[inference_pb2.Service]:
        """All that were started here."""
        records = await self._store.read(service_table.list_services)
        return [self._message(record) for record in records]

    def _message(self, record: ServiceRecord) -> inference_pb2.Service:
        return record.to_proto(len(self.routes.ready(record.id)))
