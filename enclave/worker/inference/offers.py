# SPDX-License-Identifier: Apache-2.0
"""A worker's offers: by which key sessions with it are opened now. The newest is taken, and the one
before it."""

from dataclasses import dataclass, field

from placet.enclave.worker.joining import Membership
from placet.governance.contexts import session_info
from placet.governance.documents import Field, Lease, Offer
from placet.governance.documents.lease import answer_header
from placet.governance.documents.serving import RowsAre
from placet.governance.envelope import Signed, parse_envelope, sign
from placet.proto.questions import Claim
from placet.refusals import (
    EnvelopeKeyMismatch,
    Refusal,
    SessionForged,
    SessionUnknown,
)
from placet.sealing import HPKEPrivateKey, open_envelope

_STANDING = 2


def _no_ids() -> set[bytes]:
    return set()


@dataclass(frozen=True, slots=True, eq=False)
class StandingOffer:
    """An offer to which openings are taken. opened: the ids of the sessions that were, so that none
    is opened twice."""

    number: int
    digest: str
    key: HPKEPrivateKey
    opened: set[bytes] = field(default_factory=_no_ids, repr=False)


class Offers:
    """The offers of one worker. A key is gone with its offer: what was sealed to it opens nowhere
    any more."""

    def __init__(
        self,
        lease: Signed[Lease],
        member: Membership,
        inputs: tuple[Field, ...],
        answers: tuple[Field, ...],
        rows: RowsAre,
    ) -> None:
        self._lease = lease
        self._member = member
        self._inputs, self._answers = inputs, answers
        self._rows: RowsAre = rows
        self._made = 0
        self.standing: tuple[StandingOffer, ...] = ()  # the newest first

    def renew(self, seconds: float) -> bytes:
        """The envelope of a new offer, by a new key, while the lease holds for so many seconds."""
        key, lease = HPKEPrivateKey.generate(), self._lease
        offer = Offer(
            header=answer_header(lease.document, lease.digest, Offer.KIND, self._made),
            lease=lease.digest,
            worker=self._member.keys.identity.digest,
            number=self._made,
            key=key.public.to_text(),
            seconds=max(int(seconds), 0),
            inputs=self._inputs,
            answers=self._answers,
            rows=self._rows,
        )
        envelope = sign(offer, self._member.keys.signing)
        made = StandingOffer(self._made, parse_envelope(envelope).digest, key)
        self.standing = (made, *self.standing)[:_STANDING]
        self._made += 1
        return envelope

    def open(self, envelope: bytes) -> tuple[StandingOffer, Claim]:
        """The offer that an opening is for, and the claim sealed in it, whose proof nobody has
        checked.

        Raises `SessionUnknown` for an offer that stands no more, `SessionForged` for what does not
        open.
        """
        for offer in self.standing:
            try:
                # The library gives the secret as bytes, which nobody can overwrite.
                plain = open_envelope(envelope, offer.key, session_info(offer.digest))
                return offer, Claim.from_bytes(plain)
            except EnvelopeKeyMismatch:
                continue
            except Refusal:
                raise SessionForged(
                    "The opening of the session was changed, or was not sealed to this offer.",
                    claim="envelope",
                    remedy="ask for the worker's newest offer, and open a session by it",
                ) from None
        raise SessionUnknown(
            "The worker's offer that the session is for stands no more. Ask for its newest one.",
            claim="offer",
        )
