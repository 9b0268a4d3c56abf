# SPDX-License-Identifier: Apache-2.0
"""Sealed questions to a served model as load."""

import time
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from placet.client import Keys, ServedModel
from placet.governance.documents import Card, Input, Rations, Roster
from tests.fault.asking import Asker, Asking
from tests.fault.council import CLIENTS, PLENTY
from tests.fault.machine import Machine
from tests.support import documents

WIDTH = 4
ROWS = 8
TRANCHE = 200


def twice() -> bytes:
    """A model: scores = 2 * x."""
    shape: list[str | int | None] = ["rows", WIDTH]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["scores"])],
        "twice",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class Questions(Asker):
    """A user who asks a few rows at a time."""

    kind = "questions"

    def __init__(self, asking: Asking, seed: str, machine: Machine, keys: dict[str, Keys]) -> None:
        super().__init__(asking, seed)
        self.machine, self.user = machine, keys[CLIENTS[0]]
        self.client = machine.connect(self.kind)
        self.tried = self.answered = 0  # rows
        self._model: ServedModel | None = None
        self.service = self._serve()

    def ask(self) -> None:
        if self._model is None:
            self._model = self.asking.patiently(
                lambda: self.client.services.open(self.service, user=self.user, patience=120),
                what="open",
            )
        rows = np.float32(self.dice.random()) * np.ones((self.dice.randint(1, ROWS), WIDTH), "f4")
        model = self._model

        def once() -> Any:
            self.tried += len(rows)
            return model.predict(rows)

        if not np.array_equal(self.asking.patiently(once, what="predict"), 2 * rows):
            self.asking.surprised("a question got another's answer")
        self.answered += len(rows)
        self.asking.pause(self.dice.uniform(0, 0.2))

    def _serve(self) -> str:
        machine, later = self.machine, int(time.time()) + 90 * 86400
        terms: Any = documents.serve(
            Input(machine.data(twice()).object.descriptor, "owner"),
            Roster("roster", CLIENTS),
            card=Card("Twice as much", ("health",), "", None, later),
            rations=Rations(user=PLENTY, total=3 * PLENTY, minute=100_000, tranche=TRANCHE),
            review=later,
        )
        service = machine.propose(terms, uses=PLENTY)
        machine.vote(service, "ada", "ben")
        self.client.runs.start(self.client.council.ticket(service), workers=1)
        return service
