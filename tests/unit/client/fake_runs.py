# SPDX-License-Identifier: Apache-2.0
"""The runs of the stand-in for a host: jobs are its own, the federation and the service those of
the files beside this one."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from placet.governance.documents import Proposal
from placet.governance.envelope import inspect
from placet.governance.evaluate import Ticket
from placet.governance.jobs import requested_job
from placet.governance.judgements.admission import admit
from placet.proto.v1 import runs_pb2
from placet.refusals import RunNotFound


class FakeRuns:
    """Answers for whatever has the id that is asked for."""

    def __init__(self, host: Any) -> None:
        self._host = host

    async def Start(self, request: runs_pb2.StartRequest, context: Any) -> Any:
        match inspect(request.ticket.proposal, Proposal).action:
            case "federate":
                return self._host.federations.start(request)
            case "serve":
                return self._host.services.start(request)
            case _:
                return self._submit(request)

    async def Get(self, request: runs_pb2.GetRunRequest, context: Any) -> runs_pb2.Run:
        for run in self._all():
            if run.id == request.id:
                return run
        raise RunNotFound("Nothing of this id was started here.")

    async def List(
        self, request: runs_pb2.ListRunsRequest, context: Any
    ) -> runs_pb2.ListRunsResponse:
        works = {"job": "job", "federate": "federation", "serve": "service"}
        wanted = [works[request.action]] if request.action else list(works.values())
        found = [run for run in self._all() if run.WhichOneof("work") in wanted]
        return runs_pb2.ListRunsResponse(runs=found)

    async def Watch(
        self, request: runs_pb2.WatchRequest, context: Any
    ) -> AsyncIterator[runs_pb2.Run]:
        if request.id in self._host.jobs:
            told = self._watch_job(self._host.jobs[request.id], context)
        elif request.id == self._host.federations.id:
            told = self._host.federations.watch()
        else:
            told = self._host.services.watch()
        async for run in told:
            yield run

    def _all(self) -> list[runs_pb2.Run]:
        """Newest first."""
        federation, service = self._host.federations, self._host.services.told
        found = list(reversed(list(self._host.jobs.values())))
        if federation.id:
            found.append(federation.told())
        if service.id:
            found.append(service)
        return found

    def _submit(self, request: runs_pb2.StartRequest) -> runs_pb2.Run:
        ticket = Ticket(request.ticket.proposal, tuple(request.ticket.ballots))
        admission = admit(self._host.ledger, ticket, "job-new", self._host.times())
        proposal = admission.ticket.proposal.digest
        id = requested_job(proposal, request.request_id)
        job = runs_pb2.Run(
            id=id,
            proposal=proposal,
            state=runs_pb2.RUN_STATE_QUEUED,
            started_ms=1_800_000_000_000,
            job=runs_pb2.Job(changed_ms=1_800_000_000_000),
        )
        jobs: dict[str, runs_pb2.Run] = self._host.jobs
        return jobs.setdefault(id, job)

    async def _watch_job(self, job: runs_pb2.Run, context: Any) -> AsyncIterator[runs_pb2.Run]:
        yield job
        if self._host.break_watches:
            self._host.break_watches -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
        job.state, job.progress = runs_pb2.RUN_STATE_RUNNING, 50
        yield job
        job.state, job.progress = runs_pb2.RUN_STATE_FINISHED, 100
        yield job
