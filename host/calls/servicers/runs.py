# SPDX-License-Identifier: Apache-2.0
"""Runs: starting jobs, federations and services under a ticket, and following them."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio

from placet.host.callers.caller import Caller, current
from placet.host.callers.gate import require_covered
from placet.host.calls.bounds import MAX_BYTES
from placet.host.documents import read_ticket
from placet.host.runs.board import Board
from placet.host.runs.run import Order
from placet.host.runs.runs import Runs
from placet.proto.v1 import runs_pb2, runs_pb2_grpc
from placet.refusals import NotPermitted, RequestMalformed

_REQUEST_ID_BYTES = 16
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class RunsService(runs_pb2_grpc.RunsServicer):
    def __init__(self, board: Board, runs: Runs) -> None:
        self._board = board
        self._runs = runs

    async def Start(self, request: runs_pb2.StartRequest, context: Context) -> runs_pb2.Run:
        """Returns once the run has begun: a job is queued, a federation has a round."""
        order = _order(request)
        _check_named(order, current())
        require_covered(current(), order.facts.proposal)
        await self._runs.start(order)
        return (await self._board.get(order.run)).message

    async def Get(self, request: runs_pb2.GetRunRequest, context: Context) -> runs_pb2.Run:
        """The run as it is now."""
        require_covered(current(), request.id)
        return (await self._board.get(request.id)).message

    async def List(
        self, request: runs_pb2.ListRunsRequest, context: Context
    ) -> runs_pb2.ListRunsResponse:
        """Newest first; fewer than asked for where the answer would be too large."""
        limit = request.limit or _DEFAULT_LIMIT
        if limit > _MAX_LIMIT:
            raise RequestMalformed(f"limit is at most {_MAX_LIMIT}.", claim="limit")
        if request.action and request.proposal:
            raise RequestMalformed("List by action or by proposal, one of the two.", claim="action")
        require_covered(current(), request.proposal)
        found = await self._board.newest(limit, request.before, request.action, request.proposal)
        response, left = runs_pb2.ListRunsResponse(), MAX_BYTES["placet.v1.ListRunsResponse"]
        for shown in found:
            left -= shown.message.ByteSize() + 8
            if left < 0:
                break
            response.runs.append(shown.message)
        return response

    async def Watch(
        self, request: runs_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[runs_pb2.Run]:
        """A run now, then each change, until it has ended; or the jobs of a proposal from now
        on."""
        if bool(request.id) == bool(request.proposal):
            raise RequestMalformed("Watch a run or a proposal, one of the two.", claim="id")
        require_covered(current(), request.id or request.proposal)
        if request.proposal:
            with self._board.watcher(request.proposal) as wake:
                # The caller knows by these that nothing it does from here on is missed.
                await context.send_initial_metadata(())
                while True:
                    for record in await self._board.changed_jobs(wake):
                        yield record.to_proto()
        async with aclosing(self._board.watch(request.id)) as messages:
            async for message in messages:
                yield message


def _check_named(order: Order, caller: Caller) -> None:
    """Refuse a ticket that is neither the caller's nor names it. Raises `NotPermitted`."""
    named = order.facts.named
    if caller.id not in named:
        raise NotPermitted(
            "A run is started by its proposer, or by whom its proposal names.",
            claim="caller",
            expected=" or ".join(sorted(named)),
            actual=caller.id,
        )


def _order(request: runs_pb2.StartRequest) -> Order:
    """What is asked for. Raises `RequestMalformed` for what the ticket's action does not take."""
    facts = read_ticket(request.ticket)
    wanted, found = _REQUEST_ID_BYTES if facts.action == "job" else 0, len(request.request_id)
    if found != wanted:
        raise RequestMalformed(
            "A job is started with a request_id of its own, and other work without one.",
            claim="request_id",
            expected=f"{wanted} bytes",
            actual=f"{found} bytes",
        )
    if request.HasField("workers") and not facts.serves:
        raise RequestMalformed(
            "Only a service is started with a number of workers.",
            claim="workers",
            expected="serve",
            actual=facts.action,
        )
    workers = request.workers if request.HasField("workers") else 1
    return Order(facts, request.ticket, workers, request.request_id)
