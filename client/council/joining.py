# SPDX-License-Identifier: Apache-2.0
"""Founding by links, at home: what is posted, and the draft that follows from the board."""

import secrets
from collections.abc import Iterable

from placet.auditing.invitations import (
    Assent,
    Board,
    Enrolment,
    Invitation,
    Invited,
    envelope_of,
    signature_of,
)
from placet.client.council.charters import CharterDraft
from placet.client.errors import UsageRefused
from placet.client.keys import Keys, PublicKeys
from placet.client.links import FounderLink, SeatLink
from placet.governance.codec import Json, encode
from placet.governance.documents import Charter, Constitution
from placet.governance.envelope import digest_of, sign
from placet.governance.keys import SigningKey
from placet.sealing import HPKEPublicKey

_SECRET = 32


def new_invitation(
    constitution: Json, ids: Iterable[str], at: FounderLink
) -> tuple[Invitation, list[SeatLink]]:
    """An invitation for these seats and parties, and the link of each. Raises
    `DocumentMalformed`."""
    made = {id: secrets.token_hex(_SECRET) for id in ids}
    links = [SeatLink(at.host, at.pin, "", id, secret) for id, secret in made.items()]
    invited = tuple(Invited(link.id, link.key.public) for link in links)
    invitation = Invitation(constitution, invited)
    digest = digest_of(encode(invitation))
    return invitation, [
        SeatLink(link.host, link.pin, digest, link.id, link.secret) for link in links
    ]


def make_enrolment(link: SeatLink, keys: Keys) -> bytes:
    """The envelope of an enrolment: these keys are the seat's or party's from now on."""
    public = keys.public
    return sign(Enrolment(link.board, link.id, public.signing, public.hpke.to_text()), link.key)


def check_enrolled(board: Board, link: SeatLink, keys: Keys) -> bool:
    """Whether the enrolment of these keys is posted. Raises `UsageRefused` where it is of other
    keys."""
    enrolment = board.enrolments.get(link.id)
    own = keys.public.signing, keys.public.hpke.to_text()
    if enrolment is not None and (enrolment.signing, enrolment.hpke) != own:
        raise UsageRefused(
            f"Somebody has joined as {link.id} already, with other keys than yours. If that was "
            "not you, tell whoever invited you, and sign nothing.",
            claim="id",
            actual=link.id,
        )
    return enrolment is not None


def make_assent(link: SeatLink, log: str, draft: CharterDraft, key: SigningKey) -> bytes:
    """The envelope of a seat's signatures on a draft that it has signed."""
    envelopes = (draft.constitution_envelope, draft.charter_envelope)
    return sign(
        Assent(link.board, link.id, log, *(signature_of(one, key) for one in envelopes)), link.key
    )


def draft_of(board: Board, log: str) -> CharterDraft:
    """The draft that follows from the board for this log, with the signatures of its assents that
    hold. Raises `DocumentMalformed` or `ConstitutionInvalid`."""
    constitution = board.constitution()
    draft = CharterDraft.make(constitution, board.charter(log))
    for id, (first, second) in board.signatures(log).items():
        key = board.enrolments[id].signing
        signed = CharterDraft(
            draft.constitution,
            draft.charter,
            envelope_of(draft.constitution, Constitution, key, first),
            envelope_of(draft.charter, Charter, key, second),
        )
        if id in signed.signed_by():
            draft = draft.merge(signed)
    return draft


def whole_draft(board: Board) -> CharterDraft | None:
    """The draft that every seat has signed; None while somebody is missing."""
    if board.missing:
        return None
    for log in sorted({assent.log for assent in board.assents.values()}):
        draft = draft_of(board, log)
        if not draft.missing():
            return draft
    return None


def members_of(board: Board) -> list[PublicKeys]:
    """The public keys of everybody who has posted an enrolment."""
    return [
        PublicKeys(one.id, one.signing, HPKEPublicKey.from_text(one.hpke))
        for one in board.enrolments.values()
    ]
