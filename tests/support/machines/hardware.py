# SPDX-License-Identifier: Apache-2.0
"""Keys that are the same in every run, and a little attestation: its quote is a signature of "the
hardware" over what real evidence would bind."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from placet.governance.codec import Json, encode
from placet.governance.envelope import digest_of
from placet.governance.keys import SigningKey
from placet.refusals import EvidenceInvalid


def key_of(name: str) -> SigningKey:
    seed = hashlib.sha256(name.encode()).digest()
    # One member signs with P-256, so that both kinds of key are met everywhere.
    if name == "data-b":
        return SigningKey(ec.derive_private_key(int.from_bytes(seed) >> 8, ec.SECP256R1()))
    return SigningKey(private(seed))


def private(seed: bytes) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed)


@dataclass(frozen=True)
class Claimed:
    """What the council's own little attestation says (`World.attest`)."""

    kind: str
    measurement: str
    launched_for: str
    role: str
    log: str
    charter: str
    boot: str
    signing: str


@dataclass(frozen=True)
class Genuine:
    """What that attestation found, before anybody says that they want it."""

    claimed: Claimed
    at: int

    def appraise(self, policy: Json, *, now: int) -> "Believed":
        if self.claimed.measurement not in policy["measurements"] or now < self.at:
            raise EvidenceInvalid("the measurement is not wanted")
        return Believed(self.claimed, self.at)


@dataclass(frozen=True)
class Believed(Genuine):
    """The same of an enclave that a policy wants."""

    @property
    def identity(self) -> Claimed:
        return self.claimed

    @property
    def claims(self) -> Claimed:
        return self.claimed


def quoted(identity: bytes, nonce: bytes, claims: Mapping[str, str]) -> bytes:
    return b"".join((digest_of(identity).encode(), nonce, encode(dict(claims))))


def genuine(identity: bytes, evidence: bytes, nonce: bytes) -> Claimed:
    """What an enclave says of itself, once the hardware is seen to vouch for it."""
    said, claims = json.loads(identity), json.loads(evidence)
    quote = bytes.fromhex(claims.pop("quote"))
    if not key_of("hardware").public.has_signed(quote, quoted(identity, nonce, claims)):
        raise EvidenceInvalid("the quote is not the hardware's")
    return Claimed(**said, **claims)
