# SPDX-License-Identifier: Apache-2.0
"""The two HPKE suites, and the library's keys from and to raw bytes.

Ids are those of the IANA registry of RFC 9180. `cryptography` serialises only the parts of a
combined key, and raises what it likes for bad bytes; here is the one place that knows it.

The private key of MLKEM768-X25519 is X-Wing's: a seed of 32 bytes, whose SHAKE256 is the ML-KEM-768
seed (64) and the X25519 key (32). Those 96 bytes alone are read too, and nothing leads back from
them to a seed.
Source: draft-connolly-cfrg-xwing-kem-10, section 5.2; draft-ietf-hpke-pq.
"""

import hashlib
import os
import struct
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from placet.refusals import KeyMalformed

VERSION = 1
_HKDF_SHA256 = 0x0001
_AES_256_GCM = 0x0002
_HEADER = struct.Struct(">BHHH")
HEADER_BYTES = _HEADER.size
_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_SEED_BYTES = 64
_X25519_BYTES = 32
_EXPANDED_BYTES = _MLKEM_SEED_BYTES + _X25519_BYTES


@dataclass(frozen=True, slots=True)
class CombinedPublicKey:
    """ML-KEM-768 and X25519 public keys that are used as one."""

    mlkem: MLKEM768PublicKey
    x25519: X25519PublicKey


@dataclass(frozen=True, slots=True, repr=False)
class CombinedPrivateKey:
    """ML-KEM-768 and X25519 private keys that are used as one, and the bytes that they are made
    from: a seed, or both keys."""

    mlkem: MLKEM768PrivateKey
    x25519: X25519PrivateKey
    raw: bytes


PublicKey: TypeAlias = X25519PublicKey | CombinedPublicKey
PrivateKey: TypeAlias = X25519PrivateKey | CombinedPrivateKey


@dataclass(frozen=True, slots=True)
class Suite:
    """One KEM with HKDF-SHA256 and AES-256-GCM; sizes are in bytes."""

    name: str
    kem_id: int
    kem: hpke.KEM
    public_size: int
    private_size: int
    enc_size: int

    @property
    def header(self) -> bytes:
        """Version and the three ids, the first 7 bytes of every encoding."""
        return _HEADER.pack(VERSION, self.kem_id, _HKDF_SHA256, _AES_256_GCM)

    @property
    def hpke(self) -> hpke.Suite:
        """The suite as the cryptography library has it."""
        return hpke.Suite(self.kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


X25519 = Suite("X25519", 0x0020, hpke.KEM.X25519, 32, 32, 32)
MLKEM768_X25519 = Suite("MLKEM768-X25519", 0x647A, hpke.KEM.MLKEM768_X25519, 1216, 32, 1120)
_SUITES = (X25519, MLKEM768_X25519)
# All points of small order give zero with any scalar, so one fixed scalar finds them.
_PROBE = X25519PrivateKey.from_private_bytes(bytes(range(32)))


def by_name(name: str) -> Suite:
    """The suite with the KEM `name`. Raises `KeyMalformed`."""
    for suite in _SUITES:
        if suite.name == name:
            return suite
    raise KeyMalformed(
        "an HPKE key must use a KEM that is supported",
        claim="HPKE KEM",
        expected=" or ".join(suite.name for suite in _SUITES),
    )


def split(data: bytes) -> tuple[Suite, bytes]:
    """The suite and the raw key of an encoded one. Raises `KeyMalformed`."""
    for suite in _SUITES:
        if data[:HEADER_BYTES] == suite.header:
            return suite, bytes(data[HEADER_BYTES:])
    raise KeyMalformed(
        "an HPKE key must begin with version 1 and a supported suite",
        claim="HPKE key suite",
        expected=" or ".join(suite.header.hex() for suite in _SUITES),
        actual=bytes(data[:HEADER_BYTES]).hex(),
    )


def generate(suite: Suite) -> PrivateKey:
    if suite is X25519:
        return X25519PrivateKey.generate()
    return _combined(os.urandom(suite.private_size))


def load_public(suite: Suite, raw: bytes) -> PublicKey:
    """A public key from its raw bytes. Raises `KeyMalformed`."""
    _check_size(raw, suite.public_size)
    try:
        x25519 = X25519PublicKey.from_public_bytes(raw[-_X25519_BYTES:])
        _PROBE.exchange(x25519)
        if suite is X25519:
            return x25519
        mlkem = MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM_PUBLIC_BYTES])
        return CombinedPublicKey(mlkem, x25519)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyMalformed(
            "an HPKE public key is not one that can be sealed to; ask its owner for a new key",
            claim="HPKE public key",
        ) from None


def load_private(suite: Suite, raw: bytes) -> PrivateKey:
    """A private key from its raw bytes, of MLKEM768-X25519 also from the expanded ones. Raises
    `KeyMalformed`."""
    expanded = suite is MLKEM768_X25519 and len(raw) == _EXPANDED_BYTES
    _check_size(raw, _EXPANDED_BYTES if expanded else suite.private_size)
    try:
        return X25519PrivateKey.from_private_bytes(raw) if suite is X25519 else _combined(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyMalformed("an HPKE private key is malformed", claim="HPKE private key") from None


def _combined(raw: bytes) -> CombinedPrivateKey:
    """X-Wing's expandDecapsulationKey, but for what is expanded already."""
    seeds = raw if len(raw) == _EXPANDED_BYTES else hashlib.shake_256(raw).digest(_EXPANDED_BYTES)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(seeds[:_MLKEM_SEED_BYTES])
    x25519 = X25519PrivateKey.from_private_bytes(seeds[_MLKEM_SEED_BYTES:])
    return CombinedPrivateKey(mlkem, x25519, raw)


def public_raw(key: PrivateKey) -> bytes:
    """The raw public key of a private one."""
    if isinstance(key, CombinedPrivateKey):
        return (
            key.mlkem.public_key().public_bytes_raw() + key.x25519.public_key().public_bytes_raw()
        )
    return key.public_key().public_bytes_raw()


def private_raw(key: PrivateKey) -> bytes:
    """The raw bytes of a private key, as they were read."""
    if isinstance(key, CombinedPrivateKey):
        return key.raw
    return key.private_bytes_raw()


def encrypt(
    suite: Suite, plaintext: bytes | bytearray | memoryview, key: PublicKey, info: bytes
) -> bytes:
    """Single-shot HPKE seal in base mode: enc ‖ ciphertext."""
    if isinstance(key, CombinedPublicKey):
        combined = hpke.MLKEM768X25519PublicKey(key.mlkem, key.x25519)
        return suite.hpke.encrypt(plaintext, combined, info)
    return suite.hpke.encrypt(plaintext, key, info)


def decrypt(suite: Suite, ciphertext: bytes | memoryview, key: PrivateKey, info: bytes) -> bytes:
    """Single-shot HPKE open in base mode. Raises what the library raises."""
    if isinstance(key, CombinedPrivateKey):
        combined = hpke.MLKEM768X25519PrivateKey(key.mlkem, key.x25519)
        return suite.hpke.decrypt(ciphertext, combined, info)
    return suite.hpke.decrypt(ciphertext, key, info)


def _check_size(raw: bytes, size: int) -> None:
    if len(raw) != size:
        raise KeyMalformed(
            f"an HPKE key of this kind has {size} raw bytes",
            claim="HPKE key length",
            expected=f"{size} bytes",
            actual=f"{len(raw)} bytes",
        )
