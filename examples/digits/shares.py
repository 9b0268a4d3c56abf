# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits (as scikit-learn ships them) over ten clients, each of which mostly sees some
of the digits.

    python examples/digits/shares.py FOLDER      writes CLIENT.npz for each client, and judging.npz

Each file holds `images`, (n, 64) float32 from 0 to 1, and `labels`, (n,).
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets  # pyright: ignore[reportMissingTypeStubs]

SKEW = 0.5  # of the Dirichlet distribution over clients, for each digit: small is uneven
FEWEST = 40


@dataclass(frozen=True, slots=True)
class Share:
    """Some images with what they show."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def load_shares(clients: Sequence[str]) -> tuple[Mapping[str, Share], Share]:
    """Each client's images, and a fifth of all that is kept for judging. The same split every
    time."""
    data: Any = cast("Any", datasets).load_digits()
    images, labels = (data.data / 16).astype(np.float32), data.target.astype(np.int64)
    random = np.random.default_rng(11)
    order = random.permutation(len(images))
    kept, rest = order[: len(order) // 5], order[len(order) // 5 :]
    while True:
        owner = np.empty(len(rest), np.int64)
        for digit in range(10):
            of_digit = np.flatnonzero(labels[rest] == digit)
            parts = random.dirichlet([SKEW] * len(clients))
            owner[of_digit] = random.choice(len(clients), len(of_digit), p=parts)
        if np.bincount(owner, minlength=len(clients)).min() >= FEWEST:
            break
    shares = {
        client: Share(images[rest[owner == n]], labels[rest[owner == n]])
        for n, client in enumerate(clients)
    }
    return shares, Share(images[kept], labels[kept])


def main() -> None:
    folder = Path(sys.argv[1])
    shares, judging = load_shares([f"client-{n}" for n in range(1, 11)])
    for name, share in [*shares.items(), ("judging", judging)]:
        np.savez(folder / f"{name}.npz", images=share.images, labels=share.labels)
        print(f"{name}.npz: {len(share.labels)} images of {sorted(set(share.labels.tolist()))}")


if __name__ == "__main__":
    main()
