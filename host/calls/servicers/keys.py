# SPDX-License-Identifier: Apache-2.0
"""Keys: evidence and provisioning, relayed to the authority."""

from typing import Any

import grpc.aio

from placet.host.enclaves.authority import AuthorityLine
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, keys_pb2, keys_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class KeysService(keys_pb2_grpc.KeysServicer):
    """See keys.proto."""

    def __init__(self, line: AuthorityLine) -> None:
        self._line = line

    async def GetEvidence(
        self, request: keys_pb2.EvidenceRequest, context: Context
    ) -> keys_pb2.EvidenceResponse:
        """To the authority."""
        return await self._line.request(
            enclaves_pb2.KIND_EVIDENCE, request, keys_pb2.EvidenceResponse
        )

    async def Provision(
        self, request: keys_pb2.ProvisionRequest, context: Context
    ) -> common_pb2.Committed:
        """To the authority."""
        return await self._line.request(enclaves_pb2.KIND_PROVISION, request, common_pb2.Committed)

    async def Withdraw(
        self, request: keys_pb2.WithdrawRequest, context: Context
    ) -> common_pb2.Committed:
        """To the authority, as the stop that it is."""
        document = governance_pb2.DocumentRequest(envelope=request.stop)
        return await self._line.request(enclaves_pb2.KIND_RECORD, document, common_pb2.Committed)
