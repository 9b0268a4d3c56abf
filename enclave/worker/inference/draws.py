# SPDX-License-Identifier: Apache-2.0
"""Drawing on a user's ration at the authority. The host relays it, so the answer is signed: it
might be more generous."""

from placet.enclave.worker.joining import Membership
from placet.governance.contexts import draw_statement
from placet.governance.documents.serving import MAX_ANSWERS
from placet.proto.frames import Link
from placet.proto.v1 import enclaves_pb2
from placet.refusals import SignatureInvalid


class Draws:
    """The draws of one worker under its lease, one at a time for each user."""

    def __init__(self, link: Link, member: Membership, lease: str) -> None:
        self._link = link
        self._authority = member.authority.signing
        self._lease = lease
        self._left: dict[str, int] = {}  # what each user's last draw left

    async def draw(self, user: str, rows: int) -> enclaves_pb2.Drawn:
        """The rows that the authority grants of so many.

        Raises `SignatureInvalid` for an answer that is not the authority's, not new, or more than
        was asked for, and what `Link.request` raises.
        """
        request = enclaves_pb2.DrawRequest(lease=self._lease, user=user, rows=rows)
        reply = await self._link.request(enclaves_pb2.KIND_DRAW, request, peer="authority")
        drawn = enclaves_pb2.Drawn.FromString(reply)
        statement = draw_statement(self._lease, user, drawn.rows, drawn.user_left, drawn.total_left)
        # Each draw leaves its user less than the one before, so an answer that came before is told
        # by what it leaves.
        new = drawn.user_left < self._left.get(user, MAX_ANSWERS)
        # The request is not signed: whoever relays it could ask for more than a worker is to hold.
        fits = new and drawn.rows <= rows
        if not (fits and self._authority.has_signed(drawn.signature, statement)):
            raise SignatureInvalid(
                "The worker's word of a ration does not come from the authority, "
                "or does not answer the worker's question.",
                claim="drawn",
                expected=f"at most {rows} rows, a new answer, and the signature of the authority's "
                "boot key",
                remedy="tell the council: the host has changed it",
            )
        self._left[user] = drawn.user_left
        return drawn
