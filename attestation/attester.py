# SPDX-License-Identifier: Apache-2.0
"""What an enclave needs of the machine it runs on."""

from typing import Protocol

from placet.attestation.evidence import Evidence


class Attester(Protocol):
    """The hardware as seen from inside; both methods raise QuotingError when it does not answer."""

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence that vouches for 64 bytes of the caller's choice."""
        ...

    def sealing_key(self) -> bytes:
        """Return 32 bytes that only this measurement on this machine can get again."""
        ...
