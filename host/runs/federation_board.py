# SPDX-License-Identifier: Apache-2.0
"""Federations as they are now, and whoever follows them."""

from dataclasses import replace

from placet.host.runs.board import Board
from placet.host.runs.followed import Followed, Shown
from placet.host.store import federation_table
from placet.host.store.federation_record import FederationRecord
from placet.host.store.store import Store
from placet.proto.v1 import federations_pb2


class FederationBoard(Followed[FederationRecord, federations_pb2.Federation]):
    """See `Followed`. `jobs` tells of the rounds' jobs."""

    def __init__(self, store: Store, jobs: Board, max_watchers: int) -> None:
        super().__init__("federations", max_watchers)
        self._store = store
        self._jobs = jobs
        jobs.tell(self.changed)

    async def read(self, name: str) -> Shown[FederationRecord, federations_pb2.Federation]:
        """How it is now. Raises `FederationNotFound`."""
        record = await self._store.read(lambda c: federation_table.get_federation(c, name))
        job = record.job and self._jobs.get(record.job.id)
        if job:  # its progress is shown before it is stored
            record = replace(record, job=job)
        return Shown(record, record.to_proto())
