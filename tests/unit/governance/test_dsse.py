# SPDX-License-Identifier: Apache-2.0
"""Envelopes against the vectors of DSSE's authors: github.com/secure-systems-lab/dsse, protocol.md
and testvectors/vectors.json."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from placet.governance.envelope import parse_envelope, verified_signers
from placet.governance.keys import PublicKey, SigningKey

STATEMENT = "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ=="
SIGNED = "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA=="
# payload, type, signature by key A, whether it holds
VECTORS = {
    "single-signature": (STATEMENT, "application/vnd.in-toto+json", SIGNED, True),
    "payload-type-swapped": (STATEMENT, "application/vnd.example.other+json", SIGNED, False),
    "non-ascii-payload-type": (
        STATEMENT,
        "application/vnd.ex\u00e4mple+json",
        "xmSk/ug66ysT7ayhkCIjhAq42zgZXSsEWuzUaNL7w2eGAdF/NU6/fRXPtmfN+5DNSAs5/i2lUnHjbbjPsu0tAw==",
        True,
    ),
    "empty-payload": (
        "",
        "application/vnd.in-toto+json",
        "gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg==",
        True,
    ),
}
KEY_A = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def envelope(payload: str, type_: str, key: PublicKey, signature: str) -> bytes:
    """DSSE leaves key ids to its users; ours are of the key's text."""
    signatures = [{"keyid": key.key_id, "sig": signature}]
    parts = {"payload": payload, "payloadType": type_, "signatures": signatures}
    return json.dumps(parts).encode()


@pytest.mark.parametrize("name", VECTORS)
def test_signatures_of_others(name: str) -> None:
    payload, type_, signature, holds = VECTORS[name]
    key = PublicKey.ed25519(bytes.fromhex(KEY_A))
    raw = parse_envelope(envelope(payload, type_, key, signature))
    assert bool(verified_signers(raw, [key])) is holds


def test_the_example_of_the_protocol() -> None:
    """With r and s in DER, as P-256 signatures stand in documents of Placet."""
    point = ec.EllipticCurvePublicNumbers(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
        ec.SECP256R1(),
    )
    scalar = 97358161215184420915383655311931858321456579547487070936769975997791359926199
    key = SigningKey(ec.EllipticCurvePrivateNumbers(scalar, point).private_key()).public
    signature = base64.b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    der = base64.b64encode(encode_dss_signature(r, s)).decode()
    raw = parse_envelope(envelope("aGVsbG8gd29ybGQ=", "http://example.com/HelloWorld", key, der))
    assert raw.signed_bytes == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert verified_signers(raw, [key])
