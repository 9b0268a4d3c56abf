# SPDX-License-Identifier: Apache-2.0
"""Services: their workers draw on the users' rations. Leasing one is as for any other worker
(leases.py)."""

from google.protobuf.message import Message

from placet.enclave.authority.core import Core, Effect
from placet.enclave.authority.joins import Joins
from placet.enclave.authority.journal import Covering
from placet.governance.contexts import draw_statement
from placet.governance.judgements.draws import judge_draw, rations_left
from placet.governance.judgements.leasing import find_lease
from placet.proto.v1 import enclaves_pb2
from placet.refusals import FrameUnexpected


class Services:
    """The part of the authority that counts answers, a tranche at a time."""

    def __init__(self, core: Core, joins: Joins) -> None:
        self._core = core
        self._joins = joins

    async def draw(self, frame: enclaves_pb2.Frame) -> Effect:
        """Rows for one user: spent once the entry is covered, whatever becomes of the worker."""
        core = self._core
        request = enclaves_pb2.DrawRequest.FromString(frame.payload)
        lease = find_lease(core.ledger, request.lease)
        if frame.peer != self._joins.worker(lease.worker).enclave_id:
            raise FrameUnexpected("A worker draws under the lease that it has.", claim="lease")
        entry = await core.judged(
            lambda: judge_draw(core.ledger, lease.digest, request.user, request.rows, core.now())
        )
        core.append(entry)
        service, rations = (
            core.ledger.state.services[lease.proposal],
            core.ledger.proposal(lease.proposal).document.serve.rations,
        )
        rows, (user_left, total_left) = entry["rows"], rations_left(rations, service, request.user)

        def effect(_: Covering) -> Message:
            statement = draw_statement(lease.digest, request.user, rows, user_left, total_left)
            return enclaves_pb2.Drawn(
                rows=rows,
                user_left=user_left,
                total_left=total_left,
                signature=core.keys.signing.sign(statement),
            )

        return effect
