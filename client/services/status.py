# SPDX-License-Identifier: Apache-2.0
"""How a service stands, as the host tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from placet.client.connection.told import digest, refused_of
from placet.client.errors import AnswerMalformed
from placet.proto.v1 import inference_pb2
from placet.refusals import Refused

ServicePhase = Literal["starting", "ready", "drained", "stopped", "failed"]
_PHASES: Final[Mapping[int, ServicePhase]] = MappingProxyType(
    {
        inference_pb2.SERVICE_STATE_STARTING: "starting",
        inference_pb2.SERVICE_STATE_READY: "ready",
        inference_pb2.SERVICE_STATE_DRAINED: "drained",
        inference_pb2.SERVICE_STATE_STOPPED: "stopped",
        inference_pb2.SERVICE_STATE_FAILED: "failed",
    }
)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service as the host tells it.

    workers: asked for; ready: those that serve. not_after: Unix seconds at which the window closes.
    refusal: why it ended, or why its last worker did.
    """

    id: str
    state: ServicePhase
    workers: int
    ready: int
    not_after: int
    refusal: Refused | None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("stopped", "failed")

    @property
    def settled(self) -> bool:
        """Whether as many workers are ready as were asked for, or none will be."""
        return self.ended or self.state == "drained" or self.ready >= self.workers > 0

    @classmethod
    def from_wire(cls, told: inference_pb2.Service) -> "ServiceStatus":
        """Raises `AnswerMalformed` for a state that this version does not know."""
        state = _PHASES.get(told.state)
        if state is None:
            raise AnswerMalformed(
                "The host tells a state of a service that this version does not know."
            )
        return cls(
            id=digest(told.id),
            state=state,
            workers=told.workers,
            ready=told.ready,
            not_after=told.not_after,
            refusal=refused_of(told.refusal) if told.HasField("refusal") else None,
        )
