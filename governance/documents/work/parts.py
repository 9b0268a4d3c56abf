# SPDX-License-Identifier: Apache-2.0
"""Jobs and federations have these parts in common: inputs, outputs, recipients, and how often they
may be tried."""

import functools
from dataclasses import dataclass
from typing import ClassVar

from placet.governance.checks import check_identifier, check_range
from placet.governance.codec import malformed
from placet.refusals import Refusal
from placet.sealing import HPKEPublicKey, ObjectDescriptor

MAX_ATTEMPTS = 3
MAX_OUTPUT_BYTES = 2**40

Scalar = str | int | bool


@dataclass(frozen=True, slots=True)
class Input:
    """An object that the job may open, and the principal whose grant it takes."""

    MOST: ClassVar[int] = 256

    object: ObjectDescriptor
    owner: str

    def __post_init__(self) -> None:
        check_identifier("input.owner", self.owner)


@dataclass(frozen=True, slots=True)
class Output:
    """An output that the job must write. It is padded to `max_bytes`, so that its size tells
    nothing."""

    max_bytes: int

    def __post_init__(self) -> None:
        check_range("output.max_bytes", self.max_bytes, 1, MAX_OUTPUT_BYTES)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who may open the outputs: a name and an HPKE public key in its text form."""

    MOST: ClassVar[int] = 64  # loading a key takes as long as checking a signature

    id: str
    key: str

    def __post_init__(self) -> None:
        check_identifier("recipient.id", self.id)
        check_hpke("recipient.key", self.key)

    @property
    def hpke(self) -> HPKEPublicKey:
        return _hpke(self.key)


@functools.lru_cache(maxsize=1024)
def _hpke(text: str) -> HPKEPublicKey:
    """Recipients come again and again, and loading an ML-KEM key takes as long as checking a
    signature."""
    return HPKEPublicKey.from_text(text)


def check_hpke(claim: str, text: str) -> None:
    """Refuse what is not the text of an HPKE public key."""
    try:
        _hpke(text)
    except Refusal as error:
        raise malformed(claim, "an HPKE public key (hpke:...)", str(error)) from None
