# SPDX-License-Identifier: Apache-2.0
"""What a step of the log means for the rows of jobs, changed in the transaction that stores it."""

from collections.abc import Mapping

import sqlalchemy as sa

from placet.governance.state import LeaseState
from placet.host.log.log import Effects
from placet.host.store import job_table
from placet.host.store.job_table import JobRecord, NewJob
from placet.proto.v1 import common_pb2


def follow(
    connection: sa.Connection, effects: Effects, starting: Mapping[str, NewJob]
) -> list[JobRecord]:
    """Change the rows; jobs in `starting` get theirs with their lease.

    A log may speak of jobs that another host's store held; those are not ours to show. A job that
    runs and is stopped is told by the authority; one that waits ends here.
    """
    changed = list[JobRecord]()
    for lease in effects.leased:
        changed += _lease(connection, lease, starting.get(lease.job))
    for lease in effects.ended:
        if lease.status == "released":
            changed += job_table.change_job(connection, lease.job, _released(lease))
    for proposal, reason in effects.stopped:
        text = "The proposal was stopped while the job waited."
        refusal = common_pb2.Refusal(reason=reason, message=text)
        changed += job_table.refuse_waiting(connection, proposal, refusal)
    return changed


def _lease(
    connection: sa.Connection, lease: LeaseState, starting: NewJob | None
) -> list[JobRecord]:
    change = {"state": job_table.LEASED, "lease": lease.digest, "attempt": lease.attempt}
    change["progress"] = 0
    if starting is not None:
        record, made = job_table.insert_job(connection, starting, change)
        if made:
            return [record]
    return job_table.change_job(connection, lease.job, change)


def _released(lease: LeaseState) -> Mapping[str, object]:
    change: dict[str, object] = {"lease": lease.digest, "receipt": lease.receipt}
    if lease.receipt:
        return change | {"state": job_table.FINISHED, "progress": 100}
    text = "Too few organisations' updates were left; nothing was released."
    refusal = common_pb2.Refusal(reason=common_pb2.REASON_COHORT_TOO_SMALL, message=text)
    return change | {"state": job_table.FAILED, "refusal": refusal.SerializeToString()}
