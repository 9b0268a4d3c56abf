# SPDX-License-Identifier: Apache-2.0
"""A founding in the making: genesis constitution and charter, and the signatures that they have so
far.

A draft goes from seat to seat as a file, or to all of them at once: copies signed apart are merged.
"""

import base64
from dataclasses import dataclass, replace
from typing import Any, Self, cast

from placet.client.errors import FileRefused, UsageRefused
from placet.client.trust.artifacts import MAX_ARTIFACT
from placet.governance.codec import decode, encode, parse_object
from placet.governance.documents import Charter, Constitution
from placet.governance.envelope import (
    add_signature,
    digest_of,
    parse_envelope,
    payload_type,
    sign_payload,
    verified_signers,
)
from placet.governance.keys import SigningKey
from placet.refusals import Refusal


@dataclass(frozen=True, slots=True)
class CharterDraft:
    """Payloads, and the envelopes with the signatures so far (empty: none). The payloads must be
    well-formed."""

    constitution: bytes
    charter: bytes
    constitution_envelope: bytes = b""
    charter_envelope: bytes = b""

    def __post_init__(self) -> None:
        if self.read_charter().constitution != digest_of(self.constitution):
            raise FileRefused("The draft's charter names another constitution than the draft's.")
        for envelope, payload in (
            (self.constitution_envelope, self.constitution),
            (self.charter_envelope, self.charter),
        ):
            if envelope and parse_envelope(envelope).payload != payload:
                raise FileRefused("The draft's signatures are of another document.")

    @classmethod
    def make(cls, constitution: Constitution, charter: Charter) -> Self:
        """A draft that nobody has signed."""
        return cls(encode(constitution), encode(charter))

    @staticmethod
    def payload_of(document: Constitution | Charter) -> bytes:
        """The bytes that are signed; their digest names the document."""
        return encode(document)

    def read_constitution(self) -> Constitution:
        """The genesis constitution. Raises `DocumentMalformed` or `ConstitutionInvalid`."""
        return decode(Constitution, self.constitution)

    def read_charter(self) -> Charter:
        """The charter. Raises `DocumentMalformed`."""
        return decode(Charter, self.charter)

    def signed_by(self) -> frozenset[str]:
        """The seats that have signed both documents."""
        both = [self.constitution_envelope, self.charter_envelope]
        if not all(both):
            return frozenset()
        raws = [parse_envelope(envelope) for envelope in both]
        return frozenset(
            seat.id
            for seat in self.read_constitution().seats
            if all(verified_signers(raw, seat.keys) for raw in raws)
        )

    def missing(self) -> tuple[str, ...]:
        """The seats that have not signed yet."""
        signed = self.signed_by()
        return tuple(s.id for s in self.read_constitution().seats if s.id not in signed)

    def sign(self, key: SigningKey) -> Self:
        """The draft with one more signature on both. Check the authority's evidence first."""
        return replace(
            self,
            constitution_envelope=_signed(
                self.constitution_envelope, self.constitution, payload_type(Constitution), key
            ),
            charter_envelope=_signed(
                self.charter_envelope, self.charter, payload_type(Charter), key
            ),
        )

    def merge(self, other: "CharterDraft") -> Self:
        """One draft with the signatures of both copies. Raises `UsageRefused` where they are
        different drafts."""
        if (self.constitution, self.charter) != (other.constitution, other.charter):
            raise UsageRefused(
                "These are different drafts. Collect signatures on copies of one draft."
            )
        return replace(
            self,
            constitution_envelope=_merged(self.constitution_envelope, other.constitution_envelope),
            charter_envelope=_merged(self.charter_envelope, other.charter_envelope),
        )

    def to_bytes(self) -> bytes:
        """The draft as a file."""
        fields = (
            ("constitution", self.constitution, self.constitution_envelope),
            ("charter", self.charter, self.charter_envelope),
        )
        return encode(
            {
                name: {
                    "payload": base64.b64encode(payload).decode(),
                    "envelope": parse_object(envelope) if envelope else None,
                }
                for name, payload, envelope in fields
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises `FileRefused`, `DocumentMalformed` or `ConstitutionInvalid`."""
        try:
            value = parse_object(data, MAX_ARTIFACT)
            (constitution, first), (charter, second) = (
                _field(value[name]) for name in ("constitution", "charter")
            )
        except (Refusal, KeyError, ValueError, TypeError):
            raise FileRefused(
                "This is not a draft of a charter. Name the file that `placet charter draft` wrote."
            ) from None
        return cls(constitution, charter, first, second)


def _field(value: dict[str, Any]) -> tuple[bytes, bytes]:
    envelope = encode(value["envelope"]) if value["envelope"] is not None else b""
    return base64.b64decode(value["payload"], validate=True), envelope


def _signed(envelope: bytes, payload: bytes, type_: str, key: SigningKey) -> bytes:
    return add_signature(envelope, key) if envelope else sign_payload(payload, type_, key)


def _merged(first: bytes, second: bytes) -> bytes:
    """An envelope with the signatures of both; for one key the first one's."""
    if not first or not second:
        return first or second
    merged, added = parse_object(first), parse_object(second)
    signatures = {entry["keyid"]: entry for entry in cast("list[Any]", added["signatures"])}
    signatures |= {entry["keyid"]: entry for entry in cast("list[Any]", merged["signatures"])}
    return encode({**merged, "signatures": list(signatures.values())})
