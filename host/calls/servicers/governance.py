# SPDX-License-Identifier: Apache-2.0
"""Governance: documents go to the authority. They are read in the log."""

from typing import Any

import grpc.aio

from placet.host.calls.forwarded import Forwarding, forwarded
from placet.host.documents import check_stop
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, governance_pb2_grpc


class GovernanceService(Forwarding, governance_pb2_grpc.GovernanceServicer):
    Found = forwarded(enclaves_pb2.KIND_FOUND, common_pb2.Committed)
    Propose = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Vote = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Amend = forwarded(enclaves_pb2.KIND_AMEND, common_pb2.Committed)

    async def Stop(
        self, request: governance_pb2.DocumentRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> common_pb2.Committed:
        """A stop takes no login and has the right of way, so no other document comes in here."""
        check_stop(request.envelope)
        return await self.line.request(
            enclaves_pb2.KIND_RECORD, request, common_pb2.Committed, stop=True
        )
