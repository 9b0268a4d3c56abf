# SPDX-License-Identifier: Apache-2.0
"""The bytes of questions and answers to a served model, outside and inside their seals.

    opening    1 ‖ length of E 4 ‖ E ‖ C            E: an HPKE envelope of a `Claim`
                                                    C: question 0 of the new session
    question   2 ‖ session id 16 ‖ counter 8 ‖ C    C: sealed in the session (placet.sealing)
    claim      secret 32 ‖ kind 1 ‖ length of the name 1 ‖ name (UTF-8) ‖ proof
    answer     0 ‖ tensors, or 1 ‖ placet.v1.Refusal, serialised, sealed in the session

Numbers are big-endian. Whether what is taken apart here is genuine is for its reader to find out.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from google.protobuf.message import DecodeError
from typing_extensions import Buffer

from placet.proto.tensors import Tensor, pack_into, packed_size
from placet.proto.v1 import common_pb2
from placet.refusals import QuestionForged

SECRET_BYTES = 32
SESSION_BYTES = 16
_OPENING, _QUESTION = 1, 2
_LENGTH = struct.Struct(">BI")
_PLACE = struct.Struct(f">B{SESSION_BYTES}sQ")
_CLAIM = struct.Struct(f">{SECRET_BYTES}sBB")
# An envelope of the hybrid suite with the longest name and proof has less; what is longer is not
# opened.
_MAX_ENVELOPE = 4096
MAX_AROUND = _LENGTH.size + _MAX_ENVELOPE  # what a sealed question has around it, at most
_ANSWER, _REFUSAL = 0, 1

PRINCIPAL: Literal[1] = 1  # the proof is a signature by a key of the principal
BEARER: Literal[2] = 2  # the proof is a token of that name


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens a session, and its first question. Both still sealed."""

    envelope: bytes
    sealed: memoryview


@dataclass(frozen=True, slots=True)
class Question:
    """A further question in a session, still sealed."""

    session: bytes
    counter: int
    sealed: memoryview


@dataclass(frozen=True, slots=True)
class Claim:
    """Who opens a session, with which secret, and what shows it. kind: `PRINCIPAL` or `BEARER`."""

    secret: bytes = field(repr=False)
    kind: int
    user: str
    proof: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """The claim as it is sealed. Raises `ValueError` where the name is too long."""
        name = self.user.encode()
        if len(name) > 0xFF:
            raise ValueError("a name has at most 255 bytes")
        return _CLAIM.pack(self.secret, self.kind, len(name)) + name + self.proof

    @classmethod
    def from_bytes(cls, data: bytes) -> "Claim":
        """The inverse. Raises `QuestionForged`."""
        try:
            secret, kind, length = _CLAIM.unpack_from(data)
            start = _CLAIM.size + length
            if len(data) <= start:
                raise _malformed()
            return cls(secret, kind, data[_CLAIM.size : start].decode(), data[start:])
        except (struct.error, UnicodeDecodeError):
            raise _malformed() from None


def pack_opening(envelope: bytes, sealed: bytes) -> bytes:
    """The bytes that open a session."""
    return _LENGTH.pack(_OPENING, len(envelope)) + envelope + sealed


def pack_question(session: bytes, counter: int, sealed: bytes) -> bytes:
    """The bytes of a question in a session."""
    return _PLACE.pack(_QUESTION, session, counter) + sealed


def unpack_question(data: Buffer) -> Opening | Question:
    """Which of the two it is. Raises `QuestionForged`."""
    view = memoryview(data)
    try:
        if view and view[0] == _QUESTION:
            _, session, counter = _PLACE.unpack_from(view)
            return Question(session, counter, view[_PLACE.size :])
        kind, length = _LENGTH.unpack_from(view)
    except struct.error:
        raise _malformed() from None
    end = _LENGTH.size + length
    if kind != _OPENING or length > _MAX_ENVELOPE or end > len(view):
        raise _malformed()
    return Opening(bytes(view[_LENGTH.size : end]), view[end:])


def answer_size(tensors: Sequence[Tensor]) -> int:
    return 1 + packed_size(tensors)


def pack_answer(tensors: Sequence[Tensor]) -> bytearray:
    """The content of an answer."""
    packed = bytearray(answer_size(tensors))
    packed[0] = _ANSWER
    pack_into(packed, 1, tensors)
    return packed


def pack_refusal(refusal: common_pb2.Refusal) -> bytes:
    """The content of an answer that is a refusal; the same bytes for the same refusal."""
    return bytes([_REFUSAL]) + refusal.SerializeToString(deterministic=True)


def unpack_answer(content: Buffer) -> memoryview | common_pb2.Refusal:
    """The tensors, packed, where they lie; or the refusal. Raises `QuestionForged`."""
    view = memoryview(content)
    if view and view[0] == _ANSWER:
        return view[1:]
    try:
        if view and view[0] == _REFUSAL:
            return common_pb2.Refusal.FromString(bytes(view[1:]))
    except DecodeError:
        pass
    raise _malformed()


def _malformed() -> QuestionForged:
    """Bytes that are no opening, no question, no claim, or no answer."""
    return QuestionForged(
        "The bytes have not the form of what they should be. Ask with a client of this version.",
        claim="question form",
    )
