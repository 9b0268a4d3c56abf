# SPDX-License-Identifier: Apache-2.0
"""Signed documents: JSON payloads in DSSE envelopes (securesystemslib), opened only with the keys
that must have signed.

    envelope = sign(document, key)                       # bytes to store and send
    signed = verify_signed(envelope, Ballot, keys_of)    # Signed[Ballot], or a typed refusal

A `Signed` value exists only after its signatures were checked. `inspect` gives the payload of bytes
that nobody has checked, for people who want to look at a draft; it returns the bare document, never
a `Signed`. Digests are of the payload bytes, so an envelope keeps its digest when a signature is
added.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar, cast

from securesystemslib.dsse import Envelope as DSSE

from placet.governance.codec import (
    MAX_DOCUMENT,
    Json,
    as_list,
    decode,
    encode,
    malformed,
    parse_object,
)
from placet.governance.keys import PublicKey, SigningKey
from placet.governance.text import brief
from placet.refusals import PayloadType, SignatureInvalid

_MAX_SIGNATURES = 64


class Document(Protocol):
    """A dataclass that is the payload of an envelope."""

    KIND: ClassVar[str]


D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Named(Generic[D]):
    """A document and its digest. Whoever says it: judgements of what would be take no more, and
    nothing is let through by one."""

    document: D
    digest: str


@dataclass(frozen=True, slots=True)
class Signed(Named[D]):
    """A document whose signatures have been verified. `signers` are the keys that signed, of those
    asked for."""

    signers: frozenset[PublicKey]
    envelope: bytes


@dataclass(frozen=True, slots=True)
class RawEnvelope:
    """An envelope taken apart; nothing in it has been verified."""

    payload: bytes
    payload_type: str
    # By key id. The id is computed from the key (keys.py); it selects which signature to check and
    # proves nothing.
    signatures: dict[str, bytes]

    @property
    def digest(self) -> str:
        return digest_of(self.payload)

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that the signatures are over: DSSE's pre-authentication encoding."""
        return DSSE(self.payload, self.payload_type, {}).pae()


def digest_of(payload: bytes) -> str:
    """`sha256:<hex>` of bytes."""
    return "sha256:" + hashlib.sha256(payload).hexdigest()


def payload_type(cls: type[Document]) -> str:
    """The DSSE payload type of a kind of document; a receipt has in-toto's own."""
    own = getattr(cls, "PAYLOAD_TYPE", None)
    return own if isinstance(own, str) else f"application/vnd.placet.{cls.KIND}.v1+json"


def sign(document: Document, *keys: SigningKey) -> bytes:
    """The envelope of a document, signed by each key."""
    return sign_payload(encode(document), payload_type(type(document)), *keys)


def sign_payload(payload: bytes, type_: str, *keys: SigningKey) -> bytes:
    """The envelope of payload bytes of any type, signed by each key."""
    message = DSSE(payload, type_, {}).pae()
    signatures = [{"keyid": k.public.key_id, "sig": _b64(k.sign(message))} for k in keys]
    return _write(payload, type_, signatures)


def add_signature(envelope: bytes, key: SigningKey) -> bytes:
    """The same envelope with one more signature; a signature that the key has made already is
    replaced."""
    raw = parse_envelope(envelope)
    kept = [
        entry for entry in _entries(parse_object(envelope)) if entry["keyid"] != key.public.key_id
    ]
    kept.append({"keyid": key.public.key_id, "sig": _b64(key.sign(raw.signed_bytes))})
    return _write(raw.payload, raw.payload_type, kept)


def parse_envelope(envelope: bytes, limit: int = MAX_DOCUMENT) -> RawEnvelope:
    """Take an envelope apart. Raises `DocumentTooLarge` or `DocumentMalformed`; verifies
    nothing."""
    value = parse_object(envelope, limit)
    if value.keys() != {"payload", "payloadType", "signatures"}:
        raise malformed("envelope", "payload, payloadType and signatures", "other fields")
    type_ = value["payloadType"]
    if not isinstance(type_, str):
        raise malformed("payloadType", "text", type(type_).__name__)
    entries = _entries(value)
    key_ids = [entry["keyid"] for entry in entries]
    if len(set(key_ids)) != len(key_ids):
        raise malformed("signatures", "one signature a key", "a key id twice")
    signatures = {entry["keyid"]: _unb64("signatures", entry["sig"]) for entry in entries}
    return RawEnvelope(_unb64("payload", value["payload"]), type_, signatures)


