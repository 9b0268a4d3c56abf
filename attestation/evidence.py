# SPDX-License-Identifier: Apache-2.0
"""Evidence as it travels: a quote, and the collateral that it is to be judged with.

Nothing here is believed yet; `verify_evidence` turns evidence into claims.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Self

from placet.attestation import _strict
from placet.refusals import EvidenceMalformed

KINDS = ("simulation", "sgx", "tdx", "snp")
MAX_QUOTE_BYTES = 64 * 1024
MAX_EVIDENCE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quote of a named kind with its collateral (JSON text; for DCAP as dcap-qvl writes it)."""

    kind: str
    quote: bytes
    collateral: str

    def __post_init__(self) -> None:
        refusal = EvidenceMalformed
        _strict.one_of("kind", self.kind, KINDS, refusal)
        _strict.octets("quote", self.quote, 1, MAX_QUOTE_BYTES, refusal)
        _strict.ascii_text("collateral", self.collateral, MAX_EVIDENCE_BYTES, refusal)
        if len(self.to_bytes()) > MAX_EVIDENCE_BYTES:
            raise refusal(f"The evidence is larger than {MAX_EVIDENCE_BYTES} bytes in all.")

    def to_bytes(self) -> bytes:
        """Return the one encoding of this evidence."""
        quote = base64.b64encode(self.quote).decode()
        return _strict.encode({"kind": self.kind, "quote": quote, "collateral": self.collateral})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read evidence; raise EvidenceMalformed for all but its one encoding."""
        refusal = EvidenceMalformed
        document = _strict.decode(data, MAX_EVIDENCE_BYTES, refusal)
        _strict.exact(document, ("kind", "quote", "collateral"), refusal)
        found = cls(
            kind=_strict.one_of("kind", document["kind"], KINDS, refusal),
            quote=_strict.base64_octets("quote", document["quote"], refusal),
            collateral=_strict.ascii_text(
                "collateral", document["collateral"], MAX_EVIDENCE_BYTES, refusal
            ),
        )
        if found.to_bytes() != data:
            raise refusal("The evidence is not in its one encoding.")
        return found

    @property
    def digest(self) -> str:
        """The sha256: digest of the encoding.

        It names these bytes, never an enclave: the same statement has many valid quotes.
        """
        return "sha256:" + hashlib.sha256(self.to_bytes()).hexdigest()
