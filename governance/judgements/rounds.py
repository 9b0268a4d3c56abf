# SPDX-License-Identifier: Apache-2.0
"""A federation's rounds as jobs, and what a client seals to a round key."""

import math
import struct
from dataclasses import dataclass
from typing import Self

from placet.governance.documents import Federate
from placet.governance.errors import FederationNotFound, RoundNotOpen, UpdateMalformed
from placet.governance.federation_state import FederationState, RoundState
from placet.governance.jobs import round_job
from placet.governance.state import State

_SEALED = struct.Struct("<32sdfI")


def find_federation(state: State, proposal: str) -> FederationState:
    """Raises `FederationNotFound`."""
    federation = state.federations.get(proposal)
    if federation is None:
        raise FederationNotFound(
            "No federation of this proposal was started. Start it first.",
            claim="federation",
            actual=proposal,
        )
    return federation


def next_round(state: State, proposal: str) -> int:
    """The number of the round that would be opened next."""
    federation = state.federations.get(proposal)
    return len(federation.rounds) + 1 if federation else 1


def closed_round(state: State, proposal: str, job: str) -> RoundState:
    """The newest round of a federation, closed, whose job this has to be. Raises `RoundNotOpen`."""
    current = find_federation(state, proposal).current
    expected = round_job(proposal, current.number)
    if job != expected or current.status != "closed":
        raise RoundNotOpen(
            "There is no such round to aggregate: it is open still, or over.",
            claim="job",
            expected=f"{expected}, closed",
            actual=f"{job}; the round is {current.status}",
        )
    return current


@dataclass(frozen=True, slots=True)
class SealedUpdate:
    """What comes sealed with an update: the stream's key, the declared L2 norm, the scale of its
    coordinates (of int8; 1.0 otherwise), and the weight. Always 48 bytes, so that its size tells
    nothing."""

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
