# SPDX-License-Identifier: Apache-2.0
"""What users verify of a worker before the first question, from the log's key downwards."""

import sqlalchemy as sa

from placet.host.errors import DocumentNotFound
from placet.host.log.document_table import read_proposal
from placet.host.log.log_entry import Entry
from placet.host.log.log_table import read_document
from placet.host.log.log_view import LogView
from placet.host.runs.routes import Route
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2, inference_pb2


class Descriptions:
    """Makes descriptions of workers, each once; only the offer in it changes.

    Proofs are under the checkpoint of the moment; they hold whatever the log becomes.
    """

    def __init__(self, store: Store, log: LogView) -> None:
        self._store = store
        self._log = log

    async def describe(self, lease: str, route: Route) -> inference_pb2.Description:
        """All by which a user verifies the worker of a lease. Raises `DocumentNotFound`."""
        if route.described is None:
            route.described = await self._store.read(lambda c: self._make(c, route))
        description = inference_pb2.Description(offer=route.offer)
        description.MergeFrom(route.described)
        return description

    def _make(self, connection: sa.Connection, route: Route) -> inference_pb2.Description:
        origin = route.origin

        def document(entry: Entry, name: str) -> bytes:
            found = read_document(connection, entry.text(name))
            if found is None:
                raise DocumentNotFound("A document of the worker is not stored.", claim=name)
            return found

        def logged(entry: Entry) -> inference_pb2.LoggedEntry:
            return inference_pb2.LoggedEntry(entry=entry.data, proof=self._log.proof(entry.index))

        # As the log had it at the lease: whoever had it served may have left ballots out that the
        # log had already.
        _, proposal, ballots = read_proposal(connection, route.service, origin.lease.index)
        return inference_pb2.Description(
            ticket=common_pb2.Ticket(proposal=proposal, ballots=ballots),
            boot=logged(origin.boot),
            authority_identity=document(origin.boot, "identity"),
            authority_evidence=document(origin.boot, "evidence"),
            join=logged(origin.join),
            worker_identity=document(origin.join, "worker"),
            worker_evidence=document(origin.join, "evidence"),
            lease_entry=logged(origin.lease),
            lease=document(origin.lease, "lease"),
        )
