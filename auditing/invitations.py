# SPDX-License-Identifier: Apache-2.0
"""Founding by links: an invitation, and what the invited post under it.

The invitation is a constitution without keys, and for each seat and party a key that only its link
holds. An enrolment brings the public keys of one of them, an assent the signatures of a seat.
Constitution and charter follow from the invitation and the enrolments alone, so whoever is invited
makes them at home, and signs no bytes of anybody else's.

    board = read_board(digest, invitation, posts)
    if not board.missing:
        board.constitution()
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, cast

from placet.governance.checks import check_digest, check_distinct, check_identifier, check_range
from placet.governance.codec import Json, decode, encode, from_plain, malformed
from placet.governance.documents import Charter, Constitution
from placet.governance.envelope import digest_of, parse_envelope, payload_type, verify_signed
from placet.governance.keys import PublicKey, SigningKey
from placet.refusals import OtherLog, PayloadType, Refusal, SignerUnknown
from placet.sealing import HPKEPublicKey

MOST: Final = 64  # seats and parties that are invited
MAX_POST: Final = 8 * 1024
_NONCE = b"placet charter of board "
_NONCE_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Invited:
    """A seat or party, and the key by which it posts; its link has the private half."""

    id: str
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Invitation:
    """`constitution` has the fields of a genesis constitution, without the keys of the invited."""

    KIND: ClassVar[str] = "invitation"

    constitution: Json
    invited: tuple[Invited, ...]

    def __post_init__(self) -> None:
        check_range("invited", len(self.invited), 1, MOST)
        check_distinct("invited", [one.id for one in self.invited])

    def key_of(self, id: str) -> PublicKey:
        """The key by which somebody posts. Raises `SignerUnknown`."""
        for one in self.invited:
            if one.id == id:
                return one.key
        raise SignerUnknown("The invitation is not for this id.", claim="id", actual=id[:64])


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The public keys of an invited seat or party."""

    KIND: ClassVar[str] = "enrolment"

    board: str
    id: str
    signing: PublicKey
    hpke: str

    def __post_init__(self) -> None:
        check_digest("board", self.board)
        check_identifier("id", self.id)
        HPKEPublicKey.from_text(self.hpke)


@dataclass(frozen=True, slots=True)
class Assent:
    """A seat's signatures (base64) on constitution and charter; `log` is the charter's."""

    KIND: ClassVar[str] = "assent"

    board: str
    id: str
    log: str
    constitution: str
    charter: str

    def __post_init__(self) -> None:
        check_digest("board", self.board)
        check_identifier("id", self.id)


Post = Enrolment | Assent


@dataclass(frozen=True, slots=True)
class Board:
    """An invitation, and the verified posts under it: one of a kind of each of the invited."""

    digest: str
    invitation: Invitation
    enrolments: Mapping[str, Enrolment]
    assents: Mapping[str, Assent]

    @property
    def missing(self) -> tuple[str, ...]:
        """Who has not posted an enrolment."""
        return tuple(one.id for one in self.invitation.invited if one.id not in self.enrolments)

    def constitution(self) -> Constitution:
        """The constitution, once every enrolment is there: all of the invited are in it, with the
        keys that they enrolled. Raises `DocumentMalformed`, `ConstitutionInvalid` or
        `SignerUnknown`."""
        values: Json = dict(self.invitation.constitution)
        for kind in ("seats", "parties"):
            values[kind] = [self._keyed(one) for one in _tables(values.get(kind), kind)]
        made = from_plain(Constitution, values)
        for one in self.invitation.invited:
            made.principal(one.id)
        return made

    def charter(self, log: str) -> Charter:
        """The charter of this constitution and that log; the same for everybody.

        Its nonce covers the enrolments, so the words that members compare are about every key.
        """
        enrolled = [encode(self.enrolments[id]) for id in sorted(self.enrolments)]
        joined = b"".join(len(one).to_bytes(8, "big") + one for one in enrolled)
        nonce = hashlib.sha256(_NONCE + self.digest.encode() + joined).hexdigest()[:_NONCE_DIGITS]
        return Charter(nonce, log, digest_of(encode(self.constitution())))

    def signatures(self, log: str) -> dict[str, tuple[bytes, bytes]]:
        """By seat what its assent to this log brings for constitution and charter, unverified."""
        agreed = [one for one in self.assents.values() if one.log == log]
        return {one.id: (_raw(one.constitution), _raw(one.charter)) for one in agreed}

    def _keyed(self, table: Json) -> Json:
        enrolment = self.enrolments.get(str(table.get("id")))
        if enrolment is None:
            return table
        if "keys" in table:
            raise malformed("constitution", "no keys of who is invited", f"keys of {enrolment.id}")
        return {**table, "keys": [enrolment.signing.to_dict()]}


def read_board(digest: str, invitation: bytes, posts: Iterable[bytes]) -> Board:
    """The board of this digest: each post is verified, and of two of a kind by one of the invited
    the first counts. Raises `OtherLog`, `DocumentMalformed`, `DocumentTooLarge`,
    `SignatureInvalid`, `PayloadType` or `SignerUnknown`."""
    if digest_of(invitation) != digest:
        raise OtherLog(
            "The host shows another invitation than the link names.",
            claim="invitation",
            expected=digest,
            actual=digest_of(invitation),
        )
    read = decode(Invitation, invitation)
    enrolments, assents = dict[str, Enrolment](), dict[str, Assent]()
    for post in (read_post(digest, read, envelope) for envelope in posts):
        if isinstance(post, Enrolment):
            enrolments.setdefault(post.id, post)
        else:
            assents.setdefault(post.id, post)
    return Board(digest, read, MappingProxyType(enrolments), MappingProxyType(assents))


def read_post(digest: str, invitation: Invitation, envelope: bytes) -> Post:
    """What one of the invited posts, verified by the key of its link. Raises as `read_board`
    does."""
    raw = parse_envelope(envelope, MAX_POST)
    kinds: dict[str, type[Post]] = {payload_type(kind): kind for kind in (Enrolment, Assent)}
    kind = kinds.get(raw.payload_type)
    if kind is None:
        raise PayloadType("A board takes enrolments and assents.", claim="payloadType")
    post = verify_signed(envelope, kind, lambda one: [invitation.key_of(one.id)]).document
    if post.board != digest:
        raise OtherLog(
            "The post is for another invitation.",
            claim="board",
            expected=digest,
            actual=post.board,
        )
    return post


def matches(board: Board, constitution: bytes) -> bool:
    """Whether a signed constitution is the board's; never while enrolments are missing."""
    try:
        expected = digest_of(encode(board.constitution()))
    except Refusal:
        return False
    return parse_envelope(constitution).digest == expected


def envelope_of(
    payload: bytes, kind: type[Constitution | Charter], key: PublicKey, made: bytes
) -> bytes:
    """The envelope of a payload with one signature."""
    signature = {"keyid": key.key_id, "sig": base64.b64encode(made).decode()}
    return encode(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type(kind),
            "signatures": [signature],
        }
    )


def signature_of(envelope: bytes, key: SigningKey) -> str:
    """A key's signature in an envelope, in base64."""
    return base64.b64encode(parse_envelope(envelope).signatures[key.public.key_id]).decode()


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _tables(value: Any, claim: str) -> list[Json]:
    if not isinstance(value, list):
        raise malformed(claim, "a list", type(value).__name__)
    tables = cast("list[object]", value)
    return [cast("Json", one) if isinstance(one, dict) else {} for one in tables]
