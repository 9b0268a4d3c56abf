# SPDX-License-Identifier: Apache-2.0
"""A federation in the council's world, and what the tests of federations ask."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.auditing.audit import audit
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import (
    Federate,
    Layout,
    Party,
    Release,
    Rule,
    Tensor,
    Update,
    When,
)
from placet.governance.entries.kind import Entry
from placet.governance.envelope import digest_of, sign, verify_signed
from placet.governance.evaluate import Ticket
from placet.governance.jobs import round_job
from placet.governance.judgements.admission import admit
from placet.governance.judgements.federation import (
    judge_close_round,
    judge_update,
    judge_vain,
    next_job,
    open_entries,
)
from placet.governance.judgements.receipts import receipt_for
from placet.governance.judgements.releases import judge_release
from placet.governance.rules import Independence, Uses
from placet.refusals import Refusal
from placet.sealing import HPKEPrivateKey, padded_length
from tests.support import documents

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


class Federation:
    """A council's world with five clients of four organisations, and a federation that was voted
    for."""

    def __init__(self, world: Any, **changes: Any) -> None:
        self.world = world
        health = world.make_constitution().rules[0]
        rules = [
            Rule(
                "federate", "Training together", When(("federate",), "any", "any"), health.demands
            ),
            *world.make_constitution().rules,
        ]
        world.constitution = world.make_constitution(
            rules=tuple(world.varied(r, Uses(1000), without=(Independence,)) for r in rules),
            parties=(
                *world.make_constitution().parties,
                *(Party(c, "org-" + c[-1], (world.key(c).public,)) for c in CLIENTS),
            ),
        )
        world.found()
        world.boot()
        self.terms = _terms(**changes)
        self.proposal = world.proposal(action="federate", uses=self.terms.rounds, body=self.terms)
        self.ticket: Ticket = world.ticket(self.proposal)
        self.digest = digest_of(encode(self.proposal))
        self._workers = 0

    @property
    def ledger(self) -> Any:
        return self.world.ledger

    @property
    def state(self) -> Any:
        return self.ledger.state.federation(self.digest)

    def later(self, seconds: int) -> None:
        now = self.world.times.at_most + seconds
        self.world.times = Times(now, now)

    def open(self) -> list[Any]:
        """Open the next round, as an authority does."""
        proposal = self.ledger.open_proposal(self.ticket.proposal)
        job = next_job(self.ledger, proposal)
        admission = admit(self.ledger, self.ticket, job, self.world.times)
        self.world.enter(admission)
        entries = open_entries(self.ledger, admission, ROUND_KEY, self.world.times)
        return [self.world.add(entry) for entry in entries]

    def update(self, client: str, **changes: Any) -> Update:
        fields: dict[str, Any] = {
            "header": self.world.header(),
            "federation": self.digest,
            "round": self.state.current.number,
            "client": client,
            "layout": LAYOUT.digest,
            "object": self.world.nonce(),
            "commitment": "ab" * 32,
            "sealed": digest_of(client.encode()),
            "epsilon": "any",
            "delta": "any",
        }
        return Update(**{**fields, **changes})

    def send(self, client: str, signer: str = "", **changes: Any) -> Any:
        envelope = self.world.signed(self.update(client, **changes), signer or client)
        signed, entry = judge_update(self.ledger, envelope, self.world.times)
        assert signed.digest == entry["update"]
        return self.world.add(entry, envelope)

    def close(self) -> Any:
        number = self.state.current.number
        return self.world.add(judge_close_round(self.ledger, self.digest, number, self.world.times))

    def settle(self) -> Any:
        """What an authority does after every request: end the newest round if all is in vain."""
        entry = judge_vain(self.ledger, self.digest, self.world.times)
        return entry and self.world.add(entry)

    def lease(self) -> Any:
        self._workers += 1
        worker = self.world.join(f"worker {self._workers}", self.terms.launch_digest)
        job = round_job(self.digest, self.state.current.number)
        return self.world.lease(self.ticket, worker, job)

    def aggregate(
        self,
        lease: Entry,
        left: dict[str, str] | None = None,
        *,
        released: bool = True,
        **changes: Any,
    ) -> Any:
        world = self.world
        output = world.output(lease["lease"], "model", padded_length(15 * 4))
        outputs = {"model": output} if released else {}
        header = world.answer_header(lease["lease"])
        release = Release(header, lease["lease"], lease["worker"], outputs, left or {})
        release = replace(release, **changes)
        key = world.enclave_key(lease["worker"])
        signed = verify_signed(sign(release, key), Release, lambda _: [key.public])
        documents, digest = [signed.envelope], ""
        if released:
            said = receipt_for(self.ledger, signed, "test", world.header(), world.times)
            documents.append(sign(said, world.log_key))
            digest = digest_of(encode(said))
        entry = judge_release(self.ledger, signed, digest, world.appraise, world.times)
        return world.add(entry, *documents)

    def round(self, *clients: str, left: dict[str, str] | None = None) -> Any:
        """A whole round of these clients."""
        self.open()
        for client in clients:
            self.send(client)
        self.later(1000)
        self.close()
        return self.aggregate(self.lease(), left)


def _terms(**changes: Any) -> Federate:
    fields: dict[str, Any] = {
        "layout": LAYOUT,
        "clip": "1.5",
        "largest_weight": 1000,
        "deadline_seconds": 600,
    }
    return documents.federate(**{"roster": CLIENTS, **fields, **changes})


@pytest.fixture
def federation(world: Any) -> Federation:
    return Federation(world)


def _refused(reason: str, call: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    assert caught.value.reason == reason
    return caught.value


def _audited(federation: Federation) -> None:
    world = federation.world
    report = audit(world.entries, world, world.name, world.checkpoint(), attest=world.attest)
    assert report.complete
    assert report.size == len(world.entries)
    assert report.privacy == world.ledger.state.privacy


@pytest.fixture(scope="session")
def terms() -> Any:
    return _terms


@pytest.fixture(scope="session")
def refused() -> Any:
    return _refused


@pytest.fixture(scope="session")
def audited() -> Any:
    return _audited


@pytest.fixture(scope="session")
def make_federation() -> Any:
    return Federation
