# SPDX-License-Identifier: Apache-2.0
"""The blocking form of what councils do; each method does what its namesake in `AsyncClient`
says."""

from placet.attestation import Policy
from placet.auditing.audit import AuditReport
from placet.client.aio import AsyncClient
from placet.client.council.charters import CharterDraft
from placet.client.keys import Keys
from placet.client.portal import Portal
from placet.client.records import ProposalItem, ProposalRecord, Recorded
from placet.client.trust.artifacts import EvidenceFile
from placet.client.trust.verify import Council, VerifiedAuthority
from placet.governance.account import Account
from placet.governance.documents import (
    Amendment,
    Constitution,
    Federate,
    Job,
    Proposal,
    Serve,
    StopAction,
    Vote,
)
from placet.governance.envelope import Signed
from placet.governance.evaluate import Ticket
from placet.governance.ledger import Ledger
from placet.governance.log import Checkpoint


class SyncCouncil:
    """Log, trust, founding, proposals, ballots and stops."""

    def __init__(self, portal: Portal, core: AsyncClient) -> None:
        self._portal = portal
        self._core = core

    @property
    def address(self) -> str:
        """Where the host listens."""
        return self._core.address

    @property
    def charter(self) -> str:
        """The pinned council by the digest of its charter; empty before one is known."""
        return self._core.charter

    @property
    def log(self) -> str:
        """The pinned council's log; empty before one is known."""
        return self._core.log

    def checkpoint(self) -> Checkpoint:
        """See `AsyncClient.checkpoint`."""
        return self._portal.run(self._core.checkpoint())

    def document(self, digest: str) -> bytes:
        """See `AsyncClient.document`."""
        return self._portal.run(self._core.document(digest))

    def ledger(self) -> Ledger:
        """See `AsyncClient.ledger`."""
        return self._portal.run(self._core.ledger())

    def audit(self) -> AuditReport:
        """See `AsyncClient.audit`."""
        return self._portal.run(self._core.audit())

    def council(self) -> Council:
        """See `AsyncClient.council`."""
        return self._portal.run(self._core.council())

    def evidence(self, constitution: str = "") -> EvidenceFile:
        """See `AsyncClient.evidence`."""
        return self._portal.run(self._core.evidence(constitution))

    def verify_authority(self, policy: Policy | None = None) -> VerifiedAuthority:
        """See `AsyncClient.verify_authority`."""
        return self._portal.run(self._core.verify_authority(policy))

    def draft_charter(self, constitution: Constitution) -> CharterDraft:
        """See `AsyncClient.draft_charter`."""
        return self._portal.run(self._core.draft_charter(constitution))

    def sign_charter(self, draft: CharterDraft, keys: Keys) -> CharterDraft:
        """See `AsyncClient.sign_charter`."""
        return self._portal.run(self._core.sign_charter(draft, keys))

    def found(self, draft: CharterDraft) -> Recorded:
        """See `AsyncClient.found`."""
        return self._portal.run(self._core.found(draft))

    def propose(
        self,
        keys: Keys,
        body: Job | Federate | Serve | Amendment,
        *,
        purpose: str,
        reason: str,
        not_before: int,
        not_after: int,
        uses: int = 1,
    ) -> Recorded:
        """See `AsyncClient.propose`."""
        return self._portal.run(
            self._core.propose(
                keys,
                body,
                purpose=purpose,
                reason=reason,
                not_before=not_before,
                not_after=not_after,
                uses=uses,
            )
        )

    def vote(
        self,
        keys: Keys,
        proposal: str,
        vote: Vote,
        *,
        interests: str = "",
        rationale: str = "",
        expires: int | None = None,
        sequence: int | None = None,
    ) -> Recorded:
        """See `AsyncClient.vote`."""
        return self._portal.run(
            self._core.vote(
                keys,
                proposal,
                vote,
                interests=interests,
                rationale=rationale,
                expires=expires,
                sequence=sequence,
            )
        )

    def stop(self, keys: Keys, action: StopAction, target: str, *, reason: str = "") -> Recorded:
        """See `AsyncClient.stop`."""
        return self._portal.run(self._core.stop(keys, action, target, reason=reason))

    def amend(self, keys: Keys, proposal: str, constitution: Constitution) -> Recorded:
        """See `AsyncClient.amend`."""
        return self._portal.run(self._core.amend(keys, proposal, constitution))

    def proposals(self, limit: int = 100) -> tuple[ProposalItem, ...]:
        """See `AsyncClient.proposals`."""
        return self._portal.run(self._core.proposals(limit))

    def find_proposal(self, name: str) -> Signed[Proposal]:
        """See `AsyncClient.find_proposal`."""
        return self._portal.run(self._core.find_proposal(name))

    def proposal(self, digest: str) -> ProposalRecord:
        """See `AsyncClient.proposal`."""
        return self._portal.run(self._core.proposal(digest))

    def account(self, ticket: Ticket, council: Council | None = None) -> Account:
        """See `AsyncClient.account`."""
        return self._portal.run(self._core.account(ticket, council))
