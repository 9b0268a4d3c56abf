# SPDX-License-Identifier: Apache-2.0
"""The key of the simulation's root, which is published: it proves the format and nothing else.

Anyone can derive it from the constant below and sign what they like. Verifiers pin the certificate
(`placet.attestation.simulation.root`); it was made once by this key and its bytes never change.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from placet.attestation.simulation.root import SIMULATION_ROOT

PUBLISHED_ROOT_SECRET: Final = b"placet/simulation/root/v1"
"""Not a secret: the key of the simulation root is the SHA-256 of these bytes."""

SIMULATION_PRODUCT: Final = 1
SIMULATION_SVN: Final = 1
"""The security version of every simulated enclave."""


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
