# SPDX-License-Identifier: Apache-2.0
"""The services that an enclave needs of the machine it runs on."""

from dataclasses import dataclass, field
from typing import Protocol

from placet.attestation.evidence import Evidence


@dataclass(frozen=True, slots=True)
class SealingKey:
    """32 bytes that only this measurement on this machine can get again, and what they hang on.

    `measurement` and `tcb` are hexadecimal, and for words only: nothing is decided by them. `tcb`
    is the security version of processor and firmware: SGX's CPU SVN, SNP's reported TCB. Under
    another one the machine derives another key.
    """

    measurement: str
    tcb: str
    key: bytes = field(repr=False)


class Attester(Protocol):
    """The hardware as seen from inside; both methods raise AttesterUnavailable when it does not
    answer."""

    def evidence(self, report_data: bytes) -> Evidence:
        """Return evidence that vouches for 64 bytes of the caller's choice."""
        ...

    def sealing_keys(self) -> tuple[SealingKey, ...]:
        """Return the key of the present TCB, then those of other TCBs that the machine still
        gives."""
        ...
