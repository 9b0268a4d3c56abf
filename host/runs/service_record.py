# SPDX-License-Identifier: Apache-2.0
"""A service as callers see it."""

from placet.host.documents import read_ticket
from placet.host.runs.routes import Routes
from placet.host.store.run_table import RunRecord
from placet.host.store.schema import RunState
from placet.proto.v1 import common_pb2, inference_pb2

_STATES = {
    RunState.FAILED: inference_pb2.SERVICE_STATE_FAILED,
    RunState.STOPPED: inference_pb2.SERVICE_STATE_STOPPED,
}


def show_service(run: RunRecord, routes: Routes) -> inference_pb2.Service:
    """A service that was started here."""
    ready = len(routes.ready(run.id))
    waits = inference_pb2.SERVICE_STATE_READY if ready else inference_pb2.SERVICE_STATE_STARTING
    shown = inference_pb2.Service(
        id=run.id,
        state=_STATES.get(run.state, waits if run.wanted else inference_pb2.SERVICE_STATE_DRAINED),
        workers=run.wanted,
        ready=ready,
        not_after=read_ticket(common_pb2.Ticket.FromString(run.ticket)).not_after,
    )
    if run.refusal:
        shown.refusal.ParseFromString(run.refusal)
    return shown
