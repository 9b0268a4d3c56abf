# SPDX-License-Identifier: Apache-2.0
"""C2SP signed notes under Ed25519 keys: text, a blank line, and one line a signature.

Only Ed25519 keys of type 0x01 are known here. Signature lines of other keys are carried along, so a
checkpoint with cosignatures can be read and passed on, but are never taken for verified.
Stricter than the specification: DEL and the C1 controls are refused with the ASCII ones, a key name
has at most 255 bytes and no control character, and no key may sign twice.

Source: C2SP signed-note v1.0.0.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from placet.governance.log._text import decode_base64, encode_base64
from placet.refusals import LogCheckpointInvalid

MAX_NOTE_BYTES = 65536
"""Largest signed note: three lines and the cosignatures of hundreds of witnesses."""

MAX_NAME_BYTES = 255
"""Longest key name: what a cosignature's one-byte length can say."""

_ED25519 = b"\x01"
_MAX_KEY_TEXT = MAX_NAME_BYTES + 64
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_NAME = re.compile(r"[+\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public side of a note key: its `name` and the 32 bytes of its Ed25519 public key."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != 32:
            raise _invalid("An Ed25519 public key must have 32 bytes")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand before this key's signatures."""
        material = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return hashlib.sha256(material).digest()[:4]

    def to_text(self) -> str:
        """Return the vkey `<name>+<hex key id>+<base64 of type and key>`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(_ED25519 + self.public_key)}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse a vkey; raises `LogCheckpointInvalid`."""
        parts = text.split("+", 2) if len(text) <= _MAX_KEY_TEXT else []
        if len(parts) != 3:
            raise _invalid("A verifier key must read <name>+<key id>+<key>")
        try:
            material = decode_base64(parts[2])
        except ValueError as error:
            raise _invalid(f"The last part of a verifier key is {error}") from None
        if len(material) != 33 or not material.startswith(_ED25519):
            raise _invalid("A verifier key must be an Ed25519 key of type 1 and 32 bytes")
        key = cls(parts[0], material[1:])
        if parts[1] != key.key_id.hex():
            raise _invalid("The id in a verifier key is not the id of its name and key")
        return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, not verified: key `name`, 4 bytes of `key_id` and the `signature`."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.key_id) != 4 or not self.signature:
            raise _invalid("A note signature must have a key id of 4 bytes and not be empty")

    def to_line(self) -> str:
        return f"— {self.name} {encode_base64(self.key_id + self.signature)}\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Parse a line without its newline; raises `LogCheckpointInvalid`."""
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—":
            raise _invalid("A signature line must read — <name> <signature>")
        try:
            material = decode_base64(parts[2])
        except ValueError as error:
            raise _invalid(f"The signature in a signature line is {error}") from None
        return cls(parts[1], material[:4], material[4:])


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A well-formed note with signature lines that nothing here has checked; see `verify_note`.

    Construction and parsing raise `LogCheckpointInvalid`.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        check_text(self.text)
        if not self.signatures:
            raise _invalid("A signed note must have a signature")
        if len({(s.name, s.key_id) for s in self.signatures}) != len(self.signatures):
            raise _invalid("A signed note must not have two signatures by one key")
        if len(self.to_bytes()) > MAX_NOTE_BYTES:
            raise _invalid(f"A signed note must have at most {MAX_NOTE_BYTES} bytes")

    def to_bytes(self) -> bytes:
        lines = "".join(signature.to_line() for signature in self.signatures)
        return f"{self.text}\n{lines}".encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse a signed note; raises `LogCheckpointInvalid`."""
        if len(data) > MAX_NOTE_BYTES:
            raise _invalid(f"A signed note must have at most {MAX_NOTE_BYTES} bytes")
        try:
            note = data.decode()
        except UnicodeDecodeError:
            raise _invalid("A signed note must be UTF-8") from None
        blank = note.rfind("\n\n")
        if blank < 0 or not note.endswith("\n"):
            raise _invalid("A signed note must have a blank line and signature lines after it")
        lines = note[blank + 2 : -1].split("\n")
        return cls(note[: blank + 1], tuple(NoteSignature.from_line(line) for line in lines))


class NoteSigner:
    """An Ed25519 note key that signs; `repr` shows nothing of the secret."""

    __slots__ = ("_key", "verifier_key")

    def __init__(self, name: str, seed: bytes) -> None:
        """Take the 32 secret bytes of RFC 8032 section 5.1.5."""
        if len(seed) != 32:
            raise ValueError("an Ed25519 seed must have 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier_key = VerifierKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> Self:
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    def to_bytes(self) -> bytes:
        """Return the secret 32-byte seed."""
        return self._key.private_bytes_raw()

    def sign(self, text: str) -> NoteSignature:
        """Sign a note text; raises `LogCheckpointInvalid` for what is not one."""
        check_text(text)
        key = self.verifier_key
        return NoteSignature(key.name, key.key_id, self._key.sign(text.encode()))

    def __repr__(self) -> str:
        return f"NoteSigner({self.verifier_key.to_text()!r})"


def sign_note(text: str, *signers: NoteSigner) -> bytes:
    """Return the note `text` signed by each signer, in order."""
    return SignedNote(text, tuple(signer.sign(text) for signer in signers)).to_bytes()


def verify_note(data: bytes, key: VerifierKey) -> str:
    """Return the text of a signed note once its signature by `key` has been verified.

    Signatures of other keys are ignored, even with the same name or id. Raises
    `LogCheckpointInvalid`.
    """
    note = SignedNote.from_bytes(data)
    for signature in note.signatures:
        if (signature.name, signature.key_id) == (key.name, key.key_id):
            _verify_signature(note.text, signature.signature, key)
            return note.text
    raise _invalid("The note has no signature by the expected key", expected=key.to_text())


def check_name(name: str) -> None:
    """Refuse what the specification does not take for a key name."""
    if not name or _FORBIDDEN_IN_NAME.search(name) or len(name.encode()) > MAX_NAME_BYTES:
        raise _invalid(
            f"A key name must have 1 to {MAX_NAME_BYTES} bytes and no space, plus or control "
            "character"
        )


def check_text(text: str) -> None:
    """Refuse what cannot be the text of a note."""
    if not text.endswith("\n") or _FORBIDDEN.search(text):
        raise _invalid("A note text must end in a newline and have no other control character")


def _verify_signature(text: str, signature: bytes, key: VerifierKey) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        raise _invalid(
            "The note's signature is not by the key it names", expected=key.to_text()
        ) from None


def _invalid(finding: str, **details: str) -> LogCheckpointInvalid:
    return LogCheckpointInvalid(
        f"{finding}; fetch the checkpoint again, and compare the log key with the charter's.",
        **details,
    )
