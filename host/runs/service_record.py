# SPDX-License-Identifier: Apache-2.0
"""A service as callers see it."""

from placet.host.documents import read_ticket
from placet.host.runs.routes import Routes
from placet.host.store.run_table import RunRecord
from placet.proto.v1 import common_pb2, runs_pb2


def show_service(run: RunRecord, routes: Routes) -> runs_pb2.Run:
    """A service that was started here."""
    shown, ready = run.to_proto(), len(routes.ready(run.id))
    if run.wanted and not (run.ended or ready):
        shown.state = runs_pb2.RUN_STATE_QUEUED
    not_after = read_ticket(common_pb2.Ticket.FromString(run.ticket)).not_after
    shown.service.CopyFrom(runs_pb2.Service(workers=run.wanted, ready=ready, not_after=not_after))
    return shown
