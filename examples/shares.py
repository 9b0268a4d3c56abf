# SPDX-License-Identifier: Apache-2.0
"""The Wisconsin breast-cancer data (as scikit-learn ships it) over three hospitals that see
different kinds of patients.

    python examples/shares.py FOLDER        writes north.npy, south.npy, west.npy, and judging.npy

One row a patient: 30 measurements of a biopsy, then the diagnosis (1 benign, 0 malignant); float64.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

HOSPITALS = ("north", "south", "west")
Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shares:
    """Each hospital's rows to train on, and the rows that all of them keep aside for judging."""

    training: Mapping[str, Rows]
    judging: Rows


def load_shares() -> Shares:
    """The same split every time: by tumour size with some noise, a quarter of each share kept
    aside."""
    # Here, because it takes a second, and most who import this file want no data.
    from sklearn import datasets  # pyright: ignore[reportMissingTypeStubs]

    data: Any = cast("Any", datasets).load_breast_cancer()
    rows = np.hstack([data.data, data.target[:, None]], dtype=np.float64)
    random = np.random.default_rng(3)
    order = np.argsort(rows[:, 0] + random.normal(0, 1.5, len(rows)))
    training: dict[str, Rows] = {}
    judging: list[Rows] = []
    for hospital, share in zip(HOSPITALS, np.array_split(order, len(HOSPITALS)), strict=True):
        shuffled = random.permutation(share)
        kept = len(shuffled) // 4
        judging.append(rows[shuffled[:kept]])
        training[hospital] = rows[shuffled[kept:]]
    return Shares(training, np.concatenate(judging))


def accuracy(model: Mapping[str, Any], rows: Rows) -> float:
    """How often a model of examples/breast_cancer is right about rows; its scaling is part of
    it."""
    scaled = (rows[:, :-1] - model["mean"]) / model["scale"]
    score = np.hstack([scaled, np.ones((len(rows), 1))]) @ model["weights"]
    right: Rows = (score > 0) == rows[:, -1]
    return float(right.mean())


def main() -> None:
    folder = Path(sys.argv[1])
    shares = load_shares()
    for name, rows in [*shares.training.items(), ("judging", shares.judging)]:
        np.save(folder / f"{name}.npy", rows)
        print(f"{name}.npy: {len(rows)} patients")


if __name__ == "__main__":
    main()
