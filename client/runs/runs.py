# SPDX-License-Identifier: Apache-2.0
"""Runs: start a job, a federation or a service under a ticket, follow it, stop it."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any, Literal

from placet.auditing.explain_standing import stopped_by
from placet.client.connection.calls import followed
from placet.client.connection.connection import Connection
from placet.client.council.council import AsyncCouncil
from placet.client.council.records import ProposalRecord, ticket_to_wire
from placet.client.errors import AnswerMalformed, HostUnreachable, UsageRefused
from placet.client.keys import Keys
from placet.client.log.reader import LogReader, Recorded
from placet.client.runs.status import RunStatus
from placet.governance.documents import Proposal
from placet.governance.envelope import inspect, parse_envelope
from placet.governance.evaluate import Ticket
from placet.governance.jobs import job_name, requested_job
from placet.proto.v1 import runs_pb2
from placet.refusals import Refused

REQUEST_ID_BYTES = 16
Action = Literal["", "job", "federate", "serve"]
_WHOLE = len(requested_job("0" * 64, bytes(REQUEST_ID_BYTES)))
_TRIES = 4
_PAUSE = 0.5
STOPPED = ("STOPPED", "VETOED")


class AsyncRuns:
    """The work that tickets let happen: jobs, federations and services."""

    def __init__(self, connection: Connection, log: LogReader, council: AsyncCouncil) -> None:
        self._connection = connection
        self._log = log
        self._council = council

    async def start(
        self, ticket: Ticket, *, workers: int | None = None, request_id: bytes | None = None
    ) -> RunStatus:
        """Start what a ticket lets happen. A job is queued durably when this returns, and a
        federation has a round.

        workers: of a service, from now on (0: drain it; None: 1). request_id: of a job, 16 bytes;
        the same for the same proposal gives the same job again. A federation or a service that runs
        is told as it stands. So a call that broke off is repeated here, and may be repeated by the
        caller. A refusal of what was stopped says by whom and why, as the log has it. Raises
        `LogTruncated` or `LogForked` where the host's log is not the one that was read before: it
        may have forgotten uses and stops.
        """
        await self._log.read()
        request = runs_pb2.StartRequest(ticket=ticket_to_wire(ticket), workers=workers)
        expected = parse_envelope(ticket.proposal).digest
        if inspect(ticket.proposal, Proposal).action == "job":
            request.request_id = request_id or os.urandom(REQUEST_ID_BYTES)
            expected = requested_job(expected, request.request_id)
        for tries in range(1, _TRIES):
            try:
                return await self._start(request, expected)
            except HostUnreachable:
                await asyncio.sleep(_PAUSE * 2**tries)
        return await self._start(request, expected)

    async def _start(self, request: runs_pb2.StartRequest, expected: str) -> RunStatus:
        try:
            told = await self._connection.ask(self._connection.runs.Start, request)
        except Refused as refused:
            if refused.reason in STOPPED:
                await self._tell_who(parse_envelope(request.ticket.proposal).digest)
            raise
        return _checked(told, expected)

    async def _tell_who(self, proposal: str) -> None:
        """Refuse what somebody has stopped by this client's own log, which says who and why."""
        ledger = await self._log.read()
        if proposal not in ledger.state.proposals:
            return
        found = await self._council.standing(await self._council.find(proposal))
        if found.state not in ("paused", "vetoed", "cancelled", "revoked"):
            return
        raise Refused(
            "VETOED" if found.state == "vetoed" else "STOPPED",
            stopped_by(found),
            {"claim": "proposal", "actual": found.state},
        )

    async def get(self, id: str) -> RunStatus:
        """A run as it stands. Raises `Refused` with RUN_NOT_FOUND."""
        request = runs_pb2.GetRunRequest(id=id)
        return _checked(await self._connection.ask(self._connection.runs.Get, request), id)

    async def list(
        self, limit: int = 100, before: str = "", *, action: Action = "", proposal: str = ""
    ) -> tuple[RunStatus, ...]:
        """The newest runs, newest first. before: the last id of the page before; action: only
        those of proposals for it; proposal: instead, every job of this one, those of its rounds
        or its workers too."""
        request = runs_pb2.ListRunsRequest(
            limit=limit, before=before, action=action, proposal=proposal
        )
        answer = await self._connection.ask(self._connection.runs.List, request)
        return tuple(RunStatus.from_wire(run) for run in answer.runs)

    async def watch(self, id: str, *, patience: float = 60.0) -> AsyncIterator[RunStatus]:
        """The run's present state, then each change until it has ended.

        A connection that breaks off, as when the host restarts, is opened again for up to
        `patience` seconds; the state may then come a second time.
        """

        async def begin() -> Any:
            await self._connection.ask(self._connection.runs.Get, runs_pb2.GetRunRequest(id=id))
            metadata = self._connection.access.metadata()
            return self._connection.runs.Watch(runs_pb2.WatchRequest(id=id), metadata=metadata)

        async for told in followed(begin, patience):
            status = _checked(told, id)
            yield status
            if status.ended:
                return

    async def wait(self, id: str, *, patience: float = 60.0) -> RunStatus:
        """The run once it has ended, however it did."""
        last: RunStatus | None = None
        async for run in self.watch(id, patience=patience):
            last = run
        assert last is not None, "watch ends with a run that has ended"
        return last

    async def proposal(self, name: str) -> ProposalRecord:
        """The proposal of a run, in the log: by the name of a job, or by the digest of the
        proposal, or enough of the beginning of either. Raises `UsageRefused` where the log has
        none."""
        return await self._council.find(name.partition("-")[0])

    async def id(self, name: str) -> str:
        """The id of a run, by enough of its beginning: of a federation or a service its proposal's
        digest; of a job the start of its proposal's, and after a dash the start of its own part.

        The proposal is looked up in the log. A host that names the job's own part can name no job
        of another proposal. Raises `UsageRefused` where none, or several, begin with it.
        """
        own = name.partition("-")[2]
        if own and len(name) == _WHOLE:
            return name
        found = await self.proposal(name)
        if found.document.action != "job" and not own:
            return found.digest
        known = self._log.replica.ledger.state.proposals[found.digest].jobs
        start = job_name(found.digest, own)
        if start in known:
            return start
        told = {run.id for run in await self.list(1000, proposal=found.digest)}
        jobs = [job for job in sorted(told.union(known)) if job.startswith(start)]
        if len(jobs) != 1:
            begin = f"{len(jobs)} jobs begin" if jobs else "No job begins"
            raise UsageRefused(
                f"{begin} with {name}. `placet runs --wide` lists them in full.",
                claim="run",
                actual=name[:80],
            )
        return jobs[0]

    async def stop(self, keys: Keys, name: str, *, reason: str = "") -> Recorded:
        """Cancel a run's proposal; the run ends wherever it is. Takes its proposer or a seat.

        The proposal is the one of the log that the run's name says, whatever the host tells of the
        run.
        """
        proposal = (await self.proposal(name)).digest
        return await self._council.stop(keys, "cancel", proposal, reason=reason)


def _checked(told: runs_pb2.Run, expected: str) -> RunStatus:
    """Raises `AnswerMalformed` for another run than was asked for."""
    status = RunStatus.from_wire(told)
    if status.id != expected:
        raise AnswerMalformed(
            "The host answered with another run than was asked for. Report it.",
            claim="run",
            expected=expected,
            actual=status.id,
        )
    return status
