# SPDX-License-Identifier: Apache-2.0
"""Drawing on a user's ration at the authority. The host relays it, so the answer is signed: it might be more generous."""

import os

from placet.enclave.worker.joining import Membership
from placet.governance.contexts import draw_statement
from placet.governance.errors import SignatureInvalid
from placet.proto.frames import Link
from placet.proto.v1 import enclaves_pb2

_NONCE_BYTES = 16


class Draws:
    """The draws of one worker under its lease."""

    def __init__(self, link: Link, member: Membership, lease: str) -> None:
        self._link = link
        self._authority = member.authority.signing
        self._lease = lease

    async def draw(self, user: str, rows: int) -> enclaves_pb2.Drawn:
        """What the authority grants of so many rows.

        Raises `SignatureInvalid` for an answer that is not the authority's to this request, and what `Link.request` raises.
        """
        nonce = os.urandom(_NONCE_BYTES)
        request = enclaves_pb2.DrawRequest(lease=self._lease, user=user, rows=rows, nonce=nonce)
        reply = await self._link.request(enclaves_pb2.KIND_DRAW, request, peer="authority")
        drawn = enclaves_pb2.Drawn.FromString(reply)
        statement = draw_statement(
            self._lease, user, nonce, drawn.rows, drawn.user_left, drawn.total_left
        )
        # The request is not signed: whoever relays it could ask for more than a worker is to hold.
        if drawn.rows > rows or not self._authority.has_signed(drawn.signature, statement):
            raise SignatureInvalid(
                "What the worker was told of the user's ration does not come from the authority, or does not answer what it asked.",
                claim="drawn",
                expected=f"at most {rows} rows, and the signature of the authority's boot key",
                remedy="tell the council: the host has changed it",
            )
        return drawn
