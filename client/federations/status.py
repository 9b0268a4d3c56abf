# SPDX-License-Identifier: Apache-2.0
"""How a federation stands, as the host tells it. What a round is decided by is read from the log
instead (rounds.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from placet.client.connection.told import digest, identifier, reason, refused_of
from placet.client.errors import AnswerMalformed
from placet.proto.v1 import federations_pb2
from placet.refusals import Refused

FederationPhase = Literal["open", "aggregating", "finished", "failed", "stopped"]
_PHASES: Final[Mapping[int, FederationPhase]] = MappingProxyType(
    {
        federations_pb2.FEDERATION_STATE_OPEN: "open",
        federations_pb2.FEDERATION_STATE_AGGREGATING: "aggregating",
        federations_pb2.FEDERATION_STATE_FINISHED: "finished",
        federations_pb2.FEDERATION_STATE_FAILED: "failed",
        federations_pb2.FEDERATION_STATE_STOPPED: "stopped",
    }
)


@dataclass(frozen=True, slots=True)
class Member:
    """A client of the roster: whether its update for the round under way is in, from which round on
    it may send again (0: now), and why not now (the name of a reason)."""

    client: str
    updated: bool
    quarantined_until: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A round that is over: whether it released a model, how many updates it had, and who left for
    which reason."""

    round: int
    released: bool
    updates: int
    left: dict[str, str]


@dataclass(frozen=True, slots=True)
class FederationStatus:
    """A federation as the host tells it. `closes` is in Unix seconds; `model_round` is 0 before the
    first model; `progress` is of the aggregation, in whole percent."""

    id: str
    state: FederationPhase
    round: int
    rounds: int
    closes: int
    model_round: int
    progress: int
    members: tuple[Member, ...]
    outcomes: tuple[Outcome, ...]
    refusal: Refused | None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("finished", "failed", "stopped")

    @classmethod
    def from_wire(cls, told: federations_pb2.Federation) -> "FederationStatus":
        """Raises `AnswerMalformed` for a state that this version does not know."""
        state = _PHASES.get(told.state)
        if state is None:
            raise AnswerMalformed(
                "The host tells a state of a federation that this version does not know."
            )
        return cls(
            id=digest(told.id),
            state=state,
            round=told.round,
            rounds=told.rounds,
            closes=told.closes,
            model_round=told.model_round,
            progress=told.progress,
            members=tuple(
                Member(identifier(m.client), m.updated, m.quarantined_until, reason(m.why))
                for m in told.members
            ),
            outcomes=tuple(
                Outcome(o.round, o.released, o.updates, _left(o.left)) for o in told.outcomes
            ),
            refusal=refused_of(told.refusal) if told.HasField("refusal") else None,
        )


def _left(told: Mapping[str, str]) -> dict[str, str]:
    return {identifier(client): reason(why) for client, why in told.items()}
