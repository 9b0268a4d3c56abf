# SPDX-License-Identifier: Apache-2.0
"""Governance: documents go to the authority, reading is answered from the store."""

from itertools import islice
from typing import Any

import grpc.aio

from placet.host.calls.bounds import within_bound
from placet.host.enclaves.authority import AuthorityLine
from placet.host.errors import DocumentNotFound, MessageTooLarge, NotFounded, RequestMalformed
from placet.host.log.log import Log
from placet.host.log.log_table import read_document, read_documents
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, governance_pb2_grpc

_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
Context = grpc.aio.ServicerContext[Any, Any]


class GovernanceService(governance_pb2_grpc.GovernanceServicer):
    """See governance.proto."""

    def __init__(self, store: Store, log: Log, line: AuthorityLine) -> None:
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
        state, checkpoint = self._log.state, self._log.checkpoint
        if not state.charter:
            raise NotFounded("The log has no charter yet. Found it first.")
        digests = [state.charter, *state.constitutions]
        charter, *constitutions = await self._store.read(lambda c: read_documents(c, digests))
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
        newest = islice(reversed(self._log.state.proposals.values()), limit)
        item = governance_pb2.ListProposalsResponse.Item
        return governance_pb2.ListProposalsResponse(
            proposals=[
                item(digest=known.digest, index=known.index, ballots=len(known.ballots))
                for known in newest
            ]
        )

    async def GetProposal(
        self, request: governance_pb2.GetProposalRequest, context: Context
    ) -> governance_pb2.ProposalResponse:
        """The proposal and every ballot for it."""
        known = self._log.proposal(request.digest)
        digests = [ballot.digest for ballot in known.ballots]
        proposal = await self._store.read(lambda c: read_document(c, known.digest))
        if proposal is None:
            raise DocumentNotFound("The proposal is not stored.", claim="digest")
        ballots = await self._store.read(lambda c: read_documents(c, digests))
        ticket = common_pb2.Ticket(proposal=proposal, ballots=ballots)
        response = governance_pb2.ProposalResponse(ticket=ticket, index=known.index)
        if not within_bound(response):
            raise MessageTooLarge("The ballots exceed one answer; read them from the log.")
        return response

    async def _record(self, request: governance_pb2.DocumentRequest) -> common_pb2.Committed:
        return await self._line.request(enclaves_pb2.KIND_RECORD, request, common_pb2.Committed)
