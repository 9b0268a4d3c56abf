# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: the signed statement of a log that it has this size and this root.

A log is named by its verifier key, so the origin line must be the name in that key. Stricter than
the specification: no extension lines, and a log of size 0 has the root of the empty tree.

Source: C2SP tlog-checkpoint v1.0.0.
"""

from dataclasses import dataclass
from typing import Self

from placet.governance.log._text import MAX_SIZE, decode_decimal, decode_hash, encode_base64
from placet.governance.log.merkle import EMPTY_ROOT, HASH_SIZE
from placet.governance.log.note import (
    NoteSigner,
    VerifierKey,
    check_name,
    sign_note,
    verify_note,
)
from placet.refusals import LogCheckpointInvalid


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's `origin`, its `size` in entries and its 32-byte `root`."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        check_name(self.origin)
        if not 0 <= self.size <= MAX_SIZE:
            raise _invalid("The size of a checkpoint must be from 0 to 2^63-1")
        if len(self.root) != HASH_SIZE:
            raise _invalid(f"The root of a checkpoint must have {HASH_SIZE} bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise _invalid("The root of an empty log must be that of the empty tree")

    def to_text(self) -> str:
        """Return the note text: origin, size and root, a line each."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse a note text; raises `LogCheckpointInvalid`."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise _invalid("A checkpoint must have three lines: origin, size and root")
        try:
            size, root = decode_decimal(lines[1]), decode_hash(lines[2])
        except ValueError as error:
            raise _invalid(f"The size or root of a checkpoint is {error}") from None
        return cls(lines[0], size, root)


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> bytes:
    """Return the signed note of `checkpoint`.

    The signer's name must be the origin. The caller makes sure that this key never signs an
    inconsistent checkpoint.
    """
    _check_origin(checkpoint, signer.verifier_key)
    return sign_note(checkpoint.to_text(), signer)


def verify_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint in the signed note `data` once it is shown to be signed by `key`.

    Cosignatures may be there and are ignored. Raises `LogCheckpointInvalid`.
    """
    checkpoint = Checkpoint.from_text(verify_note(data, key))
    _check_origin(checkpoint, key)
    return checkpoint


def _check_origin(checkpoint: Checkpoint, key: VerifierKey) -> None:
    if checkpoint.origin != key.name:
        raise _invalid(
            "The origin of a checkpoint must be the name of the log's key",
            expected=key.name,
            actual=checkpoint.origin,
        )


def _invalid(finding: str, **details: str) -> LogCheckpointInvalid:
    return LogCheckpointInvalid(
        f"{finding}; fetch the checkpoint again, and report the log if it stays so.", **details
    )
