# SPDX-License-Identifier: Apache-2.0
"""The root secret, sealed to this enclave's measurement, and what is derived from it or wrapped
under it.

The host stores the sealed root secret and the wrapped secrets; it can lose them, not read or change
them. The log key is derived from the root secret, so there is one thing to seal; and from the
digest of the genesis constitution: a host that brings back a root secret of before the founding,
and founds a council of its own with it, gets another log key.
"""

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from placet.attestation import Attester
from placet.enclave.authority.sealed_root import ROOT, open_root, seal_root
from placet.governance.contexts import log_key_info, secret_info
from placet.governance.keys import SigningKey
from placet.governance.log import NoteSigner
from placet.proto.v1 import enclaves_pb2
from placet.sealing import unwrap_key, wrap_key

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class LogKeys:
    """One log key: as the signer of checkpoints, and as that of receipts."""

    checkpoints: NoteSigner
    receipts: SigningKey

    @property
    def log(self) -> str:
        """The verifier key that names the log."""
        return self.checkpoints.verifier_key.to_text()


class Vault:
    """Wraps secrets under the root secret. Its representation shows nothing."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._wrapping = _derive(root, b"placet/wrapping/v1")

    @classmethod
    def create(cls, attester: Attester) -> tuple["Vault", enclaves_pb2.Secret]:
        """A new root secret, and the same sealed for storage."""
        root = os.urandom(_KEY_BYTES)
        sealed = seal_root(root, attester.sealing_keys())
        return cls(root), enclaves_pb2.Secret(name=ROOT, wrapped=sealed)

    @classmethod
    def open(cls, sealed: bytes, attester: Attester) -> tuple["Vault", enclaves_pb2.Secret | None]:
        """The vault of a sealed root secret and, after an update of the machine, the same sealed
        anew for storage.

        Raises `KeyUnwrapRefused` for another measurement or machine, or a TCB whose key the machine
        does not give.
        """
        root, resealed = open_root(sealed, attester.sealing_keys())
        anew = None if resealed is None else enclaves_pb2.Secret(name=ROOT, wrapped=resealed)
        return cls(root), anew

    def log_keys(self, origin: str, constitution: str) -> LogKeys:
        """The log key of the council whose genesis constitution has this digest. Another council
        has another one."""
        seed = _derive(self._root, log_key_info(constitution))
        return LogKeys(
            NoteSigner(origin, seed), SigningKey(Ed25519PrivateKey.from_private_bytes(seed))
        )

    def wrap(self, name: str, secret: bytes) -> enclaves_pb2.Secret:
        """A secret under its name, for storage."""
        wrapped = wrap_key(secret, self._wrapping, secret_info(name))
        return enclaves_pb2.Secret(name=name, wrapped=wrapped)

    def unwrap(self, name: str, wrapped: bytes) -> bytes:
        """The secret of this name. Raises `KeyUnwrapRefused` for anything else."""
        return unwrap_key(wrapped, self._wrapping, secret_info(name))


def _derive(root: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=info).derive(root)