def inspect(envelope: bytes, cls: type[D]) -> D:
    """The document in an envelope whose signatures nobody has checked."""
    return _payload(parse_envelope(envelope), cls)


def verify_signed(
    envelope: bytes, cls: type[D], keys_of: Callable[[D], Iterable[PublicKey]]
) -> Signed[D]:
    """Open an envelope that at least one of the keys that `keys_of(document)` returns must have
    signed.

    Raises `DocumentTooLarge`, `DocumentMalformed`, `PayloadType`, `SignatureInvalid`, or what
    `keys_of` raises.
    """
    raw = parse_envelope(envelope)
    document = _payload(raw, cls)
    signers = verified_signers(raw, keys_of(document))
    if not signers:
        raise SignatureInvalid(
            f"The {cls.KIND} is not signed by the one it names. Sign it with that principal's key.",
            claim="signature",
            expected="a valid signature of the named principal",
            actual=f"{len(raw.signatures)} other or invalid signatures",
        )
    return Signed(document, raw.digest, signers, envelope)


def check_layout(signed: Signed[D]) -> None:
    """Refuse a payload that is laid out otherwise than `sign` does: white space and order would be
    read by everybody.

    Raises `DocumentMalformed`.
    """
    if digest_of(encode(signed.document)) != signed.digest:
        raise malformed("payload", "in the one layout that signing gives it", "another layout")


def bare(signed: Signed[D]) -> bytes:
    """The envelope with the signatures that were verified and nothing else, in the layout that
    `sign` gives it."""
    raw = parse_envelope(signed.envelope)
    ids = sorted(key.key_id for key in signed.signers)
    signatures = [{"keyid": i, "sig": _b64(raw.signatures[i])} for i in ids]
    return _write(raw.payload, raw.payload_type, signatures)


def verified_signers(raw: RawEnvelope, keys: Iterable[PublicKey]) -> frozenset[PublicKey]:
    """The keys among these that have signed: one check a key at most, however many signatures the
    envelope has."""
    message = raw.signed_bytes
    present = (key for key in keys if key.key_id in raw.signatures)
    return frozenset(k for k in present if k.has_signed(raw.signatures[k.key_id], message))


def _payload(raw: RawEnvelope, cls: type[D]) -> D:
    expected = payload_type(cls)
    if raw.payload_type != expected:
        shown = brief(raw.payload_type, 80)
        raise PayloadType(
            f"A {cls.KIND} was expected; the envelope says that it carries {shown}.",
            claim="payloadType",
            expected=expected,
            actual=shown,
        )
    return decode(cls, raw.payload)


def _entries(value: Json) -> list[dict[str, str]]:
    listed = as_list(value["signatures"], "signatures")
    if not 1 <= len(listed) <= _MAX_SIGNATURES:
        raise malformed("signatures", f"1 to {_MAX_SIGNATURES} signatures", str(len(listed)))
    for entry in listed:
        if not isinstance(entry, dict) or cast("Json", entry).keys() != {"keyid", "sig"}:
            raise malformed("signatures", "objects with keyid and sig", "something else")
        if not all(isinstance(text, str) for text in cast("Json", entry).values()):
            raise malformed("signatures", "text in keyid and sig", "something else")
    return cast("list[dict[str, str]]", listed)


def _write(payload: bytes, type_: str, signatures: list[dict[str, str]]) -> bytes:
    value = {"payload": _b64(payload), "payloadType": type_, "signatures": signatures}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(claim: str, text: object) -> bytes:
    if not isinstance(text, str):
        raise malformed(claim, "base64", type(text).__name__)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed(claim, "base64", "other text") from None
