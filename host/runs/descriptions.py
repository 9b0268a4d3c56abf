# SPDX-License-Identifier: Apache-2.0
"""What users verify of a worker before the first question, from the log's key downwards."""

import json
from typing import Any

import sqlalchemy as sa

from placet.governance.ballot_state import stood_before
from placet.host.log.log import Log
from placet.host.log.log_table import read_document, read_documents, read_entries
from placet.host.runs.routes import Route
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2, inference_pb2
from placet.refusals import DocumentNotFound


class Descriptions:
    """Makes descriptions of workers, each once; only the offer in it changes.

    Proofs are under the checkpoint of the moment; they hold whatever the log becomes.
    """

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log

    async def describe(self, route: Route) -> inference_pb2.Description:
        """All by which a user verifies the worker of a lease. Raises `DocumentNotFound`."""
        if route.described is None:
            route.described = await self._store.read(lambda c: self._make(c, route))
        description = inference_pb2.Description(offer=route.offer)
        description.MergeFrom(route.described)
        return description

    def _make(self, connection: sa.Connection, route: Route) -> inference_pb2.Description:
        state, lease = self._log.state, route.lease

        def document(digest: str) -> bytes:
            found = read_document(connection, digest)
            if found is None:
                raise DocumentNotFound("A document of the worker is not stored.", actual=digest)
            return found

        def logged(index: int) -> tuple[inference_pb2.LoggedEntry, Any]:
            [entry] = read_entries(connection, index, index + 1)
            proof = self._log.proof(index)
            return inference_pb2.LoggedEntry(entry=entry, proof=proof), json.loads(entry)

        # As the log had it at the lease: whoever had it served may have left ballots out that the
        # log had already, and none but those that stood decided.
        ballots = stood_before(state.proposals[lease.proposal].ballots.values(), lease.index)
        boot, authority = logged(state.boot_at)
        join, worker = logged(state.joins[lease.worker].index)
        return inference_pb2.Description(
            ticket=common_pb2.Ticket(
                proposal=document(lease.proposal),
                ballots=read_documents(connection, ballots),
            ),
            boot=boot,
            authority_identity=document(authority["identity"]),
            authority_evidence=document(authority["evidence"]),
            join=join,
            worker_identity=document(lease.worker),
            worker_evidence=document(worker["evidence"]),
            lease_entry=logged(lease.index)[0],
            lease=document(lease.digest),
        )
