# SPDX-License-Identifier: Apache-2.0
"""HPKE envelopes: a small secret sealed to one recipient, single-shot, in base mode (RFC 9180).

    version 1 ‖ KEM id ‖ KDF id ‖ AEAD id (2 big-endian bytes each) ‖ key id 32 ‖ enc ‖ ciphertext

The key id is the SHA-256 of the recipient's encoded key. An envelope's purpose goes into `info`
(see `context`); nobody is authenticated by an envelope, so who sent it must be shown otherwise.
"""

import hashlib
from hmac import compare_digest

from cryptography.exceptions import InvalidTag

from placet.refusals import (
    EnvelopeForged,
    EnvelopeKeyMismatch,
    EnvelopeMalformed,
    EnvelopeSuiteUnsupported,
)
from placet.sealing import _suites
from placet.sealing._hpke import HPKEPrivateKey, HPKEPublicKey

_KEY_ID_BYTES = 32
_TAG_BYTES = 16
_PREFIX_BYTES = _suites.HEADER_BYTES + _KEY_ID_BYTES
# Keys, requests and answers travel in envelopes; what is larger is a sealed stream.
MAX_ENVELOPE_BYTES = 16 << 20
_REMEDY = "ask the sender to seal it again to the current key"


def seal_envelope(
    plaintext: bytes | bytearray | memoryview, recipient: HPKEPublicKey, info: bytes
) -> bytes:
    """Seal `plaintext` so that only `recipient`'s key opens it, and only with the same `info`.

    Raises `ValueError` if the envelope would be longer than 16 MiB.
    """
    suite = recipient.suite
    overhead = _PREFIX_BYTES + suite.enc_size + _TAG_BYTES
    if overhead + memoryview(plaintext).nbytes > MAX_ENVELOPE_BYTES:
        raise ValueError("an envelope has at most 16 MiB; seal a stream instead")
    sealed = _suites.encrypt(suite, plaintext, recipient.loaded, info)
    return suite.header + _key_id(recipient) + sealed


def open_envelope(
    envelope: bytes | bytearray | memoryview, key: HPKEPrivateKey, info: bytes
) -> bytes:
    """Return the plaintext of `envelope`.

    Raises `EnvelopeMalformed` for impossible lengths and unknown versions,
    `EnvelopeSuiteUnsupported` and `EnvelopeKeyMismatch` for what was sealed to another key,
    `EnvelopeForged` for everything that does not open with this key and `info`.
    """
    suite = key.public.suite
    if not 0 < memoryview(envelope).nbytes <= MAX_ENVELOPE_BYTES:
        raise _malformed("an envelope must not be empty and has at most 16 MiB")
    data = bytes(envelope)
    if data[0] != _suites.VERSION:
        raise _malformed(f"an envelope must begin with version {_suites.VERSION}")
    header, key_id = data[: _suites.HEADER_BYTES], data[_suites.HEADER_BYTES : _PREFIX_BYTES]
    if header != suite.header:
        raise EnvelopeSuiteUnsupported(
            f"the envelope must use the suite of its recipient's key, {suite.name}; {_REMEDY}",
            claim="envelope suite",
            expected=suite.header.hex(),
            actual=header.hex(),
        )
    if not compare_digest(key_id, _key_id(key.public)):
        raise EnvelopeKeyMismatch(
            f"the envelope is for another key; {_REMEDY}",
            claim="envelope key id",
            expected=key.public.key_id,
            actual=f"sha256:{key_id.hex()}",
        )
    least = _PREFIX_BYTES + suite.enc_size + _TAG_BYTES
    if len(data) < least:
        raise _malformed(f"an envelope of this suite has at least {least} bytes")
    try:
        return _suites.decrypt(suite, data[_PREFIX_BYTES:], key.loaded, info)
    except (InvalidTag, ValueError):
        # The library reports a point of small order as ValueError; the sender must learn no more
        # from it than from a wrong tag.
        raise EnvelopeForged(
            f"the envelope was changed, or was sealed for another purpose; {_REMEDY}",
            claim="envelope",
        ) from None


def _key_id(key: HPKEPublicKey) -> bytes:
    return hashlib.sha256(key.to_bytes()).digest()


def _malformed(message: str) -> EnvelopeMalformed:
    return EnvelopeMalformed(f"{message}; {_REMEDY}", claim="envelope form")
