# SPDX-License-Identifier: Apache-2.0
"""The identity document of an enclave: the public keys it made inside, and what it is for.

The keys are opaque text here; who uses them parses them. An identity's role is believed only when
the policy for that role accepts the measurement.
"""

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Self, cast

from placet.attestation import _strict
from placet.refusals import IdentityMalformed

ROLES = ("authority", "worker")
MAX_IDENTITY_BYTES = 16 * 1024  # an X-Wing key is 1.7 KiB as text; room for larger ones
_MAX_KEY_CHARACTERS = 6 * 1024
_MAX_LOG_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Identity:
    """An enclave's word on itself; the digest of `to_bytes` goes into its report data."""

    role: str  # "authority" or "worker"
    log: str  # the log this enclave belongs to: its verifier key
    charter: str  # the digest of that log's charter; empty before it is founded
    boot: str  # 32 hexadecimal digits, random at every start
    hpke: str  # the HPKE public key, text form
    signing: str  # the signing key, text form

    def __post_init__(self) -> None:
        refusal = IdentityMalformed
        _strict.one_of("role", self.role, ROLES, refusal)
        _strict.text("log", self.log, _MAX_LOG_CHARACTERS, refusal)
        if self.charter:
            _strict.digest("charter", self.charter, refusal)
        _strict.hexadecimal("boot", self.boot, (32,), refusal)
        _strict.text("hpke", self.hpke, _MAX_KEY_CHARACTERS, refusal)
        _strict.text("signing", self.signing, _MAX_KEY_CHARACTERS, refusal)

    def to_bytes(self) -> bytes:
        """Return the one encoding of this identity."""
        return _strict.encode(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read an identity; raise IdentityMalformed for all but its one encoding."""
        document = _strict.decode(data, MAX_IDENTITY_BYTES, IdentityMalformed)
        _strict.exact(document, (field.name for field in fields(cls)), IdentityMalformed)
        found = cls(**cast("dict[str, str]", document))  # each field is checked on construction
        if found.to_bytes() != data:
            raise IdentityMalformed("The identity is not in its one encoding.")
        return found

    @property
    def digest(self) -> str:
        """The sha256: digest of the encoding."""
        return "sha256:" + hashlib.sha256(self.to_bytes()).hexdigest()
