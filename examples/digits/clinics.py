# SPDX-License-Identifier: Apache-2.0
"""The cast of the federation's demo: five organisations with two clients each, and a university
that proposes."""

import os
import time
from pathlib import Path

from hospitals import YEAR, Members

from placet.client import Client, Keys, SealedObject
from placet.client.federations import flatten, layout_of
from placet.governance.documents import (
    Constitution,
    Evidence,
    Federate,
    Input,
    Limits,
    Organisation,
    Party,
    Rule,
    Seat,
    When,
)
from placet.governance.rules import Approvals, Independence, Lifetime, Organisations, Uses

ORGANISATIONS = ("north", "east", "south", "west", "centre")
CLIENTS = tuple(f"{name}-{number}" for name in ORGANISATIONS for number in (1, 2))
VOTING = ("north", "east", "south")


class Clinics(Members):
    """Five seats; ten parties that train; one that asks, and owns the network they begin with."""

    def __init__(self, folder: Path, *, rounds: int) -> None:
        super().__init__(folder, ORGANISATIONS, uses=rounds)
        self.clients = {name: Keys.generate(name) for name in CLIENTS}
        for name, keys in self.clients.items():
            self.keep(name, keys)

    def constitution(self) -> Constitution:
        """Three of the five organisations decide."""
        now = int(time.time())
        demands = (
            Approvals(3),
            Organisations(3),
            Independence("submitter"),
            Lifetime(7 * 86400),
            Uses(self.uses),
        )
        clients = (
            Party(keys.id, keys.id.rpartition("-")[0], (keys.public.signing,))
            for keys in self.clients.values()
        )
        return Constitution(
            nonce=os.urandom(16).hex(),
            version=1,
            predecessor=None,
            name="Five clinics",
            organisations=(
                *(Organisation(name, f"Clinic {name.title()}") for name in ORGANISATIONS),
                Organisation("university", "University"),
            ),
            seats=tuple(
                Seat(name, name, "board", (keys.public.signing,), now - 60, now + YEAR)
                for name, keys in self.seats.items()
            ),
            parties=(*clients, Party("analyst", "university", (self.analyst.public.signing,))),
            labels=("handwriting",),
            rules=(
                Rule(
                    "training-together",
                    "Training together on handwriting",
                    When(("federate",), ("research",), ("handwriting",)),
                    demands,
                ),
            ),
            evidence=Evidence(authority=self.wanted("authority"), worker=self.wanted("worker")),
            limits=Limits(lease_seconds=30, join_seconds=600),
            witnesses="none",
            recovery="none",
        )

    def give_network(self, client: Client, state: dict[str, object]) -> SealedObject:
        """Seal the network that training begins with, and grant its use."""
        flat = flatten(state, layout_of(state)).astype("<f4")  # type: ignore[arg-type]
        return self.give_model(client, "network", flat.tobytes(), ())

    def begin(self, client: Client, terms: Federate, reason: str) -> str:
        """Propose a federation, let three seats vote for it, and start it; its id."""
        now = int(time.time())
        proposal = client.council.propose(
            self.analyst,
            terms,
            purpose="research",
            reason=reason,
            not_before=now - 60,
            not_after=now + 86400,
            uses=terms.rounds,
        ).digest
        self.vote(client, proposal, *VOTING)
        return client.runs.start(client.council.ticket(proposal)).id


def initial(network: SealedObject) -> Input:
    """The network as what a federation begins with."""
    return Input(network.descriptor, "analyst")
