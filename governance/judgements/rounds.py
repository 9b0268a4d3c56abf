# SPDX-License-Identifier: Apache-2.0
"""The part of an update that a client seals to the round key."""

import math
import struct
from dataclasses import dataclass
from typing import Self

from placet.governance.documents import Federate
from placet.refusals import UpdateMalformed

_SEALED = struct.Struct("<32sdfI")


@dataclass(frozen=True, slots=True)
class SealedUpdate:
    """The sealed part of an update: the stream's key, the declared L2 norm, the scale of its
    coordinates (of int8; 1.0 otherwise), and the weight. It has always 48 bytes, so that its size
    tells nothing."""

    key: bytes
    norm: float
    scale: float
    weight: int

    def pack(self) -> bytes:
        """The inverse of `unpack`."""
        return _SEALED.pack(self.key, self.norm, self.scale, self.weight)

    @classmethod
    def unpack(cls, data: bytes, terms: Federate) -> Self:
        """Raises `UpdateMalformed` unless everything is within the terms. The refusal does not
        quote what it refuses."""
        if len(data) != _SEALED.size:
            raise _malformed("length", f"{_SEALED.size} bytes", f"{len(data)} bytes")
        key, norm, scale, weight = _SEALED.unpack(data)
        if not (math.isfinite(norm) and norm >= 0):
            raise _malformed("norm", "a finite number from 0", "another")
        if not (math.isfinite(scale) and scale > 0):
            raise _malformed("scale", "a finite number above 0", "another")
        if terms.layout.encoding != "int8" and scale != 1.0:
            raise _malformed("scale", f"1.0 for {terms.layout.encoding}", "another number")
        if not 1 <= weight <= terms.largest_weight:
            expected = f"from 1 to {terms.largest_weight}"
            raise _malformed("weight", expected, "another number")
        return cls(key, norm, scale, weight)

    def __repr__(self) -> str:
        return "SealedUpdate(...)"


def _malformed(claim: str, expected: str, actual: str) -> UpdateMalformed:
    return UpdateMalformed(
        f"The sealed part of the update is refused at its {claim}: expected {expected}. Seal and "
        "send it again.",
        claim="sealed." + claim,
        expected=expected,
        actual=actual,
    )
