# SPDX-License-Identifier: Apache-2.0
"""What each clinic of docs/tutorial-federation.md runs at home: a linear model, on data that stay
there."""

import os

import numpy as np
from numpy.typing import NDArray

TRUTH = np.array([0.5, -0.2, 0.1], np.float32)
EXAMPLES, STEPS, RATE = 200, 50, 0.1

State = dict[str, NDArray[np.float32]]


def train(state: State, round: int) -> tuple[State, int]:
    """From a round's arrays to new ones of the same names, shapes and type, and the number of
    examples."""
    random = np.random.default_rng([int(os.environ["CLINIC"]), round])
    rows = random.normal(size=(EXAMPLES, len(TRUTH))).astype(np.float32)
    measured = rows @ TRUTH + np.float32(0.3)
    weights, bias = state["weights"], state["bias"]
    for _ in range(STEPS):
        error = rows @ weights + bias - measured
        weights -= np.float32(RATE / EXAMPLES) * (rows.T @ error)
        bias -= np.float32(RATE) * error.mean()
    return {"weights": weights, "bias": bias}, EXAMPLES
