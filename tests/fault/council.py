# SPDX-License-Identifier: Apache-2.0
"""The council of a run: the tests' own, with three clients who train together and ask a served
model."""

from dataclasses import replace

from placet.builds.measurement import measurements
from placet.client import Keys
from placet.governance.documents import (
    Constitution,
    Evidence,
    Limits,
    Organisation,
    Party,
    Rule,
    When,
)
from placet.governance.rules import Uses
from tests.fault.machine import Machine

CLIENTS = ("ana", "bea", "cem")
LEASE_SECONDS = 5
PLENTY = 1_000_000


def found(machine: Machine) -> dict[str, Keys]:
    """Found the council on a machine that was started without; the clients' keys."""
    clients = {name: Keys.generate(name) for name in CLIENTS}
    machine.keys.update(clients)
    machine.found(constitution(machine, clients))
    return clients


def constitution(machine: Machine, clients: dict[str, Keys]) -> Constitution:
    """Leases are short, so that a pause outlasts them; uses are enough for any run."""
    base = machine.constitution()
    kept = (demand for demand in base.rules[0].demands if not isinstance(demand, Uses))
    demands = (*kept, Uses(PLENTY))
    together = [
        Rule(action, action.title(), When((action,), "any", "any"), demands)
        for action in ("federate", "serve")
    ]
    parties = (Party(n, n, (k.public.signing,)) for n, k in clients.items())
    workers = {**base.evidence.worker, "measurements": list(measurements("worker"))}
    return replace(
        base,
        organisations=(*base.organisations, *(Organisation(n, n) for n in clients)),
        parties=(*base.parties, *parties),
        rules=(*together, *(replace(rule, demands=demands) for rule in base.rules)),
        evidence=Evidence(base.evidence.authority, workers),
        limits=Limits(lease_seconds=LEASE_SECONDS, join_seconds=3600),
    )
