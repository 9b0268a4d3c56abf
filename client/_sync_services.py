# SPDX-License-Identifier: Apache-2.0
"""The blocking form of services; each method does what its namesake in `AsyncClient` says."""

from collections.abc import Iterator

from placet.client._sync_federations import SyncFederations
from placet.client.services.chain import ServedWorker
from placet.client.services.services import Origin
from placet.client.services.status import ServiceStatus
from placet.governance.documents.work.serve import Serve
from placet.governance.evaluate import Ticket


class SyncServices(SyncFederations):
    """Serve, status, watch, and what users verify."""

    def serve(self, ticket: Ticket, workers: int) -> ServiceStatus:
        """See `AsyncClient.serve`."""
        return self._portal.run(self._core.serve(ticket, workers))

    def service_status(self, id: str) -> ServiceStatus:
        """See `AsyncClient.service_status`."""
        return self._portal.run(self._core.service_status(id))

    def services(self) -> tuple[ServiceStatus, ...]:
        """See `AsyncClient.services`."""
        return self._portal.run(self._core.services())

    def watch_service(self, id: str, *, patience: float = 60.0) -> Iterator[ServiceStatus]:
        """See `AsyncClient.watch_service`."""
        return self._portal.iterate(self._core.watch_service(id, patience=patience))

    def verify_service(self, id: str, lease: str = "") -> ServedWorker:
        """See `AsyncClient.verify_service`."""
        return self._portal.run(self._core.verify_service(id, lease))

    def origin(self, terms: Serve) -> Origin | None:
        """See `AsyncClient.origin`."""
        return self._portal.run(self._core.origin(terms))
