# SPDX-License-Identifier: Apache-2.0
"""Governance: documents go to the authority. They are read in the log."""

from typing import Any

import grpc.aio

from placet.host.calls.forwarded import Forwarding, forwarded
from placet.host.documents import check_stop
from placet.host.enclaves.authority import AuthorityLine
from placet.host.founding import FoundingBoard
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, governance_pb2_grpc


class GovernanceService(Forwarding, governance_pb2_grpc.GovernanceServicer):
    Propose = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Vote = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Amend = forwarded(enclaves_pb2.KIND_AMEND, common_pb2.Committed)

    def __init__(self, line: AuthorityLine, board: FoundingBoard) -> None:
        super().__init__(line)
        self._board = board

    async def Found(
        self, request: governance_pb2.FoundRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> common_pb2.Committed:
        """A founding that no board is in the way of."""
        self._board.check_found(request.constitution)
        return await self.line.request(enclaves_pb2.KIND_FOUND, request, common_pb2.Committed)

    async def Stop(
        self, request: governance_pb2.DocumentRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> common_pb2.Committed:
        """A stop takes no login and has the right of way, so no other document comes in here."""
        check_stop(request.envelope)
        return await self.line.request(
            enclaves_pb2.KIND_RECORD, request, common_pb2.Committed, stop=True
        )
