# SPDX-License-Identifier: Apache-2.0
"""RA-TLS: evidence in the certificate of a TLS server, in the interoperable form of the CCC.

For services and clients of a user's own: no enclave of Placet's listens.
"""

from placet.ratls.certificate import EVIDENCE_EXTENSION, MAX_CERTIFICATE_BYTES
from placet.ratls.issue import Issued, issue_certificate
from placet.ratls.payload import Payload
from placet.ratls.verify import (
    read_certificate,
    verify_certificate,
)

__all__ = [
    "EVIDENCE_EXTENSION",
    "MAX_CERTIFICATE_BYTES",
    "Issued",
    "Payload",
    "issue_certificate",
    "read_certificate",
    "verify_certificate",
]
