# SPDX-License-Identifier: Apache-2.0
"""A service on a real host process: small models made here, sealed, granted, voted for, and asked by several users."""

import contextlib
import os
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from placet.attestation import measurements
from placet.client import Client, Keys, Model
from placet.governance.documents import (
    Card,
    Evidence,
    Input,
    Organisation,
    Party,
    Rations,
    Raw,
    Roster,
    Rule,
    Serve,
    When,
)

Rows = NDArray[np.float32]
USERS = ("uma", "vic", "wim")
WIDTH = 4


def linear(factor: float = 2.0) -> bytes:
    """scores = factor * x, of rows of four numbers."""
    rows: list[str | int | None] = ["rows", WIDTH]
    node = helper.make_node("Mul", ["x", "factor"], ["scores"])
    graph = helper.make_graph(
        [node],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, rows)],
        [helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class Services:
    """A `World` whose constitution knows three users, and workers that serve."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.users = {name: Keys.generate(name) for name in USERS}
        world.keys.update(self.users)
        world.start(founding=False)
        world.found(self.constitution())

    def constitution(self) -> Any:
        base = self.world.constitution()
        demand = base.rules[0].demand
        workers = {**base.evidence.worker, "measurements": list(measurements("worker"))}
        return replace(
            base,
            organisations=(*base.organisations, *(Organisation(n, n) for n in USERS)),
            parties=(
                *base.parties,
                *(Party(n, n, (k.public.signing,)) for n, k in self.users.items()),
            ),
            rules=(Rule("serve", "Serving", When(("serve",), "any", "any"), demand), *base.rules),
            evidence=Evidence(base.evidence.authority, workers),
        )

    def terms(self, model: bytes = b"", **changed: Any) -> Serve:
        """A service of the linear model for all three users, raw, with plenty of rations."""
        data = self.world.data(model or linear())
        later = int(time.time()) + 90 * 86400
        fields: dict[str, Any] = {
            "model": Input(data.object.descriptor, "owner"),
            "card": Card("Twice as much", ("health",), "", None, later),
            "users": Roster("roster", USERS),
            "rations": Rations(user=100_000, total=300_000, minute=100_000, tranche=10_000),
            "answers": {"scores": Raw("raw")},
            "not_finite": "refuse",
            "largest_request": 64,
            "batch": "shared",
            "batch_rows": 64,
            "privacy": None,
            "review": later,
            "deadline_seconds": 3600,
        }
        return Serve(**{**fields, **changed})

    def propose(self, terms: Serve, **changed: int) -> str:
        """A proposal that was voted for; its digest."""
        proposal: str = self.world.propose(terms, uses=changed.pop("uses", 50), **changed)
        self.world.vote(proposal, "ada", "ben")
        return proposal

    def start(self, proposal: str, workers: int = 1) -> Any:
        """Serve, and wait until as many workers are ready as were asked for."""
        client = self.world.client
        client.serve(client.proposal(proposal).ticket, workers)
        for status in client.watch_service(proposal):
            if status.ended or status.ready >= workers:
                return status
        raise AssertionError(client.service_status(proposal))

    def serve(self, model: bytes = b"", *, workers: int = 1, **changed: Any) -> str:
        """A service that is ready; its id."""
        proposal = self.propose(self.terms(model, **changed))
        status = self.start(proposal, workers)
        assert status.ready == workers, status
        return proposal

    @contextlib.contextmanager
    def asking(self, service: str, user: str = "uma") -> Generator[Model]:
        """A user's model, over a connection of its own."""
        with (
            Client.connect(self.world.address, self.world.pin, memory=self.world.memory) as client,
            Model(client, service, user=self.users[user]) as model,
        ):
            yield model

    def entries(self, service: str, kind: str) -> list[dict[str, Any]]:
        """The service's entries of a kind."""
        found = self.world.entries()
        return [e for e in found if e["kind"] == kind and e.get("proposal") == service]


def rows(number: int, seed: int = 0) -> Rows:
    """Some rows."""
    return np.random.default_rng(seed).standard_normal((number, WIDTH), np.float32)


@pytest.fixture(scope="module")
def services(new_world: Callable[..., Any]) -> Services:
    """One host with its council for a module."""
    return Services(new_world(max_workers=3))


@pytest.fixture
def make_rows() -> Callable[..., Rows]:
    return rows


@pytest.fixture
def canary() -> str:
    """Something that is in nobody's log by chance."""
    return os.urandom(8).hex()
