# SPDX-License-Identifier: Apache-2.0
"""The blocking form of federations; each method does what its namesake in `AsyncClient` or
`AsyncRound` says."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placet.client._sync_council import SyncCouncil
from placet.client.data.objects import Progress
from placet.client.federations.models import Model
from placet.client.federations.receipts import VerifiedUpdate
from placet.client.federations.rounds import AsyncFederation, AsyncRound, Told
from placet.client.federations.status import FederationStatus
from placet.client.federations.updates import Bound
from placet.client.federations.vectors import State
from placet.client.keys import Keys
from placet.client.portal import Portal
from placet.governance.documents import Federate
from placet.governance.evaluate import Ticket
from placet.governance.state import PrivacyState


class Round:
    """See `AsyncRound`."""

    def __init__(self, portal: Portal, core: AsyncRound) -> None:
        self._portal = portal
        self._core = core
        self.number = core.number
        self.closes = core.closes
        self.base = core.base

    @property
    def pending(self) -> bool:
        """See `AsyncRound.pending`."""
        return self._core.pending

    def model(self) -> State:
        """See `AsyncRound.model`."""
        return self._portal.run(self._core.model())

    def send(
        self,
        state: Mapping[str, NDArray[Any]],
        weight: int = 1,
        *,
        noise: float = 0.0,
        generator: np.random.Generator | None = None,
        progress: Progress | None = None,
    ) -> VerifiedUpdate:
        """See `AsyncRound.send`."""
        return self._portal.run(
            self._core.send(state, weight, noise=noise, generator=generator, progress=progress)
        )

    def resume(self, *, progress: Progress | None = None) -> VerifiedUpdate:
        """See `AsyncRound.resume`."""
        return self._portal.run(self._core.resume(progress=progress))


class Federation:
    """See `AsyncFederation`."""

    def __init__(self, portal: Portal, core: AsyncFederation) -> None:
        self._portal = portal
        self._core = core

    @property
    def id(self) -> str:
        """See `AsyncFederation.id`."""
        return self._core.id

    @property
    def terms(self) -> Federate:
        """See `AsyncFederation.terms`."""
        return self._core.terms

    def rounds(self, *, told: Told | None = None) -> Iterator[Round]:
        """See `AsyncFederation.rounds`."""
        core = self._core.rounds(told=told)
        return (Round(self._portal, each) for each in self._portal.iterate(core))

    def receive(self, round: int | None = None) -> Model:
        """See `AsyncFederation.receive`."""
        return self._portal.run(self._core.receive(round))

    def charged(self) -> PrivacyState:
        """See `AsyncFederation.charged`."""
        return self._portal.run(self._core.charged())


class SyncFederations(SyncCouncil):
    """Start, status, watch, model, and taking part."""

    def start_federation(self, ticket: Ticket) -> FederationStatus:
        """See `AsyncClient.start_federation`."""
        return self._portal.run(self._core.start_federation(ticket))

    def federation_status(self, id: str) -> FederationStatus:
        """See `AsyncClient.federation_status`."""
        return self._portal.run(self._core.federation_status(id))

    def watch_federation(self, id: str, *, patience: float = 60.0) -> Iterator[FederationStatus]:
        """See `AsyncClient.watch_federation`."""
        return self._portal.iterate(self._core.watch_federation(id, patience=patience))

    def federation(
        self,
        id: str,
        keys: Keys,
        *,
        bound: Bound | None = None,
        outbox: Path | None = None,
        patience: float = 60.0,
    ) -> Federation:
        """See `AsyncClient.federation`."""
        core = self._core.federation(id, keys, bound=bound, outbox=outbox, patience=patience)
        return Federation(self._portal, self._portal.run(core))

    def model(
        self, id: str, keys: Keys, round: int | None = None, *, progress: Progress | None = None
    ) -> Model:
        """See `AsyncClient.model`."""
        return self._portal.run(self._core.model(id, keys, round, progress=progress))
