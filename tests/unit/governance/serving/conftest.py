# SPDX-License-Identifier: Apache-2.0
"""A service in the council's world: a model that was granted, and a proposal to serve it that was
voted for."""

from collections.abc import Callable
from typing import Any

import pytest

from placet.auditing.audit import AuditReport, audit
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import (
    Card,
    Declared,
    Input,
    Rations,
    Roster,
    Rule,
    Serve,
    When,
)
from placet.governance.documents.serving import ONNX_INFERENCE
from placet.governance.entries.kind import Entry
from placet.governance.envelope import digest_of
from placet.governance.evaluate import Ticket
from placet.governance.judgements.admission import admit
from placet.governance.judgements.draws import judge_draw
from placet.governance.rules import Independence, Uses
from placet.refusals import Refusal
from tests.support import documents

DAY = 86400


class Service:
    """`lease` starts a worker, `draw` is what it asks the authority for."""

    def __init__(self, world: Any, **changes: Any) -> None:
        self.world = world
        health = world.make_constitution().rules[0]
        serve = Rule("serve", "Serving", When(("serve",), "any", "any"), health.demands)
        rules = (serve, *world.make_constitution().rules)
        world.constitution = world.make_constitution(
            rules=tuple(world.varied(r, Uses(1000), without=(Independence,)) for r in rules)
        )
        world.found()
        world.boot()
        self.terms = self.make_terms(**changes)
        self.proposal = self.propose(self.terms)
        self.ticket: Ticket = world.ticket(self.proposal)
        self.digest = digest_of(encode(self.proposal))
        self._workers = 0

    def make_terms(self, **changes: Any) -> Serve:
        fields: dict[str, Any] = {
            "model": Input(self.world.descriptor("net", ("health",), 5000, "model"), "owner-b"),
            "card": Card("A small net", ("public",), "", None, self.now + 90 * DAY),
            "users": Roster("roster", ("lab", "chair-a")),
            "rations": Rations(user=100, total=150, minute=60, tranche=40),
            "privacy": Declared("1", "1e-7"),
            "review": self.now + DAY,
            "deadline_seconds": 10 * DAY,
        }
        return documents.serve(**{**fields, **changes})

    def propose(self, terms: Serve, **changes: Any) -> Any:
        fields: dict[str, Any] = {"action": "serve", "uses": 3, "not_after": self.now + 2 * DAY}
        return self.world.proposal(body=terms, **{**fields, **changes})

    @property
    def now(self) -> int:
        return int(self.world.times.at_most)

    def later(self, seconds: int) -> None:
        self.world.times = Times(self.now + seconds, self.now + seconds)

    def grant(self, **changes: Any) -> Any:
        fields: dict[str, Any] = {"object": self.terms.model.object, "programs": (ONNX_INFERENCE,)}
        fields |= {"parameters": "any", "recipients": "any"}
        return self.world.give(**{**fields, **changes})

    def lease(self, ticket: Ticket | None = None, terms: Serve | None = None) -> str:
        self._workers += 1
        name = f"{self._workers}"
        worker = self.world.join("worker " + name, (terms or self.terms).launch_digest)
        entry: Entry = self.world.lease(ticket or self.ticket, worker, "serving-" + name)
        return str(entry["lease"])

    def draw(self, lease: str, user: str = "lab", rows: int = 40) -> int:
        entry = judge_draw(self.world.ledger, lease, user, rows, self.world.times)
        self.world.add(entry)
        return int(entry["rows"])

    def audited(self) -> AuditReport:
        world = self.world
        report: AuditReport = audit(
            world.entries, world, world.name, world.checkpoint(), attest=world.attest
        )
        assert report.complete
        return report

    def refused(self, reason: str, call: Callable[[], object]) -> Refusal:
        with pytest.raises(Refusal) as refusal:
            call()
        assert refusal.value.reason == reason
        return refusal.value

    def admit(self, ticket: Ticket) -> Any:
        return admit(self.world.ledger, ticket, "serving-1", self.world.times)


@pytest.fixture
def make_service() -> Callable[..., Service]:
    """Makes one in a world of one's own; nothing is granted yet."""
    return Service


@pytest.fixture
def service(world: Any) -> Service:
    """A service that may be started."""
    found = Service(world)
    found.grant()
    return found
