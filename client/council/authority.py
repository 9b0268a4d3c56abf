# SPDX-License-Identifier: Apache-2.0
"""Whom a client believes: the council by its signatures, the authority by its evidence. And the
founding of both."""

import os

from placet.attestation import NONCE_BYTES, Policy
from placet.client.council.charters import CharterDraft
from placet.client.errors import UsageRefused
from placet.client.keys import Keys
from placet.client.log.log import LogOperations
from placet.client.records import Recorded
from placet.client.trust.artifacts import EvidenceFile
from placet.client.trust.verify import Council, VerifiedAuthority, verify_council
from placet.governance.documents import Charter, Constitution
from placet.governance.envelope import digest_of
from placet.governance.errors import NotPermitted
from placet.proto.v1 import governance_pb2, keys_pb2


class TrustOperations(LogOperations):
    """Evidence, constitution, charter."""

    _council: Council | None = None

    async def council(self) -> Council:
        """The charter and all constitutions up to the one in force, by the newest checkpoint.

        Which constitutions were adopted the log says, entry by entry; each document is verified,
        and kept. Raises `SettingMissing` where no council is pinned, and what reading the log
        raises.
        """
        state = (await self._session.read()).state
        if self._council is None or self._council.newest.digest != state.constitution:
            charter = await self._session.envelope(state.charter)
            chain = [await self._session.envelope(digest) for digest in state.constitutions]
            self._council = verify_council(charter, chain)
        return self._council

    async def evidence(self, constitution: str = "") -> EvidenceFile:
        """The authority's evidence for a fresh nonce, not verified.

        Before the founding it is about a log for the genesis constitution of this digest.
        """
        nonce = os.urandom(NONCE_BYTES)
        session = self._session
        request = keys_pb2.EvidenceRequest(nonce=nonce, constitution=constitution)
        answer = await session.ask(session.keys.GetEvidence, request)
        return EvidenceFile(answer.identity, answer.evidence, answer.checkpoint, nonce)

    async def verify_authority(self, policy: Policy | None = None) -> VerifiedAuthority:
        """Make sure, with a fresh nonce, that the authority is what a policy wants (None: the
        constitution's).

        Raises `AttestationError`, `LogError`, `OtherLog`, or what a call raises.
        """
        if policy is None:
            policy = (await self.council()).policy("authority")
        session, before = self._session, self._session.memory.newest()
        log = (await session.log_key()).to_text()
        answer = await self.evidence()
        verified = answer.verify(policy, now=session.now(), log=log, charter=session.charter())
        await session.accept(answer.checkpoint, before)
        return verified

    async def verify_founder(self, constitution: Constitution, log: str = "") -> VerifiedAuthority:
        """Make sure that the authority is what a genesis constitution wants, and keeps no log yet.

        `log` is the verifier key that it has to name; any if empty. Raises as `verify_authority`.
        """
        policy = Policy.from_dict(constitution.evidence.authority)
        answer = await self.evidence(digest_of(CharterDraft.payload_of(constitution)))
        return answer.verify(policy, now=self._session.now(), log=log, charter="")

    async def draft_charter(self, constitution: Constitution) -> CharterDraft:
        """A charter for the authority that this host runs, once its evidence satisfies the
        constitution's policy."""
        Policy.from_dict(constitution.evidence.worker)
        log = (await self.verify_founder(constitution)).attested.identity.log
        digest = digest_of(CharterDraft.payload_of(constitution))
        return CharterDraft.make(constitution, Charter.new(log, digest))

    async def sign_charter(self, draft: CharterDraft, keys: Keys) -> CharterDraft:
        """Check the authority's evidence with a nonce of one's own, then sign; the charter is
        pinned.

        Raises `NotPermitted` for keys that are no seat's, `OtherLog` if the authority is not the
        draft's.
        """
        constitution, charter = draft.read_constitution(), draft.read_charter()
        if not any(keys.signing.public in seat.keys for seat in constitution.seats):
            raise NotPermitted(
                "Only seats sign a charter, and this key is no seat's. Use the key that the "
                "constitution lists.",
                claim="signature",
                expected=", ".join(seat.id for seat in constitution.seats),
                actual=keys.id,
            )
        await self.verify_founder(constitution, charter.log)
        self._adopt(draft)
        return draft.sign(keys.signing)

    async def found(self, draft: CharterDraft) -> Recorded:
        """Submit a draft that every seat has signed: it becomes entry 0. Raises `UsageRefused`
        where some have not."""
        if missing := draft.missing():
            raise UsageRefused(
                f"These seats have not signed yet: {', '.join(missing)}. Collect their signatures "
                "first.",
                claim="signatures",
                actual=", ".join(missing),
            )
        session = self._session
        self._adopt(draft)
        before = session.memory.newest()
        request = governance_pb2.FoundRequest(
            constitution=draft.constitution_envelope, charter=draft.charter_envelope
        )
        committed = await session.ask(session.governance.Found, request)
        return await self._recorded(committed, draft.charter_envelope, before, 0)

    def _adopt(self, draft: CharterDraft) -> None:
        """Pin the council that a draft is of. Raises `OtherLog` where another one is pinned."""
        self._session.memory.pin(digest_of(draft.charter))
        self._session.memory.learn(draft.read_charter().log)
