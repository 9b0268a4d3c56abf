# SPDX-License-Identifier: Apache-2.0
"""The certificates and the revocation list that a report is judged with.

As JSON text: `{"ark", "ask", "ek", "crl"}`, each DER as standard base64; `crl` may be null. `ask`
is the certificate that signed `ek`: the ASK for a VCEK, the ASVK for a VLEK.
"""

import base64
from dataclasses import dataclass
from typing import Self

from placet.attestation import _strict
from placet.refusals import EvidenceMalformed

MAX_CERTIFICATE_BYTES = 4096  # AMD's have at most 1,700
MAX_CRL_BYTES = 64 * 1024  # AMD's has 900
_MAX_TEXT = 128 * 1024
_FIELDS = ("ark", "ask", "ek", "crl")


@dataclass(frozen=True, slots=True)
class Collateral:
    """DER, not yet parsed."""

    ark: bytes
    ask: bytes
    ek: bytes
    crl: bytes | None

    def __post_init__(self) -> None:
        for name in ("ark", "ask", "ek"):
            value: object = getattr(self, name)
            _strict.octets(name, value, 1, MAX_CERTIFICATE_BYTES, EvidenceMalformed)
        if self.crl is not None:
            _strict.octets("crl", self.crl, 1, MAX_CRL_BYTES, EvidenceMalformed)

    def to_text(self) -> str:
        """Return the collateral as it stands in evidence."""
        found = {name: _encoded(getattr(self, name)) for name in _FIELDS}
        return _strict.encode(dict(found)).decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read collateral; raise EvidenceMalformed."""
        refusal = EvidenceMalformed
        document = _strict.decode(text.encode(), _MAX_TEXT, refusal)
        _strict.exact(document, _FIELDS, refusal)
        ark, ask, ek = (
            _strict.base64_octets(name, document[name], refusal) for name in ("ark", "ask", "ek")
        )
        crl = document["crl"]
        return cls(
            ark, ask, ek, None if crl is None else _strict.base64_octets("crl", crl, refusal)
        )


def _encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
