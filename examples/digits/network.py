# SPDX-License-Identifier: Apache-2.0
"""A small network in NumPy: 64 pixels, 32 hidden units (ReLU), 10 digits (softmax), float32.

A state is a dict of arrays: w1 (64, 32), b1 (32,), w2 (32, 10), b2 (10,). Images are (n, 64) from 0
to 1, labels (n,) ints.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
State = dict[str, Array]
PIXELS, HIDDEN, DIGITS = 64, 32, 10


def new_state(seed: int = 0) -> State:
    """Where training begins: small random weights (He et al. 2015)."""
    random = np.random.default_rng(seed)
    return {
        "w1": _normal(random, (PIXELS, HIDDEN), np.sqrt(2 / PIXELS)),
        "b1": np.zeros(HIDDEN, np.float32),
        "w2": _normal(random, (HIDDEN, DIGITS), np.sqrt(2 / HIDDEN)),
        "b2": np.zeros(DIGITS, np.float32),
    }


def train(
    state: State, images: Array, labels: NDArray[Any], *, epochs: int, rate: float, seed: int
) -> State:
    """Stochastic gradient descent in batches of 32; a new state."""
    random = np.random.default_rng(seed)
    w1, b1, w2, b2 = (state[name].copy() for name in ("w1", "b1", "w2", "b2"))
    wanted = np.eye(DIGITS, dtype=np.float32)[labels]
    for _ in range(epochs):
        order = random.permutation(len(images))
        for start in range(0, len(images), 32):
            batch = order[start : start + 32]
            x = images[batch]
            hidden = np.maximum(x @ w1 + b1, 0)
            slope2 = (_softmax(hidden @ w2 + b2) - wanted[batch]) / np.float32(len(batch))
            slope1 = (slope2 @ w2.T) * (hidden > 0)
            w2 -= np.float32(rate) * (hidden.T @ slope2)
            b2 -= np.float32(rate) * slope2.sum(axis=0)
            w1 -= np.float32(rate) * (x.T @ slope1)
            b1 -= np.float32(rate) * slope1.sum(axis=0)
    return {"w1": w1, "b1": b1, "w2": w2, "b2": b2}


def accuracy(state: State, images: Array, labels: NDArray[Any]) -> float:
    """How often the network is right."""
    hidden: Array = np.maximum(images @ state["w1"] + state["b1"], 0)
    found = (hidden @ state["w2"] + state["b2"]).argmax(axis=1)
    return float((found == labels).mean())


def _softmax(scores: Array) -> Array:
    raised: Array = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Array = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _normal(random: np.random.Generator, shape: tuple[int, int], deviation: float) -> Array:
    return random.normal(0, deviation, shape).astype(np.float32)
