# SPDX-License-Identifier: Apache-2.0
"""The lines of processors, and what differs between them.

A line is known by the root that its certificates lead to; reports from version 3 on also name the
processor, and the two must agree.
"""

from collections.abc import Callable
from dataclasses import dataclass

CLASSIC_TCB = ("bootloader", "tee", "", "", "", "", "snp", "microcode")
TURIN_TCB = ("fmc", "bootloader", "tee", "snp", "", "", "", "microcode")


@dataclass(frozen=True, slots=True)
class Machine:
    """One line of processors."""

    name: str  # as in the names of its certificates
    root: str  # SHA-256 of the DER of its ARK, hexadecimal
    tcb: tuple[str, ...]  # what each of the 8 bytes of a TCB is; "" is reserved
    id_bytes: int  # the part of the chip id that is not padding
    cpuid: Callable[[int, int], bool]  # whether a family and model are of this line


def _milan(family: int, model: int) -> bool:
    return family == 0x19 and model <= 0x0F


def _genoa(family: int, model: int) -> bool:  # with Siena and Bergamo
    return family == 0x19 and (0x10 <= model <= 0x1F or 0xA0 <= model <= 0xAF)


def _turin(family: int, model: int) -> bool:
    return family == 0x1A and model <= 0x11


# The digests of the roots that https://kdsintf.amd.com/vcek/v1/<name>/cert_chain gives.
MACHINES = (
    Machine(
        "Milan",
        "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
        CLASSIC_TCB,
        64,
        _milan,
    ),
    Machine(
        "Genoa",
        "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
        CLASSIC_TCB,
        64,
        _genoa,
    ),
    Machine(
        "Turin",
        "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
        TURIN_TCB,
        8,
        _turin,
    ),
)
