# SPDX-License-Identifier: Apache-2.0
"""Sessions: questions one way and answers the other, under two keys that come from one secret.

    keys      = HKDF-SHA256(secret 32, no salt, info, 80 bytes)
              = session id 16 ‖ question key 32 ‖ answer key 32
    sealed    = AES-256-GCM(key, nonce, plaintext), without associated data
    nonce     = 4 zero bytes ‖ counter 8, big-endian
    plaintext = length 4, big-endian ‖ content ‖ zeros up to the size class

A question and its answer have one counter, and each way has a key of its own, so no nonce is used
twice as long as nobody seals twice under one counter. The secret gets to the other end in an
envelope; whose it is, is for the caller to show.
"""

import os
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from placet.refusals import AnswerForged, QuestionForged, QuestionReplayed, Refusal, SessionUnknown
from placet.sealing._io import wipe

Bytes = bytes | bytearray | memoryview

SESSION_SECRET_BYTES = 32
SESSION_ID_BYTES = 16
# With questions of a MiB that is 2^36 blocks a key, and 2^42 with the largest of 64 MiB: far below
# what AES-GCM bears with nonces that are counters (NIST SP 800-38D).
MAX_QUESTIONS = 1 << 20
_KEY_BYTES = 32
_COUNTER_BYTES = 8
_LENGTH_BYTES = 4
_TAG_BYTES = 16
_SMALLEST_CLASS = 256
_ZEROS = bytes(4)


def size_class(size: int) -> int:
    """Bytes that a plaintext of `size` bytes is padded to: at most a quarter more than it has, and
    at least 256."""
    step = 1 << max(size.bit_length() - 3, 0)
    return max(_SMALLEST_CLASS, -(-size // step) * step)


def sealed_answer_length(length: int) -> int:
    """Bytes that a sealed answer with so many bytes of content has."""
    return _COUNTER_BYTES + size_class(_LENGTH_BYTES + length) + _TAG_BYTES


def new_session_secret() -> bytearray:
    """A new secret; whoever holds it wipes it once the session is derived and the secret sealed."""
    return bytearray(os.urandom(SESSION_SECRET_BYTES))


class SealedSession:
    """One session, at either end; never shown by `repr`, never pickled.

    Its keys exist within the cryptography library alone, which overwrites them when this object is
    freed.
    """

    __slots__ = ("_answers", "_next", "_questions", "id")

    def __init__(self, secret: Bytes, info: bytes) -> None:
        """Derive the keys. Raises `ValueError` unless the secret has 32 bytes."""
        if memoryview(secret).nbytes != SESSION_SECRET_BYTES:
            raise ValueError(f"a session's secret has {SESSION_SECRET_BYTES} bytes")
        keys = memoryview(bytearray(SESSION_ID_BYTES + 2 * _KEY_BYTES))
        try:
            HKDF(SHA256(), len(keys), None, info).derive_into(secret, keys)
            self.id = bytes(keys[:SESSION_ID_BYTES])
            self._questions = AESGCM(keys[SESSION_ID_BYTES:-_KEY_BYTES])
            self._answers = AESGCM(keys[-_KEY_BYTES:])
        finally:
            wipe(keys)
        self._next = 0  # the least counter that no question has had yet

    def seal_question(self, content: Bytes) -> tuple[int, bytes]:
        """The next counter, and the question sealed under it. Raises `SessionUnknown`."""
        counter = self._next
        _check_counter(counter)
        self._next = counter + 1
        return counter, _seal(self._questions, counter, content)

    def open_question(self, counter: int, sealed: Bytes) -> bytearray:
        """The content, for the caller to wipe.

        Raises `QuestionReplayed` unless the counter is above that of every question before,
        `SessionUnknown`, or `QuestionForged`. A question that does not open uses no counter up.
        """
        if counter < self._next:
            raise QuestionReplayed(
                "The question's counter is not above those before it in its session. Ask again "
                "under the next counter.",
                claim="counter",
                expected=f"at least {self._next}",
                actual=str(counter),
            )
        _check_counter(counter)
        content = _open(self._questions, counter, sealed, QuestionForged)
        self._next = counter + 1
        return content

    def seal_answer(self, counter: int, content: Bytes) -> bytes:
        """The answer to the question of this counter: counter, ciphertext. Never to be called twice
        for a counter."""
        return counter.to_bytes(_COUNTER_BYTES, "big") + _seal(self._answers, counter, content)

    def open_answer(self, counter: int, answer: Bytes) -> bytearray:
        """The content of the answer to the question of this counter. Raises `AnswerForged`."""
        view = memoryview(answer)
        if bytes(view[:_COUNTER_BYTES]) != counter.to_bytes(_COUNTER_BYTES, "big"):
            raise _forged(AnswerForged)
        return _open(self._answers, counter, view[_COUNTER_BYTES:], AnswerForged)

    def __repr__(self) -> str:
        return "SealedSession(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session cannot be pickled or copied")


def _seal(key: AESGCM, counter: int, content: Bytes) -> bytes:
    view = memoryview(content).cast("B")
    used = _LENGTH_BYTES + len(view)
    plain = bytearray(size_class(used))
    plain[:_LENGTH_BYTES] = len(view).to_bytes(_LENGTH_BYTES, "big")
    plain[_LENGTH_BYTES:used] = view
    try:
        return key.encrypt(_nonce(counter), plain, None)
    finally:
        wipe(plain)


def _open(key: AESGCM, counter: int, sealed: Bytes, forged: type[Refusal]) -> bytearray:
    size = memoryview(sealed).nbytes - _TAG_BYTES
    if size < _SMALLEST_CLASS:
        raise _forged(forged)
    plain = bytearray(size)
    try:
        key.decrypt_into(_nonce(counter), sealed, None, plain)
    except InvalidTag:
        wipe(plain)
        raise _forged(forged) from None
    used = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES], "big")
    # There is one way to pad: other lengths, or bytes behind the content, would be a channel.
    if used > size or size != size_class(used) or plain.count(0, used) != size - used:
        wipe(plain)
        raise _forged(forged)
    # Cut at its ends, which copies nothing.
    del plain[used:], plain[:_LENGTH_BYTES]
    return plain


def _nonce(counter: int) -> bytes:
    return _ZEROS + counter.to_bytes(_COUNTER_BYTES, "big")


def _check_counter(counter: int) -> None:
    if counter >= MAX_QUESTIONS:
        raise SessionUnknown(
            f"A session has at most {MAX_QUESTIONS} questions. Open another.", claim="counter"
        )


def _forged(kind: type[Refusal]) -> Refusal:
    return kind(
        "The bytes were not sealed in this session, under this counter, by the other end.",
        claim="sealed bytes",
    )
