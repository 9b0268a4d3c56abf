# SPDX-License-Identifier: Apache-2.0
"""What enclaves say, passed to the parts of the host that it concerns."""

import logging

from placet.host.enclaves.attach import AUTHORITY, Session
from placet.host.enclaves.authority import AuthorityLine
from placet.host.enclaves.supervisor import Supervisor
from placet.host.log.journal import Journal
from placet.host.log.log import Effects, Log
from placet.host.log.log_table import read_secret
from placet.host.placement.placement import Placement
from placet.host.placement.worker import Worker
from placet.host.placement.workers import Workers
from placet.host.runs.board import Board
from placet.host.runs.routes import Route
from placet.host.store import job_table
from placet.host.store.job_table import JobRecord
from placet.host.store.store import Store
from placet.host.tasks import Tasks
from placet.proto.refusals import error_of, refusal_of
from placet.proto.v1 import enclaves_pb2, inference_pb2
from placet.refusals import AuthorityUnavailable, DocumentNotFound

_log = logging.getLogger("placet.host.enclaves")


class Hub:
    """Implements `enclaves.Events`."""

    def __init__(
        self,
        store: Store,
        log: Log,
        journal: Journal,
        board: Board,
        line: AuthorityLine,
        workers: Workers,
        placement: Placement,
        supervisor: Supervisor,
    ) -> None:
        self._store = store
        self._log = log
        self._journal = journal
        self._board = board
        self._routes = board.routes
        self._line = line
        self._workers = workers
        self._placement = placement
        self._supervisor = supervisor
        self._tasks = Tasks()

    def attached(self, session: Session) -> None:
        if session.role == AUTHORITY:
            self._supervisor.attached(session)
            self._tasks.spawn(self._begin(session))
        elif worker := self._workers.of(session):
            worker.session = session

    async def _begin(self, session: Session) -> None:
        if await self._line.attach(session.link):
            self._supervisor.serves()
            self._board.unhold("")
            self._placement.settle()

    def detached(self, session: Session) -> None:
        _log.info("detached enclave=%s role=%s", session.enclave, session.role)
        if session.role == AUTHORITY:
            self._line.detach(session.link)
            self._board.hold("", refusal_of(AuthorityUnavailable("The authority is away.")))
            self._supervisor.detached()
            # All at once: nobody shall be sent from one that is being dismissed to the next one.
            self._routes.lost_all()
            self._workers.dismiss_all()
        else:
            self._routes.lost(session.link)
            if worker := self._workers.of(session):
                worker.silent.set()
                worker.leave()

    def joined(self, session: Session, joined: enclaves_pb2.Joined) -> None:
        self._placement.joined(session, joined)

    def progress(self, session: Session, progress: enclaves_pb2.Progress) -> None:
        worker = self._workers.of(session)
        if worker is None or not worker.job:
            return
        if self._board.progress(worker.job, progress.lease, progress.percent):
            lease, percent = progress.lease, min(progress.percent, 100)
            self._tasks.spawn(self._store_progress(worker, lease, percent))

    def ended(self, session: Session, ended: enclaves_pb2.Ended) -> None:
        # Its reason may be no number of this version, and its texts of any length.
        refusal = refusal_of(error_of(ended.refusal))
        if session.role == AUTHORITY:
            self._supervisor.ended(refusal)
            return
        worker = self._workers.of(session)
        # A worker without a job speaks for none: it ends before it has a lease.
        if worker is not None and worker.refusal is None and bool(worker.job) == bool(ended.lease):
            worker.refusal = refusal
            self._routes.end(session.link, refusal)
            worker.leave()

    def offered(self, session: Session, offered: enclaves_pb2.Offered) -> None:
        worker = self._workers.of(session)
        record = self._board.job(worker.job) if worker is not None else None
        lease = self._log.state.open_leases.get(offered.lease)
        if record is None or record.lease != offered.lease or lease is None:
            _log.warning("offer-unexpected enclave=%s lease=%s", session.enclave, offered.lease)
            return
        route = Route(lease, session.link, offered.largest)
        self._routes.offer(offered.lease, route, session.link, offered.offer)

    def answered(self, session: Session, answers: inference_pb2.Answers) -> None:
        self._routes.answer(session.link, answers)

    async def commit(self, commit: enclaves_pb2.Commit) -> None:
        await self._journal.commit(commit, self._shown)

    async def secret(self, name: str) -> enclaves_pb2.Secret:
        wrapped = await self._store.read(lambda connection: read_secret(connection, name))
        if wrapped is None:
            raise DocumentNotFound("No secret of this name is stored.")
        return enclaves_pb2.Secret(name=name, wrapped=wrapped)

    def _shown(self, effects: Effects, changed: list[JobRecord]) -> None:
        """A step of the authority is durable: let memory follow."""
        for record in changed:
            self._board.publish(record)
        self._placement.follow(effects.leased, changed)
        for proposal in effects.touched:
            self._board.changed(proposal)

    async def _store_progress(self, worker: Worker, lease: str, percent: int) -> None:
        await self._store.write(lambda c: job_table.set_progress(c, lease, percent))
        worker.runs = True
        self._placement.settle()
