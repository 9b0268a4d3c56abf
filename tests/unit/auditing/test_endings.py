# SPDX-License-Identifier: Apache-2.0
"""What an amendment would end is told before the vote, as it is judged after."""

from dataclasses import replace
from typing import Any

from placet.auditing.foresight.endings import endings
from placet.governance.codec import encode
from placet.governance.envelope import digest_of
from placet.governance.judgements.standing import check_in_force
from placet.refusals import OtherConstitution

T0 = 1_800_000_000


def told(world: Any, **changes: Any) -> list[tuple[str, str]]:
    successor = replace(world.constitution, **changes)
    return [(one.kind, one.digest) for one in endings(world.ledger, successor, world.times)]


def moved(world: Any, id: str) -> dict[str, Any]:
    listed = world.constitution.parties
    return {"parties": tuple(replace(p, organisation="org-a") if p.id == id else p for p in listed)}


def test_proposals_and_grants_that_rest_on_a_change_are_named(ready: Any) -> None:
    made = [ready.proposal(uses=1), ready.proposal(uses=1), ready.proposal(uses=1)]
    for proposal in made:
        ready.record(proposal, "lab")
    stopped, _, open_ = (digest_of(encode(proposal)) for proposal in made)
    ready.record(ready.stop("chair-a", "pause", stopped), "chair-a")
    ready.lease(ready.ticket(made[1]), ready.join())
    (grant,) = ready.ledger.state.grants
    assert told(ready, name="Renamed") == []
    assert told(ready, **moved(ready, "lab")) == [("proposal", open_)]
    assert told(ready, **moved(ready, "owner-b")) == [("proposal", open_), ("grant", grant)]
    (first, _) = endings(
        ready.ledger, replace(ready.constitution, **moved(ready, "owner-b")), ready.times
    )
    assert first.sentence.endswith(f"{open_} of lab: it changes who owner-b is.")
    ready.amend(**moved(ready, "owner-b"))
    try:
        check_in_force(ready.ledger, ready.ledger.proposal(open_))
    except OtherConstitution as refused:
        assert "who owner-b is" in str(refused)
    # It has ended, and ends no second time.
    assert told(ready, **moved(ready, "lab")) == []
