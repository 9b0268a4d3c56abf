# SPDX-License-Identifier: Apache-2.0
"""What owners are charged, added up anew from the entries and the terms of proposals."""

import math
from fractions import Fraction

from history import History, Json, inputs_of

# Squared Gaussian parameter, epsilon, delta, in 1e-9, 1e-9, 1e-15; None: without bound.
Cost = tuple[int, int, int] | None


def cost_of(terms: Json | None) -> Cost:
    """What a program's author declares; nothing declared has no bound."""
    if terms is None:
        return None
    epsilon, delta = Fraction(terms["epsilon"]), Fraction(terms["delta"])
    return 0, int(epsilon * 10**9), int(delta * 10**15)


def update_cost(terms: Json) -> Cost:
    """What a released round costs each client."""
    if terms["noise"] is None:
        return None
    clip = 2**26
    sigma = math.ceil(Fraction(terms["noise"]) * clip)
    return math.ceil(Fraction(10**9 * clip**2, sigma**2 - 100)), 0, 0


def charges_due(history: History, entry: Json) -> dict[str, Cost]:
    """What a lease, an open or a draw has to charge, by the proposal alone."""
    proposal = history.document(entry["proposal"])
    # A round's lease charges once more what its opening did: no bound twice is no bound.
    kinds = {"job": ("lease",), "federate": ("open-round", "lease"), "serve": ("draw",)}
    if entry["kind"] not in kinds[proposal["action"]]:
        return {}
    if entry["kind"] == "draw" and history.of("draw", proposal=entry["proposal"]):
        return {}
    terms = proposal["body"].get("privacy")
    return {given["owner"]: cost_of(terms) for given in inputs_of(proposal)}


def read(charge: object) -> Cost:
    """A cost as entries write it."""
    if charge == "unbounded":
        return None
    assert isinstance(charge, list)
    gaussian, epsilon, delta = charge  # pyright: ignore[reportUnknownVariableType]
    return int(gaussian), int(epsilon), int(delta)  # pyright: ignore[reportUnknownArgumentType]


def reserved(history: History, owner: str) -> dict[str, Cost]:
    """By lease or update: what may still be spent."""
    found = {
        lease["lease"]: read(lease["charges"][owner])
        for lease in history.of("lease")
        if owner in lease["charges"] and history.status(lease["lease"]) == "open"
    }
    for update in history.of("update", client=owner):
        newest, standing = history.round(update["proposal"])
        if update["round"] == newest and standing in ("open", "closed"):
            found[update["update"]] = read(update["charge"])
    return found


def spent(history: History, owner: str) -> list[Cost]:
    """Everything that cannot be given back any more."""
    leases = {entry["lease"]: entry for entry in history.of("lease")}
    entries = history.of("open-round", "draw") + [
        leases[entry["lease"]] for entry in history.of("release") if entry["receipt"]
    ]
    found = [read(entry["charges"][owner]) for entry in entries if owner in entry["charges"]]
    for update in history.of("update", client=owner):
        rounds = {"proposal": update["proposal"], "round": update["round"]}
        if any(entry["receipt"] for entry in history.of("release", **rounds)):
            found.append(read(update["charge"]))
    return found


def total(costs: list[Cost]) -> Cost:
    """Costs add."""
    sums = [0, 0, 0]
    for cost in costs:
        if cost is None:
            return None
        sums = [x + y for x, y in zip(sums, cost, strict=True)]
    return sums[0], sums[1], sums[2]


def is_within(cost: Cost, budget: Json) -> bool:
    """Whether a cost is within a budget, by floating point: close calls pass."""
    if cost is None:
        return False
    epsilon = float(budget["epsilon"]) - cost[1] * 1e-9
    delta = float(budget["delta"]) - cost[2] * 1e-15
    slack = 1e-9
    if epsilon < -slack or delta < -slack:
        return False
    if not cost[0]:
        return True
    mu = math.sqrt(cost[0] * 1e-9)
    tail = _phi(mu / 2 - epsilon / mu) - math.exp(epsilon) * _phi(-mu / 2 - epsilon / mu)
    return tail <= delta + slack


def _phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
