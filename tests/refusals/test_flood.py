# SPDX-License-Identifier: Apache-2.0
"""A seat that votes two thousand times on one proposal keeps nobody from voting on it, or from
having it run; and a council may bound how often one says yes, never how often one says no."""

from dataclasses import replace
from typing import Any

from placet.governance.documents import Limits, new_header
from placet.governance.envelope import sign
from placet.proto.v1 import governance_pb2

FLOOD = 2_000
SUM = """
def main(job):
    with job.output("out") as sink:
        sink.write(b"done")
"""


class Voter:
    """Votes by the wire alone, as a member's own program could."""

    def __init__(self, world: Any, proposal: str, seat: str) -> None:
        self.world = world
        self.key = world.keys[seat].signing
        self.draft = world.ballot(seat, proposal)

    def say(self, sequence: int, vote: str) -> None:
        header = new_header(self.draft.header.charter, self.draft.header.seen)
        expires = self.draft.expires if vote == "placet" else None
        said = replace(self.draft, header=header, sequence=sequence, vote=vote, expires=expires)
        request = governance_pb2.DocumentRequest(envelope=sign(said, self.key))
        self.world.stubs.governance.Vote(request, metadata=self.world.metadata)


def test_two_thousand_ballots_of_one_seat_stop_nobody(new_world: Any) -> None:
    world = new_world().start(founding=False)
    world.found(world.constitution(limits=Limits(30, 600, documents=10_000)))
    program = world.bundle(SUM).digest
    proposal = world.propose(world.job(program, {"data": world.data()}))
    ben, words = Voter(world, proposal, "ben"), ("placet", "abstain")
    for sequence in range(1, FLOOD + 1):
        ben.say(sequence, words[sequence % 2])
    # The client's default is the next number, and the newest word counts.
    world.vote(proposal, "ben")
    assert len(world.client.council.ballots(proposal)) == 1
    world.vote(proposal, "ada")
    ticket = world.client.council.ticket(proposal)
    assert len(ticket.ballots) == 2
    job = world.client.runs.start(ticket)
    assert world.client.runs.wait(job.id).state == "finished"
    report = world.client.log.audit()
    assert report.complete
    assert report.size > FLOOD


def test_a_council_bounds_what_a_principal_enters_and_takes_every_no(new_world: Any) -> None:
    world = new_world().start(founding=False)
    world.found(world.constitution(limits=Limits(30, 600, documents=3, documents_seconds=86_400)))
    program = world.bundle(SUM).digest
    proposal = world.propose(world.job(program, {"data": world.data()}))
    for _ in range(3):
        world.vote(proposal, "cleo")
    call = lambda: world.vote(proposal, "cleo")
    refusal = world.refused(call, "TOO_MANY_DOCUMENTS", "expected", claim="limits.documents")
    assert "a non placet are taken at once" in str(refusal)
    for _ in range(3):
        world.vote(proposal, "cleo", vote="non placet")
    world.client.council.stop(world.seats["cleo"], "veto", proposal)
    world.vote(proposal, "ada", "ben")
    ticket = world.client.council.ticket(proposal)
    world.refused(lambda: world.client.runs.start(ticket), "VETOED")
    assert world.client.log.audit().complete
