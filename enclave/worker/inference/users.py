# SPDX-License-Identifier: Apache-2.0
"""Who opens a session: judged by the claim that came inside its seal, under the terms and the
constitution that the worker has."""

from hmac import compare_digest

from placet.governance.contexts import session_statement
from placet.governance.documents import Bearers, Constitution, Members, Roster
from placet.governance.documents.serving import Users, token_digest
from placet.proto.questions import BEARER, PRINCIPAL, Claim
from placet.refusals import SessionForged, UserNotAllowed


class Askers:
    """The users who may ask, and those who can only show who they are."""

    def __init__(self, users: Users, constitution: Constitution, charter: str) -> None:
        self._users = users
        self._principals = {principal.id: principal for principal in constitution.principals}
        self._charter = charter

    def verify_claim(self, claim: Claim, offer: str) -> str:
        """The user whose claim it is, allowed or not. Raises `SessionForged`."""
        shown = self._bears(claim) if claim.kind == BEARER else self._has_signed(claim, offer)
        if not shown:
            raise SessionForged(
                "The opening of the session does not show who asks: no such principal or token, or "
                "a proof that is not theirs.",
                claim="proof",
                remedy="ask with the key or the token of the user that is named",
            )
        return claim.user

    def check_allowed(self, claim: Claim) -> None:
        """Whether the terms let the user of a verified claim ask. Raises `UserNotAllowed`."""
        match self._users:
            case Roster():
                allowed = claim.user in self._users.users
            case Members():
                allowed = self._principals[claim.user].organisation in self._users.organisations
            case Bearers():
                # A principal may have the name of a token that it does not hold.
                allowed = claim.kind == BEARER
        if not allowed:
            raise UserNotAllowed(
                "The terms of the service do not let this user ask. Have it proposed with them.",
                claim="users",
                expected="one whom the terms name",
                actual=claim.user,
            )

    def _bears(self, claim: Claim) -> bool:
        """Names of tokens are public, so only the comparison with the digest takes the same time
        whatever it finds."""
        tokens = self._users.tokens if isinstance(self._users, Bearers) else {}
        return compare_digest(token_digest(claim.proof), tokens.get(claim.user, ""))

    def _has_signed(self, claim: Claim, offer: str) -> bool:
        principal = self._principals.get(claim.user)
        if claim.kind != PRINCIPAL or principal is None:
            return False
        statement = session_statement(self._charter, offer, claim.user, claim.secret)
        return any(key.has_signed(claim.proof, statement) for key in principal.keys)
