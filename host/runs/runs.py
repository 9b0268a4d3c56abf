# SPDX-License-Identifier: Apache-2.0
"""What runs for a proposal until it has ended, at most once each, and again when the host is
started again."""

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from placet.host.documents import TicketFacts, read_stored
from placet.host.tasks import Tasks
from placet.proto.v1 import common_pb2


class Run(Protocol):
    """A federation, or a service."""

    async def run(self) -> None:
        """Run it to its end."""


R = TypeVar("R", bound=Run)


class Runs(Generic[R]):
    """The runs by their proposals. `make` makes one."""

    def __init__(self, make: Callable[[TicketFacts, common_pb2.Ticket], R]) -> None:
        self._make = make
        self._runs: dict[str, R] = {}
        self._tasks = Tasks()

    def __len__(self) -> int:
        return len(self._runs)

    def get(self, proposal: str) -> R | None:
        """The run of a proposal, while it has not ended."""
        return self._runs.get(proposal)

    def spawn(self, facts: TicketFacts, ticket: common_pb2.Ticket) -> R:
        """Begin the run of a proposal that has none."""
        run = self._runs[facts.proposal] = self._make(facts, ticket)
        self._tasks.spawn(self._live(run, facts.proposal))
        return run

    def recover(self, tickets: Iterable[bytes]) -> Callable[[], None]:
        """Read the tickets that the former host left; call what is returned in the event loop."""
        found = [(facts, t) for t in tickets if (facts := read_stored(t)) is not None]

        def resume() -> None:
            for facts, ticket in found:
                if facts.proposal not in self._runs:
                    self.spawn(facts, common_pb2.Ticket.FromString(ticket))

        return resume

    async def close(self) -> None:
        """End them all, wherever they are; what they have made durable is left to the next host."""
        await self._tasks.cancel()

    async def _live(self, run: R, proposal: str) -> None:
        try:
            await run.run()
        finally:
            del self._runs[proposal]
