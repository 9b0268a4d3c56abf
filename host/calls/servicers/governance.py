# SPDX-License-Identifier: Apache-2.0
"""Governance: documents go to the authority, reading is answered from the store."""

from itertools import islice

from placet.host.calls.bounds import within_bound
from placet.host.calls.forwarded import Context, Forwarding, forwarded
from placet.host.enclaves.authority import AuthorityLine
from placet.host.log.log import Log
from placet.host.log.log_table import read_document, read_documents
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2, governance_pb2_grpc
from placet.refusals import DocumentNotFound, MessageTooLarge, NotFounded, RequestMalformed

_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000


class GovernanceService(Forwarding, governance_pb2_grpc.GovernanceServicer):
    def __init__(self, store: Store, log: Log, line: AuthorityLine) -> None:
        super().__init__(line)
        self._store = store
        self._log = log

    Found = forwarded(enclaves_pb2.KIND_FOUND, common_pb2.Committed)
    Propose = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Vote = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Stop = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Amend = forwarded(enclaves_pb2.KIND_AMEND, common_pb2.Committed)

    async def GetConstitution(
        self, request: governance_pb2.GetConstitutionRequest, context: Context
    ) -> governance_pb2.ConstitutionResponse:
        """The charter and every constitution so far."""
        state, checkpoint = self._log.state, self._log.checkpoint
        digests = [state.charter, *state.constitutions]
        # The state may be a step ahead of what is stored.
        found = await self._store.read(lambda c: read_documents(c, digests))
        if not found:
            raise NotFounded("The log has no charter yet. Found it first.")
        charter, *constitutions = found
        response = governance_pb2.ConstitutionResponse(
            charter=charter, constitutions=constitutions, checkpoint=checkpoint
        )
        if not within_bound(response):
            raise MessageTooLarge("The constitutions exceed one answer; read them from the log.")
        return response

    async def ListProposals(
        self, request: governance_pb2.ListProposalsRequest, context: Context
    ) -> governance_pb2.ListProposalsResponse:
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
