# SPDX-License-Identifier: Apache-2.0
"""The authority admits what a principal enters as often as its constitution says, and every no."""

import json
from dataclasses import replace
from typing import Any

from placet.governance.documents import Limits
from placet.governance.envelope import parse_envelope
from placet.proto.v1 import common_pb2, enclaves_pb2
from tests.support.council import Council, Sealed, seal
from tests.unit.enclave.test_authority import joined, lease, refused

PROGRAM = "sha256:" + "ab" * 32


def council(documents: int) -> Council:
    """One that bounds its principals to so many documents a day."""
    made = Council()
    limits = Limits(10, 600, documents=documents, documents_seconds=86_400)
    made.constitution = replace(made.constitution, limits=limits)
    return made


def test_the_bound_holds_at_each_way_in_and_lets_every_no_through(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed: Sealed = seal(b"plain")
        await stage.provision(sealed)
        await stage.provision(seal(b"more"))
        assert await refused(stage.provision(seal(b"too much"))) == "TOO_MANY_DOCUMENTS"
        make: Any = lambda: stage.council.proposal(PROGRAM, {"data": sealed.descriptor})
        proposal = make()
        await stage.record(proposal)
        await stage.record(make())
        assert await refused(stage.record(make())) == "TOO_MANY_DOCUMENTS"

        def vote(word: str, sequence: int) -> Any:
            [ballot] = stage.council.ballots(proposal, ("s4",), word, sequence)
            return stage.record(ballot)

        await vote("placet", 1)
        await vote("placet", 2)
        size = len(stage.host.entries)
        assert await refused(vote("placet", 3)) == "TOO_MANY_DOCUMENTS"
        assert len(stage.host.entries) == size
        for sequence in (3, 4, 5):
            await vote("non placet", sequence)
        digest = parse_envelope(proposal).digest
        await stage.record(stage.council.stop("s4", "veto", digest))
        await stage.record(stage.council.stop("engineer", "cancel", digest))

    scene(story, council(2))


def test_a_ticket_whose_proposal_is_one_too_many_changes_nothing(scene: Any) -> None:
    async def story(stage: Any) -> None:
        sealed: Sealed = seal(b"plain")
        await stage.provision(sealed)
        make: Any = lambda: stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        await stage.record(make().proposal)
        size = len(stage.host.entries)
        ticket: common_pb2.Ticket = make()
        asked = stage.host.ask(enclaves_pb2.KIND_ADMIT, ticket)
        assert await refused(asked) == "TOO_MANY_DOCUMENTS"
        assert len(stage.host.entries) == size

    scene(story, council(1))


def test_a_lease_carries_the_ballots_that_stand(scene: Any) -> None:
    """Though the log, and the bundle, have others."""

    async def story(stage: Any) -> None:
        sealed: Sealed = seal(b"plain")
        await stage.provision(sealed)
        ticket: common_pb2.Ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
        await stage.record(ticket.proposal)

        def vote(sequence: int) -> Any:
            return stage.council.ballots(ticket.proposal, ("s3",), "placet", sequence)

        for sequence in range(1, 6):
            await stage.record(vote(sequence)[0])
        ticket.ballots.extend(vote(7) + vote(6) + vote(8))
        package = await lease(stage, ticket, await joined(stage))
        assert len(package.ticket.ballots) == 4
        kinds = [json.loads(entry)["kind"] for entry in stage.host.entries]
        assert kinds.count("ballot") == 5 + 3 + 1

    scene(story, council(100))
