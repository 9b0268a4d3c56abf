# SPDX-License-Identifier: Apache-2.0
"""Rounds of federations as load: three clients send an update to each round, and know what the
model has to be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placet.client import Keys
from placet.client.blocking import Federation, Round
from placet.governance.documents import Layout, Tensor
from tests.fault.asking import Asker, Asking, Gone
from tests.fault.council import CLIENTS
from tests.fault.machine import Machine
from tests.support import documents

ROUNDS = 8  # of a federation; then comes another one
LAYOUT = Layout((Tensor("w", (64, 64)),), "float32", 16384)
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Receipt:
    """An update that was acknowledged."""

    federation: str
    round: int
    client: str


class Rounds(Asker):
    """Three clients in one thread, who send one after the other and wait for the next round."""

    kind = "rounds"

    def __init__(self, asking: Asking, seed: str, machine: Machine, keys: dict[str, Keys]) -> None:
        super().__init__(asking, seed)
        self.machine, self.keys = machine, keys
        self.client = machine.connect(self.kind)
        self.receipts: list[Receipt] = []
        self.over: set[str] = set()
        self.released = 0
        self.now = ""  # the federation that runs

    def ask(self) -> None:
        federation = self._begin()
        joined = {name: self._join(federation, name) for name in CLIENTS}
        opened = {name: member.rounds() for name, member in joined.items()}
        model = np.zeros((64, 64), np.float32)
        for number in range(1, ROUNDS + 1):
            model = self._round(federation, number, opened, model)
            found = self._model(joined[CLIENTS[0]], number)
            if not np.allclose(found, model, atol=1e-6):
                self.asking.surprised(f"round {number} of {federation}: another model")
            model, self.released = found, self.released + 1
            if not self.asking.pause(self.dice.uniform(0.5, 2)):
                raise Gone
        self.over.add(federation)

    def _round(
        self, federation: str, number: int, opened: dict[str, Iterator[Round]], model: Vector
    ) -> Vector:
        """Every client's update to a round; the model that comes of them."""
        updates: list[Vector] = []
        for name in CLIENTS:
            round = self.asking.patiently(lambda name=name: next(opened[name]), what="round")  # type: ignore[misc]
            if round.number != number:
                self.asking.surprised(f"{federation} is at round {round.number}, not {number}")
            seed = self.dice.randrange(1 << 32)
            step = np.random.default_rng(seed).standard_normal((64, 64)).astype(np.float32)
            updates.append(step / np.float32(2 * np.linalg.norm(step)))
            state = {"w": model + updates[-1]}
            self.asking.patiently(lambda round=round, state=state: round.send(state), what="send")  # type: ignore[misc]
            self.receipts.append(Receipt(federation, number, name))
        return model + np.mean(updates, axis=0, dtype=np.float64).astype(np.float32)

    def _model(self, member: Federation, number: int) -> Vector:
        """The model of a round, once there is one."""
        for status in self.client.runs.watch(self.now, patience=120):
            if status.federation.model_round >= number:
                break
            if status.ended or len(status.federation.outcomes) >= number:
                self.asking.surprised(f"round {number} has no model: {status}")
                break
        got: dict[str, Any] = self.asking.patiently(
            lambda: member.receive(number).state, what="model"
        )
        return np.asarray(got["w"], np.float32)

    def _begin(self) -> str:
        machine, ask = self.machine, self.asking.patiently
        terms: Any = documents.federate(
            CLIENTS, layout=LAYOUT, rounds=ROUNDS, round_seconds=600, attempts=3,
            smallest_cohort=len(CLIENTS),
        )  # fmt: skip
        id = ask(lambda: machine.propose(terms, uses=ROUNDS), what="propose")
        for seat in ("ada", "ben"):
            ask(lambda seat=seat: machine.vote(id, seat), what="vote")  # type: ignore[misc]
        ask(lambda: self.client.runs.start(self.client.council.ticket(id)), what="start")
        self.now = id
        return id

    def _join(self, federation: str, name: str) -> Federation:
        keys = self.keys[name]
        return self.asking.patiently(
            lambda: self.client.federations.join(federation, keys, patience=120), what="join"
        )
