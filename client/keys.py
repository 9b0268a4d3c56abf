# SPDX-License-Identifier: Apache-2.0
"""A principal's keys in one file: Ed25519 to sign with, HPKE to open what is sealed to it.

    keys = Keys.generate("hospital-a")
    keys.save(Path("hospital-a.key"), passphrase)  # 0600, and hospital-a.pub.json beside it
    keys = Keys.load(Path("hospital-a.key"), passphrase)

With a passphrase the secrets are encrypted: Scrypt (RFC 7914, N 2^17, r 8, p 1), then AES-256-GCM
with the file's public part as associated data. A key file that others than its owner can read is
refused.
"""

import base64
import binascii
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from placet.client.errors import FileRefused, KeyFileRefused, PassphraseWrong
from placet.client.files import read_file, write_file
from placet.governance.checks import check_identifier
from placet.governance.codec import encode, parse_object
from placet.governance.keys import PublicKey, SigningKey
from placet.refusals import DocumentMalformed, KeyMalformed, Refusal
from placet.sealing import HPKEPrivateKey, HPKEPublicKey

FILE_VERSION = 1
_MAX_FILE = 64 * 1024
_SCRYPT_N = 2**17
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What others may know: the principal's id and both public keys. Raises `DocumentMalformed` for
    a wrong id."""

    id: str
    signing: PublicKey
    hpke: HPKEPublicKey

    def __post_init__(self) -> None:
        check_identifier("id", self.id)

    def to_bytes(self) -> bytes:
        return encode(self._plain())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises `FileRefused`."""
        try:
            value = parse_object(data, _MAX_FILE)
            if value.keys() != {"id", "signing", "hpke"}:
                raise ValueError
            key = HPKEPublicKey.from_text(value["hpke"])
            return cls(value["id"], PublicKey.from_dict(value["signing"]), key)
        except (Refusal, ValueError, TypeError, AttributeError):
            raise FileRefused(
                "This is not a file of public keys. Name the .pub.json file that keygen wrote."
            ) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a `.pub.json` file. Raises `FileRefused`."""
        return cls.from_bytes(read_file(path, _MAX_FILE))

    def _plain(self) -> dict[str, str]:
        return {"id": self.id, "signing": self.signing.text, "hpke": self.hpke.to_text()}


@dataclass(frozen=True, slots=True)
class Keys:
    """A principal and its private keys; the representation shows public halves only."""

    id: str
    signing: SigningKey
    hpke: HPKEPrivateKey

    @classmethod
    def generate(cls, id: str) -> Self:
        """New keys. Raises `DocumentMalformed` for a wrong id."""
        check_identifier("id", id)
        return cls(id, SigningKey.generate(), HPKEPrivateKey.generate())

    @property
    def public(self) -> PublicKeys:
        """The public halves."""
        return PublicKeys(self.id, self.signing.public, self.hpke.public)

    def acting_as(self, id: str) -> Self:
        """The same keys for another principal: several keys may act for one seat."""
        check_identifier("id", id)
        return replace(self, id=id)

    def save(self, path: Path, passphrase: str = "") -> Path:
        """Write the key file and the public file beside it; returns the latter's path.

        Raises `KeyFileRefused` if the key file exists: keys are never overwritten.
        """
        if path.exists():
            raise KeyFileRefused(f"{path} exists, and keys are not overwritten. Name another file.")
        public = public_path(path)
        write_file(path, self._sealed(passphrase), mode=0o600)
        write_file(public, self.public.to_bytes())
        return public

    @classmethod
    def load(cls, path: Path, passphrase: str = "") -> Self:
        """Read a key file. Raises `KeyFileRefused`, `PassphraseWrong` or `FileRefused`."""
        return cls._opened(_parse(path), passphrase, path)

    def _sealed(self, passphrase: str) -> bytes:
        private = self.signing.private
        assert isinstance(private, Ed25519PrivateKey), "generate makes no other"
        secret = private.private_bytes_raw() + self.hpke.to_bytes()
        public = self.public._plain()  # pyright: ignore[reportPrivateUsage]
        head: dict[str, Any] = {"version": FILE_VERSION, "public": public}
        if not passphrase:
            return encode({**head, "secret": _b64(secret)})
        head["salt"] = _b64(os.urandom(16))
        nonce = os.urandom(12)
        cipher = AESGCM(_stretch(passphrase, head["salt"]))
        sealed = cipher.encrypt(nonce, secret, encode(head))
        return encode({**head, "sealed": _b64(nonce + sealed)})

    @classmethod
    def _opened(cls, value: dict[str, Any], passphrase: str, path: Path) -> Self:
        try:
            secret = _secret_of(value, passphrase, path)
            seed = Ed25519PrivateKey.from_private_bytes(secret[:_SEED_BYTES])
            hpke = HPKEPrivateKey.from_bytes(secret[_SEED_BYTES:])
            keys = cls(value["public"]["id"], SigningKey(seed), hpke)
            if value["public"] != keys.public._plain():  # pyright: ignore[reportPrivateUsage]
                raise ValueError
        except (DocumentMalformed, KeyMalformed, ValueError, KeyError, TypeError):
            raise _not_a_key_file(path) from None
        return keys


def public_path(path: Path) -> Path:
    """Where the public half of a key file lies: NAME.pub.json beside NAME.key."""
    return path.with_name(path.name.removesuffix(".key") + ".pub.json")


def needs_passphrase(path: Path) -> bool:
    """Whether a key file is encrypted. Raises `KeyFileRefused` or `FileRefused`."""
    return "sealed" in _parse(path)


def named_in(path: Path) -> str:
    """The principal that a key file names, for whoever has not opened it. Raises `KeyFileRefused`
    or `FileRefused`."""
    try:
        return str(_parse(path)["public"]["id"])
    except (KeyError, TypeError):
        raise _not_a_key_file(path) from None


def _parse(path: Path) -> dict[str, Any]:
    if path.name.endswith(".pub.json"):
        raise _not_a_key_file(path)
    data = read_file(path, _MAX_FILE)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileRefused(
            f"{path} can be read by others (mode {mode:o}). Run chmod 600 on it; make a new key if "
            "others had access.",
            claim="mode",
            expected="600",
            actual=f"{mode:o}",
        )
    try:
        value = parse_object(data, _MAX_FILE)
    except Refusal:
        raise _not_a_key_file(path) from None
    if value.get("version") != FILE_VERSION:
        raise _not_a_key_file(path)
    return value


def _secret_of(value: dict[str, Any], passphrase: str, path: Path) -> bytes:
    if "secret" in value:
        return _unb64(value["secret"])
    if not passphrase:
        raise PassphraseWrong(f"{path} is encrypted. Give its passphrase.")
    sealed = _unb64(value["sealed"])
    head = {name: value[name] for name in ("version", "public", "salt")}
    try:
        cipher = AESGCM(_stretch(passphrase, head["salt"]))
        return cipher.decrypt(sealed[:12], sealed[12:], encode(head))
    except InvalidTag:
        raise PassphraseWrong(f"The passphrase does not open {path}. Try again.") from None


def _stretch(passphrase: str, salt: str) -> bytes:
    try:
        secret = passphrase.encode()
    except UnicodeEncodeError:
        raise PassphraseWrong("The passphrase is not UTF-8. Choose another.") from None
    return Scrypt(salt=_unb64(salt), length=32, n=_SCRYPT_N, r=8, p=1).derive(secret)


def _not_a_key_file(path: Path) -> KeyFileRefused:
    return KeyFileRefused(f"{path} is not a key file. Name the .key file that keygen wrote.")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: Any) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
