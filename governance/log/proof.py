# SPDX-License-Identifier: Apache-2.0
"""Receipts: the proof, checkable offline, that an entry is in a log (C2SP tlog-proof v1).

A proof carries its checkpoint verbatim, with whatever cosignatures it has. Steps of a verifier:

1. Compute the leaf hash of the entry (the caller).
2. Check that the checkpoint is signed by the log's key (`verify_proof`).
3. Verify the cosignatures of the witnesses that count (the caller).
4. Check the inclusion proof against that checkpoint (`verify_proof`).
"""

from dataclasses import dataclass
from typing import Self

from placet.governance.log._text import (
    MAX_SIZE,
    decode_base64,
    decode_decimal,
    decode_hash,
    encode_base64,
)
from placet.governance.log.checkpoint import Checkpoint, verify_checkpoint
from placet.governance.log.merkle import HASH_SIZE, verify_inclusion
from placet.governance.log.note import MAX_NOTE_BYTES, SignedNote, VerifierKey
from placet.refusals import LogProofMalformed

MAX_PROOF_HASHES = 63
"""Hashes of the longest inclusion proof: the height of a tree of 2^63-1 leaves."""

MAX_EXTRA_BYTES = 65536
"""Longest extra data."""

_MAGIC = "c2sp.org/tlog-proof@v1"
_MAX_HEADER_BYTES = 256 + MAX_EXTRA_BYTES * 4 // 3 + MAX_PROOF_HASHES * 45

MAX_PROOF_BYTES = _MAX_HEADER_BYTES + MAX_NOTE_BYTES
"""Longest proof; check it before reading one."""


@dataclass(frozen=True, slots=True)
class LogProof:
    """A well-formed proof that nothing here has checked; see `verify_proof`.

    `index` is the entry's, `hashes` the inclusion proof from the leaf's sibling up, `checkpoint`
    the bytes of a signed note, `extra` opaque data that nothing authenticates.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_SIZE:
            raise _malformed("The index of a proof must be from 0 to 2^63-2")
        if len(self.hashes) > MAX_PROOF_HASHES:
            raise _malformed(f"A proof must have at most {MAX_PROOF_HASHES} hashes")
        if any(len(sibling) != HASH_SIZE for sibling in self.hashes):
            raise _malformed(f"The hashes of a proof must have {HASH_SIZE} bytes")
        if len(self.extra) > MAX_EXTRA_BYTES:
            raise _malformed(f"The extra data of a proof must have at most {MAX_EXTRA_BYTES} bytes")
        SignedNote.from_bytes(self.checkpoint)

    def to_bytes(self) -> bytes:
        lines = [_MAGIC]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode_base64(sibling) for sibling in self.hashes)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse a proof.

        Raises `LogProofMalformed`, or `LogCheckpointInvalid` for the note in it.
        """
        # Whichever part is too long, the header is bounded before it is decoded.
        blank = data.find(b"\n\n", 0, _MAX_HEADER_BYTES)
        if blank < 0:
            raise _malformed("A proof must have a header, a blank line and a checkpoint")
        try:
            index, hashes, extra = _parse_header(data[:blank].decode("ascii").split("\n"))
        except ValueError as error:  # also of decode
            finding = "not ASCII" if isinstance(error, UnicodeDecodeError) else str(error)
            raise _malformed(f"The header of a proof is wrong ({finding})") from None
        return cls(index, hashes, data[blank + 2 :], extra)


def verify_proof(data: bytes, leaf: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint of the log of `key` that the proof `data` shows to contain `leaf`.

    `leaf` is the 32-byte leaf hash of the entry. Cosignatures are left to the caller. Raises
    `LogProofMalformed`, `LogCheckpointInvalid` or `LogProofInvalid`.
    """
    proof = LogProof.from_bytes(data)
    checkpoint = verify_checkpoint(proof.checkpoint, key)  # step 2
    verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)  # step 4
    return checkpoint


def _parse_header(lines: list[str]) -> tuple[int, tuple[bytes, ...], bytes]:
    """Read index, hashes and extra data; raises `ValueError`."""
    if lines[0] != _MAGIC:
        raise ValueError(f"its first line is not {_MAGIC}")
    rest, extra = lines[1:], b""
    if rest and rest[0].startswith("extra "):
        extra = decode_base64(rest.pop(0).removeprefix("extra "))
        if not extra:
            raise ValueError("its extra data is empty")
    if not rest or not rest[0].startswith("index "):
        raise ValueError("it has no index line")
    index = decode_decimal(rest.pop(0).removeprefix("index "))
    return index, tuple(decode_hash(line) for line in rest), extra


def _malformed(finding: str) -> LogProofMalformed:
    return LogProofMalformed(f"{finding}; fetch the proof again.")
