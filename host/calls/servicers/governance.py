# SPDX-License-Identifier: Apache-2.0
"""Governance: documents go to the authority, reading is answered from the store."""

from typing import Any

import grpc.aio

from placet.host.enclaves.authority import AuthorityLine
from placet.host.errors import MessageTooLarge, RequestMalformed
from placet.host.log import document_table
from placet.host.log.log_view import LogView
from placet.host.store.store import Store
from placet.proto.limits import within_bound
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, governance_pb2_grpc

_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class GovernanceService(governance_pb2_grpc.GovernanceServicer):
    """See governance.proto."""

    def __init__(self, store: Store, log: LogView, line: AuthorityLine) -> None:
        self._store = store
        self._log = log
        self._line = line

    async def Found(
        self, request: governance_pb2.FoundRequest, context: Context
    ) -> common_pb2.Committed:
        """To the authority."""
        return await self._line.request(enclaves_pb2.KIND_FOUND, request, common_pb2.Committed)

    async def Propose(
        self, request: governance_pb2.DocumentRequest, context: Context
    ) -> common_pb2.Committed:
        """To the authority."""
        return await self._record(request)

    async def Vote(
        self, request: governance_pb2.DocumentRequest, context: Context
    ) -> common_pb2.Committed:
        """To the authority."""
        return await self._record(request)

    async def Stop(
        self, request: governance_pb2.DocumentRequest, context: Context
    ) -> common_pb2.Committed:
        """To the authority."""
        return await self._record(request)

    async def Amend(
        self, request: governance_pb2.AmendRequest, context: Context
    ) -> common_pb2.Committed:
        """To the authority."""
        return await self._line.request(enclaves_pb2.KIND_AMEND, request, common_pb2.Committed)

    async def GetConstitution(
        self, request: governance_pb2.GetConstitutionRequest, context: Context
    ) -> governance_pb2.ConstitutionResponse:
        """The charter and every constitution so far."""
        checkpoint = self._log.checkpoint
        charter, constitutions = await self._store.read(document_table.read_constitutions)
        response = governance_pb2.ConstitutionResponse(
            charter=charter, constitutions=constitutions, checkpoint=checkpoint
        )
        if not within_bound(response):
            raise MessageTooLarge("The constitutions exceed one answer; read them from the log.")
        return response

    async def ListProposals(
        self, request: governance_pb2.ListProposalsRequest, context: Context
    ) -> governance_pb2.ListProposalsResponse:
        """Newest first."""
        limit = request.limit or _DEFAULT_LIMIT
        if limit > _MAX_LIMIT:
            raise RequestMalformed(f"limit is at most {_MAX_LIMIT}.", claim="limit")
        rows = await self._store.read(lambda c: document_table.list_proposals(c, limit))
        item = governance_pb2.ListProposalsResponse.Item
        return governance_pb2.ListProposalsResponse(
            proposals=[item(digest=d, index=i, ballots=n) for d, i, n in rows]
        )

    async def GetProposal(
        self, request: governance_pb2.GetProposalRequest, context: Context
    ) -> governance_pb2.ProposalResponse:
        """The proposal and every ballot for it."""
        index, proposal, ballots = await self._store.read(
            lambda c: document_table.read_proposal(c, request.digest)
        )
        ticket = common_pb2.Ticket(proposal=proposal, ballots=ballots)
        response = governance_pb2.ProposalResponse(ticket=ticket, index=index)
        if not within_bound(response):
            raise MessageTooLarge("The ballots exceed one answer; read them from the log.")
        return response

    async def _record(self, request: governance_pb2.DocumentRequest) -> common_pb2.Committed:
        return await self._line.request(enclaves_pb2.KIND_RECORD, request, common_pb2.Committed)
