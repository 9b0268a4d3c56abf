# SPDX-License-Identifier: Apache-2.0
"""The certificate extension holds this, after the CCC's Interoperable RA-TLS formats.

    extension value  60000([ quote, claims ])                  in CBOR; both are byte strings
    claims           { "pubkey-hash": entry, ? "nonce": bytes }    a map as bytes, hashed as it is
    entry            [ algorithm, hash of the SubjectPublicKeyInfo ]   an array as bytes
    report data      SHA-256(claims) ‖ 32 zero bytes

A binding of Placet's own (placet.attestation.binding) fills all 64 bytes, so neither passes for the
other. Claims of other names are allowed and say nothing here, as the specification has it.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from placet.attestation.evidence import MAX_QUOTE_BYTES
from placet.ratls import cbor
from placet.refusals import EvidenceBinding, EvidenceMalformed, EvidenceNonce

MAX_CLAIMS_BYTES: Final = 4096
NONCE_BYTES: Final = (8, 64)  # least and most; the specification has no bounds
MAX_PAYLOAD_BYTES: Final = MAX_QUOTE_BYTES + MAX_CLAIMS_BYTES + 32

_INTEL_TAG = 60000  # registered with IANA for quotes of SGX and TDX
# Not registered with anyone: RA-TLS has tags for Intel's quotes only, and a simulated quote is
# none.
_OWN_TAGS: Final[Mapping[str, int]] = MappingProxyType(
    {"simulation": 0x504C_4100, "snp": 0x504C_4101}
)
_KIND_OF_OWN_TAG = {number: kind for kind, number in _OWN_TAGS.items()}
_KEY_HASH = "pubkey-hash"
_NONCE = "nonce"
_SHA_256 = 1
# IANA, named information hash algorithms.
_HASHES: Final[Mapping[int, Callable[[bytes], Any]]] = MappingProxyType(
    {_SHA_256: hashlib.sha256, 7: hashlib.sha384, 8: hashlib.sha512}
)


@dataclass(frozen=True, slots=True)
class Payload:
    """One certificate's words on its key; nothing here is believed yet."""

    kind: str
    quote: bytes
    report_data: bytes  # 64 bytes: what the quote has to vouch for
    nonce: bytes | None


def check_nonce(nonce: bytes) -> None:
    """Refuse a nonce of a client's, by EvidenceNonce, that is too short to be fresh or too
    long."""
    least, most = NONCE_BYTES
    if not least <= len(nonce) <= most:
        raise EvidenceNonce(f"nonce must be {least} to {most} bytes.", claim="nonce")


def encode_claims(public_key: bytes, nonce: bytes | None) -> bytes:
    """Return the claims about a key (SubjectPublicKeyInfo, DER)."""
    entry = cbor.encode((_SHA_256, hashlib.sha256(public_key).digest()))
    claims: dict[str, cbor.Item] = {} if nonce is None else {_NONCE: nonce}
    return cbor.encode(
        {**claims, _KEY_HASH: entry}
    )  # in deterministic order: the shorter key first


def report_data(bound: bytes) -> bytes:
    """Return the 64 bytes that vouch for claims (or, in the legacy form, for the key itself)."""
    return hashlib.sha256(bound).digest() + bytes(32)


def encode_payload(kind: str, quote: bytes, claims: bytes) -> bytes:
    """Return the value of the extension."""
    return cbor.encode(cbor.Tag(_OWN_TAGS.get(kind, _INTEL_TAG), (quote, claims)))


def read_payload(value: bytes, public_key: bytes) -> Payload:
    """Read the value of the extension, and check that it is about this key.

    Raises EvidenceMalformed, or EvidenceBinding if it is about another key.
    """
    match cbor.decode(value, MAX_PAYLOAD_BYTES):
        case cbor.Tag(number, (bytes(quote), bytes(claims))):
            kind = _KIND_OF_OWN_TAG.get(number) or _intel_kind(number, quote)
            return Payload(kind, quote, report_data(claims), _read_claims(claims, public_key))
        case _:
            raise EvidenceMalformed(
                "The evidence extension is not a tag on a quote and its claims.",
                claim="certificate",
                expected=f"{_INTEL_TAG}([quote, claims])",
            )


def read_legacy(quote: bytes, public_key: bytes) -> Payload:
    """Read Gramine's older extension, whose value is the quote alone."""
    return Payload(_intel_kind(_INTEL_TAG, quote), quote, report_data(public_key), None)


def _intel_kind(number: int, quote: bytes) -> str:
    if number != _INTEL_TAG:
        raise EvidenceMalformed(
            "The evidence has a tag that stands for nothing known here.",
            claim="kind",
            expected=", ".join(str(one) for one in (_INTEL_TAG, *_OWN_TAGS.values())),
            actual=str(number),
        )
    # The header's type of hardware; version 3 has zeros there. The verifier of the kind checks it.
    kind = {0x00: "sgx", 0x81: "tdx"}.get(int.from_bytes(quote[4:8], "little"))
    if kind is None or len(quote) < 8:
        raise EvidenceMalformed("The quote is neither of SGX nor of TDX.", claim="quote")
    return kind


def _read_claims(data: bytes, public_key: bytes) -> bytes | None:
    """Check the claims and return their nonce."""
    claims = cbor.decode(data, MAX_CLAIMS_BYTES)
    entry = claims.get(_KEY_HASH) if isinstance(claims, dict) else None
    if not isinstance(claims, dict) or not isinstance(entry, bytes):
        raise EvidenceMalformed(
            "The claims beside the quote must hold one pubkey-hash.", claim=_KEY_HASH
        )
    nonce = claims.get(_NONCE)
    if nonce is not None and not isinstance(nonce, bytes):
        raise EvidenceMalformed("The nonce among the claims must be bytes.", claim=_NONCE)
    _check_key_hash(entry, public_key)
    return nonce


def _check_key_hash(entry: bytes, public_key: bytes) -> None:
    match cbor.decode(entry, MAX_CLAIMS_BYTES):
        case (int(algorithm), bytes(digest)) if algorithm in _HASHES:
            found: bytes = _HASHES[algorithm](public_key).digest()
        case _:
            raise EvidenceMalformed(
                "pubkey-hash must name SHA-256, SHA-384 or SHA-512 and give a hash.",
                claim=_KEY_HASH,
                expected="[1, 7 or 8, hash]",
            )
    if not hmac.compare_digest(digest, found):
        raise EvidenceBinding(
            "The claims beside the quote are about another key than the certificate's.",
            claim=_KEY_HASH,
            expected=found.hex(),
            actual=digest.hex()[: 2 * len(found)],
            remedy="do not trust this server; its certificate was put together from parts",
        )
