# SPDX-License-Identifier: Apache-2.0
"""The founding of a council: every seat checks the authority, signs the charter, and it becomes
entry 0."""

from placet.attestation import Policy
from placet.auditing.invitations import Board, Invitation, read_board
from placet.client.connection.connection import Connection
from placet.client.council.authority import AsyncAuthority
from placet.client.council.charters import CharterDraft
from placet.client.council.joining import draft_of
from placet.client.errors import UsageRefused
from placet.client.keys import Keys
from placet.client.log.reader import LogReader, Recorded
from placet.client.trust.verify import VerifiedAuthority
from placet.governance.codec import encode
from placet.governance.documents import Charter, Constitution
from placet.governance.envelope import digest_of
from placet.proto.v1 import founding_pb2, governance_pb2
from placet.refusals import AlreadyFounded, NotPermitted, Refused


class AsyncFounding:
    """Draft, sign and submit a charter."""

    def __init__(self, connection: Connection, log: LogReader, authority: AsyncAuthority) -> None:
        self._connection = connection
        self._log = log
        self._authority = authority

    async def draft(self, constitution: Constitution) -> CharterDraft:
        """A charter for the authority that this host runs, once its evidence satisfies the
        constitution's policy."""
        Policy.from_dict(constitution.evidence.worker)
        log = (await self._verify(constitution)).attested.identity.log
        digest = digest_of(CharterDraft.payload_of(constitution))
        return CharterDraft.make(constitution, Charter.new(log, digest))

    async def sign(self, draft: CharterDraft, keys: Keys) -> CharterDraft:
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
        await self._verify(constitution, charter.log)
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
        self._adopt(draft)
        request = governance_pb2.FoundRequest(
            constitution=draft.constitution_envelope, charter=draft.charter_envelope
        )
        method = self._connection.governance.Found
        return await self._log.record(method, request, draft.charter_envelope, index=0)

    async def invite(self, token: str, invitation: Invitation) -> Board:
        """Open the host's board for an invitation, with the token of the founder's link. Raises
        `NotPermitted` or `AlreadyFounded`."""
        data = encode(invitation)
        request = founding_pb2.OpenBoardRequest(token=token, invitation=data)
        answer = await self._connection.ask(self._connection.founding.Open, request)
        return read_board(digest_of(data), answer.invitation, answer.posts)

    async def board(self, digest: str) -> Board:
        """The board of an invitation; every post in it is verified. Raises `DocumentNotFound`, or
        as `read_board` does."""
        request = founding_pb2.ReadBoardRequest(digest=digest)
        answer = await self._connection.ask(self._connection.founding.Read, request)
        return read_board(digest, answer.invitation, answer.posts)

    async def post(self, digest: str, envelope: bytes) -> Board:
        """Put an enrolment or an assent on the board, which is returned. Raises `NotPermitted`, or
        as `board` does."""
        request = founding_pb2.PostRequest(digest=digest, envelope=envelope)
        answer = await self._connection.ask(self._connection.founding.Post, request)
        return read_board(digest, answer.invitation, answer.posts)

    async def follow(self, board: Board) -> CharterDraft:
        """The draft that follows from a board on which nobody is missing, for the authority that
        this host runs, once its evidence satisfies the constitution's policy."""
        constitution = board.constitution()
        Policy.from_dict(constitution.evidence.worker)
        return draft_of(board, (await self._verify(constitution)).attested.identity.log)

    async def settle(self, draft: CharterDraft) -> None:
        """Found the council of a draft that every seat has signed, unless another member has; it
        is pinned, and its log is read. Raises `OtherLog` at the host of another council."""
        self._adopt(draft)
        try:
            await self.found(draft)
        except Refused as refused:
            if refused.reason != AlreadyFounded.reason:
                raise
            await self._log.read()

    async def _verify(self, constitution: Constitution, log: str = "") -> VerifiedAuthority:
        """The authority is what a genesis constitution wants, and keeps no log yet.

        `log` is the verifier key that it has to name; any if empty.
        """
        policy = Policy.from_dict(constitution.evidence.authority)
        genesis = digest_of(CharterDraft.payload_of(constitution))
        answer = await self._authority.evidence(genesis)
        return answer.verify(policy, now=self._connection.now(), log=log, charter="")

    def _adopt(self, draft: CharterDraft) -> None:
        """Pin the council that a draft is of. Raises `OtherLog` where another one is pinned."""
        self._log.memory.pin(digest_of(draft.charter))
        self._log.memory.learn(draft.read_charter().log)
