# SPDX-License-Identifier: Apache-2.0
"""The keys of a round, on their way from the authority to the worker that aggregates it: JSON,
signed, in one HPKE envelope.

Signed, because anybody can seal to a worker. A job's keys are held against commitments that the
proposal has; nothing that a worker can see says whose updates a round has, and the host would
choose them.

Numbers of clients are text, because documents have no floats: the hexadecimal form is exact.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import ClassVar

from placet.governance.codec import decode, encode
from placet.governance.envelope import parse_envelope, payload_type, sign_payload, verified_signers
from placet.governance.keys import PublicKey, SigningKey
from placet.refusals import LeaseInvalid
from placet.sealing import ObjectDescriptor, StreamKey

_MAX_BYTES = 1 << 20  # a full roster with long names takes a fifth of it


@dataclass(frozen=True, slots=True)
class BaseKey:
    """The model that the round starts from, and its stream key (base64)."""

    descriptor: ObjectDescriptor
    key: str = field(repr=False)

    def stream_key(self) -> StreamKey:
        """The key, checked against its commitment. The caller wipes it."""
        return _stream_key(self.key, self.descriptor.commitment)


@dataclass(frozen=True, slots=True)
class UpdateKey:
    """One client's update: whose, which stream, and what came sealed with it. norm and scale are
    `float.hex` text."""

    client: str
    organisation: str
    object: str
    commitment: str
    key: str = field(repr=False)
    norm: str = field(repr=False)
    scale: str = field(repr=False)
    weight: int = field(repr=False)

    def stream_key(self) -> StreamKey:
        """The key, checked against its commitment. The caller wipes it."""
        return _stream_key(self.key, self.commitment)


@dataclass(frozen=True, slots=True)
class RoundKeys:
    """The keys that a worker needs for a round. base is null where the round starts from zeros;
    updates are in the log's order.

    lease: the digest of the one that they belong to.
    """

    KIND: ClassVar[str] = "round-keys"

    lease: str
    base: BaseKey | None
    updates: tuple[UpdateKey, ...]

    def to_bytes(self, authority: SigningKey) -> bytes:
        """As they are sealed: signed by the boot key that signs the lease."""
        return sign_payload(encode(self), payload_type(RoundKeys), authority)

    @classmethod
    def from_bytes(cls, data: bytes, lease: str, authority: PublicKey) -> "RoundKeys":
        """The inverse of `to_bytes`, for this lease. Raises `LeaseInvalid`, `DocumentMalformed` or
        `DocumentTooLarge`."""
        raw = parse_envelope(data, 2 * _MAX_BYTES)
        if raw.payload_type != payload_type(cls) or not verified_signers(raw, [authority]):
            raise LeaseInvalid(
                "The keys of the round are not the authority's. The job needs another attempt.",
                claim="key_envelope",
            )
        keys = decode(cls, raw.payload, _MAX_BYTES)
        if keys.lease != lease:
            raise LeaseInvalid(
                "The keys of the round are of another lease. The job needs another attempt.",
                claim="key_envelope",
                expected=lease,
                actual=keys.lease,
            )
        return keys


def key_text(key: bytes) -> str:
    """A stream key as it stands in `RoundKeys`."""
    return base64.b64encode(key).decode()


def _stream_key(text: str, commitment: str) -> StreamKey:
    try:
        key = StreamKey(base64.b64decode(text, validate=True))
    except binascii.Error:
        raise LeaseInvalid("A key of the round is not base64.", claim="key_envelope") from None
    key.verify_commitment(commitment)
    return key
