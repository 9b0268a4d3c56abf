# SPDX-License-Identifier: Apache-2.0
"""TCB versions: five security version numbers without a common order.

One TCB is at least another only if each number is. A report carries four of them (AMD 56860):

* reported: what the certificate of the signing key is for; the host sets it, at most current;
* committed: what the host cannot go back below;
* current: what runs now;
* launch: what ran when the guest was started.
"""

from dataclasses import astuple, dataclass
from typing import Self

from placet.attestation.snp.machine import Machine
from placet.refusals import EvidenceMalformed, PolicyInvalid

TCB_BYTES = 8


@dataclass(frozen=True, slots=True)
class Tcb:
    """Security version numbers, each 0 to 255; `fmc` is 0 before Turin."""

    fmc: int
    bootloader: int
    tee: int
    snp: int
    microcode: int

    @classmethod
    def from_bytes(cls, data: bytes, machine: Machine) -> Self:
        """Read the 8 bytes of a report; raise EvidenceMalformed for reserved bits."""
        found: dict[str, int] = {"fmc": 0}
        for name, number in zip(machine.tcb, data, strict=True):
            if name:
                found[name] = number
            elif number:
                raise EvidenceMalformed(
                    f"A TCB of {machine.name} has reserved bits that are not zero.",
                    claim="tcb",
                    expected="zeros",
                    actual=data.hex(),
                )
        return cls(**found)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `fmc.bootloader.tee.snp.microcode`; raise PolicyInvalid for all else."""
        parts = text.split(".")
        if len(parts) == 5 and all(part.isdecimal() and len(part) <= 3 for part in parts):
            numbers = [int(part) for part in parts]
            found = cls(*numbers)
            if max(numbers) <= 255 and found.to_text() == text:
                return found
        raise PolicyInvalid(
            "An SNP TCB is five numbers from 0 to 255: fmc.bootloader.tee.snp.microcode.",
            claim="tcb",
            expected="for example 0.4.0.24.219",
        )

    def to_text(self) -> str:
        """Return the one text of this TCB."""
        return ".".join(str(number) for number in astuple(self))

    def at_least(self, minimum: "Tcb") -> bool:
        """Whether no number is below the minimum's."""
        return self.lowest(minimum) == minimum

    def lowest(self, *others: "Tcb") -> "Tcb":
        """Return the lower of each number."""
        return Tcb(*map(min, *map(astuple, (self, *others))))
