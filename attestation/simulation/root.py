# SPDX-License-Identifier: Apache-2.0
"""The root of the simulation: a published key, so it proves the format and nothing else.

Anyone can derive the key from the constant below and sign what they like. Verifiers pin the
certificate; it was made once by this key and its bytes never change.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

PUBLISHED_ROOT_SECRET: Final = b"placet/simulation/root/v1"
"""Not a secret: the key of the simulation root is the SHA-256 of these bytes."""

SIMULATION_SIGNER: Final = hashlib.sha256(b"placet/simulation/signer/v1").hexdigest()
"""The MRSIGNER of every simulated enclave."""

SIMULATION_PRODUCT: Final = 1
SIMULATION_SVN: Final = 1
"""The security version of every simulated enclave."""

SIMULATION_ROOT: Final = base64.b64decode(
    "MIIBrTCCAVOgAwIBAgIQJCn0spxHNV/b44aTjDQHCTAKBggqhkjOPQQDAjA1MTMwMQYDVQQDDCpQbGFjZXQgU2lt"
    "dWxhdGlvbiBSb290IENBIChwcm92ZXMgbm90aGluZykwHhcNMjAwMTAxMDAwMDAwWhcNNDkxMjMxMjM1OTU5WjA1"
    "MTMwMQYDVQQDDCpQbGFjZXQgU2ltdWxhdGlvbiBSb290IENBIChwcm92ZXMgbm90aGluZykwWTATBgcqhkjOPQIB"
    "BggqhkjOPQMBBwNCAAQ/0OanxYwkrQ4IUGeo3Yc28QN5et6JWHeMrxCPpV/b8LjtSJmYXFnK4tYQB9BHjuZj1viH"
    "21FCGGRtAhh6eL6Bo0UwQzASBgNVHRMBAf8ECDAGAQH/AgEBMA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU7Zm7"
    "Va7aLyrILeA7sPoBLfJeB6IwCgYIKoZIzj0EAwIDSAAwRQIhAKnfh94UPcpY1lP432Umyr6hE4Z2POu/Zvfp8AKl"
    "uOZTAiANkYFsdoPr1yxwL9t/HDaEWIvcXbf1/e4SzDlBEbIojw=="
)
"""The root certificate, DER."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certificate with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def published_root() -> Issuer:
    """Return the simulation root with its published key."""
    scalar = int.from_bytes(hashlib.sha256(PUBLISHED_ROOT_SECRET).digest(), "big")
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    return Issuer(key, x509.load_der_x509_certificate(SIMULATION_ROOT))
