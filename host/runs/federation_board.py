# SPDX-License-Identifier: Apache-2.0
"""Federations as they are now, and whoever follows them."""

import sqlalchemy as sa

from placet.governance.jobs import round_job
from placet.host.documents import read_ticket
from placet.host.errors import JobNotFound
from placet.host.log.log import Log
from placet.host.runs.board import Board
from placet.host.runs.federation_record import FederationRecord
from placet.host.runs.followed import Followed, Shown
from placet.host.store.federation_table import FederationRow, get_federation
from placet.host.store.job_table import JobRecord, get_job
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2, federations_pb2


class FederationBoard(Followed[FederationRecord, federations_pb2.Federation]):
    def __init__(self, store: Store, log: Log, jobs: Board, max_watchers: int) -> None:
        super().__init__("federations", max_watchers)
        self._store = store
        self._log = log
        self._jobs = jobs
        jobs.tell(self.changed)

    async def read(self, name: str) -> Shown[FederationRecord, federations_pb2.Federation]:
        """How it is now. Raises `FederationNotFound`."""
        federation = self._log.federation(name)
        job = round_job(name, len(federation.rounds))
        row, stored = await self._store.read(lambda c: _read(c, name, job))
        facts = read_ticket(common_pb2.Ticket.FromString(row.ticket)).federation
        assert facts is not None  # or it would not have been started
        # The job's progress is shown before it is stored.
        record = FederationRecord(row, facts, federation, self._jobs.get(job) or stored)
        return Shown(record, record.to_proto())


def _read(connection: sa.Connection, name: str, job: str) -> tuple[FederationRow, JobRecord | None]:
    row = get_federation(connection, name)
    try:
        return row, get_job(connection, job)
    except JobNotFound:
        return row, None
