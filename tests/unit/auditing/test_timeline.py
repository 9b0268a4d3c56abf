# SPDX-License-Identifier: Apache-2.0
"""The log told line by line, from its entries and the proposals that they are about."""

import json

from placet.auditing.timeline import (
    Event,
    involving,
    subject_of,
    subjects_in,
    timeline,
)
from placet.auditing.told import LEFT_OUT, TOLD
from placet.governance.account import Times
from placet.governance.entries.table import KINDS
from tests.support.world import T0, World


def told(world: World, start: int = 0, *, withheld: bool = False) -> list[Event]:
    state, entries = world.ledger.state, [json.loads(one) for one in world.entries[start:]]
    digests = [] if withheld else subjects_in(state, entries)
    subjects = {digest: subject_of(world.ledger, digest) for digest in digests}
    return timeline(state, entries, subjects, start)


def test_who_did_what_to_which_data(ready: World) -> None:
    """From the founding to the withdrawal; boots, joins and renewals are left out."""
    ticket = ready.ticket()
    lease = ready.lease(ticket, ready.join())
    ready.renew(lease["lease"])
    ready.times = Times(T0 + 60, T0 + 60)
    ready.release(lease["lease"])
    (grant,), (proposal,) = ready.ledger.state.grants, ready.ledger.state.proposals
    ready.record(ready.stop("owner-b", "withdraw", grant), "owner-b")
    ready.record(ready.stop("chair-a", "pause", proposal), "chair-a")
    ready.record(ready.stop("chair-a", "revoke-seat", "second-a"), "chair-a")
    made = f"the proposal {proposal[7:19]} for the purpose research"
    plain = f"the object {ready.descriptor().digest[7:19]} of owner-b"
    data = f"{plain}, labels health"
    assert [event.sentence for event in told(ready)] == [
        "The council was founded.",
        f"owner-b granted the use of {plain} until 2027-02-14 08:00:00 UTC.",
        f"lab made {made}: the action job on {data}.",
        f"chair-a said placet to {made}.",
        f"data-b said placet to {made}.",
        f"ethics-c said placet to {made}.",
        f"A worker was given {data}, for attempt 1 of the job {lease['job']} of {made}.",
        f"The job {lease['job']} of {made} released its outputs.",
        f"owner-b withdrew the grant {grant[7:19]} for {plain}.",
        f"chair-a paused {made}.",
        "chair-a revoked the seat second-a.",
    ]
    assert [event.index for event in told(ready)][:3] == [0, 2, 4]
    assert {event.at for event in told(ready)} == {T0, T0 + 60}
    assert {event.purpose for event in told(ready) if event.proposal} == {"research"}
    assert [event.did for event in involving(told(ready), "owner-b")] == [
        "grant", "proposal", "ballot", "ballot", "ballot", "lease", "release", "stop", "stop",
    ]  # fmt: skip
    assert [event.did for event in told(ready, 8)] == [
        event.did for event in told(ready) if event.index >= 8
    ]


def test_the_log_says_who_got_which_data_without_any_document(ready: World) -> None:
    """A host that withholds the proposal hides its purpose, and not whose data was used."""
    ready.lease(ready.ticket(), ready.join())
    lease = told(ready, withheld=True)[-1]
    assert (lease.did, lease.purpose) == ("lease", "")
    assert [one.owner for one in lease.data] == ["owner-b"]
    made = next(event for event in told(ready, withheld=True) if event.did == "proposal")
    assert "which the host does not give" in made.sentence


def test_a_reason_to_close_is_no_sentence_of_ours(ready: World) -> None:
    lease = ready.lease(ready.ticket(), ready.join())
    ready.close(lease["lease"], "lost. All is well")
    assert told(ready)[-1].sentence.endswith('was closed: "lost. All is well".')


def test_every_kind_of_entry_is_told_or_left_out() -> None:
    assert TOLD.keys() | LEFT_OUT == KINDS.keys()
