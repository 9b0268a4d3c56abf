# SPDX-License-Identifier: Apache-2.0
"""Votes, stops, tickets and grants that do not let a job through, on a real host."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.client import GrantTerms
from placet.governance.codec import encode, to_plain
from placet.governance.documents import Between, Exactly, Input, Job, Output, Proposal, Stop
from placet.governance.envelope import digest_of, parse_envelope, payload_type, sign, sign_payload
from placet.governance.evaluate import Ticket
from placet.proto.v1 import common_pb2, governance_pb2, runs_pb2

OTHER = "sha256:" + "cd" * 32


class Scene:
    """A granted object, a program, and a proposal that the council has approved."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.data = world.data()
        self.program = world.bundle(world.copy).digest
        self.job: Job = world.job(self.program, {"data": self.data})
        self.approved = world.ticket(self.job, uses=5)
        self.proposal = parse_envelope(self.approved.proposal).digest

    def ballot(self, seat: str = "ada", signer: str = "", **changed: Any) -> bytes:
        """A signed ballot for the approved proposal."""
        ballot = self.world.ballot(seat, **{"proposal": self.proposal, "sequence": 2, **changed})
        return sign(ballot, self.world.keys[signer or seat].signing)

    def vote(self, envelope: bytes) -> Callable[[], Any]:
        request = governance_pb2.DocumentRequest(envelope=envelope)
        return lambda: self.world.stubs.governance.Vote(request, metadata=self.world.metadata)

    def submit(self, ticket: Ticket) -> Callable[[], Any]:
        return lambda: self.world.client.runs.start(ticket)


@pytest.fixture(scope="module")
def scene(world: Any) -> Scene:
    return Scene(world)


# A ballot that the log does not take in, and that spoils the bundle it comes in.
BALLOTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "of an unknown seat": ({"seat": "nobody", "signer": "ada"}, "SEAT_UNKNOWN", "SEAT_UNKNOWN"),
    "of a party without a vote": ({"seat": "owner"}, "SEAT_UNKNOWN", "SEAT_UNKNOWN"),
    "of a seat whose term is over": ({"seat": "former"}, "SEAT_EXPIRED", ""),
    "signed by another seat": ({"signer": "ben"}, "SIGNATURE_INVALID", "SIGNATURE_INVALID"),
    "for another constitution": (
        {"constitution": OTHER},
        "OTHER_CONSTITUTION",
        "OTHER_CONSTITUTION",
    ),
    "for a proposal that is not there": (
        {"proposal": OTHER},
        "DOCUMENT_NOT_FOUND",
        "DOCUMENT_MALFORMED",
    ),
    "that has expired": ({"expires": int(time.time()) - 10}, "BALLOT_STALE", ""),
    "older than the seat's last": ({"sequence": 0}, "DOCUMENT_MALFORMED", "DOCUMENT_MALFORMED"),
}


@pytest.mark.parametrize("case", BALLOTS)
def test_a_ballot_that_does_not_count(scene: Scene, case: str) -> None:
    changed, alone, _ = BALLOTS[case]
    if case == "older than the seat's last":
        ballot = scene.world.ballot("ada", scene.proposal)
        ballot = replace(ballot, sequence=1)
        scene.world.vote(scene.proposal, "ada")  # sequence 2
        envelope = sign(ballot, scene.world.seats["ada"].signing)
        alone = "BALLOT_STALE"
    else:
        envelope = scene.ballot(**changed)
    details = ("claim",) if alone == "DOCUMENT_NOT_FOUND" else ("claim", "expected", "actual")
    scene.world.refused(scene.vote(envelope), alone, *details)


@pytest.mark.parametrize("case", [case for case in BALLOTS if BALLOTS[case][2]])
def test_a_bundle_with_such_a_ballot_is_refused_whole(scene: Scene, case: str) -> None:
    changed, _, inside = BALLOTS[case]
    if case == "older than the seat's last":
        envelope = scene.ballot()[:-2]
    else:
        envelope = scene.ballot(**changed)
    ticket = Ticket(scene.approved.proposal, (*scene.approved.ballots, envelope))
    scene.world.refused(scene.submit(ticket), inside, "claim", "expected", "actual")


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("no ballot", "0"),
        ("one ballot", "1"),
        ("one ballot twice", "1"),
        ("a ballot of a former seat", "1"),
        ("an expired ballot", "1"),
        ("an abstention", "1"),
    ],
)
def test_too_few_votes(scene: Scene, what: str, found: str) -> None:
    world = scene.world
    proposal = world.propose(scene.job)
    envelope = world.client.council.ticket(proposal).proposal
    ada = sign(world.ballot("ada", proposal), world.seats["ada"].signing)
    cases: dict[str, dict[str, Any]] = {
        "a ballot of a former seat": {"seat": "former"},
        "an expired ballot": {"seat": "ben", "expires": int(time.time()) - 10},
        "an abstention": {"seat": "ben", "vote": "abstain"},
    }
    other = cases.get(what, {})
    bundle: tuple[bytes, ...] | None = {
        "no ballot": (),
        "one ballot": (ada,),
        "one ballot twice": (ada, ada),
    }.get(what)
    if bundle is None:
        bundle = (ada, scene.ballot(**other, proposal=proposal))
    call = scene.submit(Ticket(envelope, bundle))
    world.refused(call, "RULE_NOT_MET", "remedy", claim="approvals", actual=found, rule="research")


def test_a_proposal_under_another_constitution(scene: Scene) -> None:
    world = scene.world
    draft = world.draft(scene.job, constitution=OTHER)
    envelope = sign(draft, world.analyst.signing)
    request = governance_pb2.DocumentRequest(envelope=envelope)
    expected = {"expected": world.client.council.verify().newest.digest, "actual": OTHER}
    propose = lambda: world.stubs.governance.Propose(request, metadata=world.metadata)
    world.refused(propose, "OTHER_CONSTITUTION", **expected)
    world.refused(scene.submit(Ticket(envelope, ())), "OTHER_CONSTITUTION", **expected)


@pytest.mark.parametrize(
    ("start", "end", "reason", "claim"),
    [
        (3600, 7200, "TICKET_NOT_YET_VALID", "not_before"),
        (-7200, -3600, "TICKET_EXPIRED", "not_after"),
    ],
)
def test_a_ticket_outside_its_window(
    scene: Scene, start: int, end: int, reason: str, claim: str
) -> None:
    now = int(time.time())
    ticket = scene.world.ticket(scene.job, not_before=now + start, not_after=now + end)
    bound = str(now + (start if claim == "not_before" else end))
    refusal = scene.world.refused(scene.submit(ticket), reason, "actual", claim=claim)
    assert bound in refusal.details["expected"]


def test_a_ticket_used_once_too_often(scene: Scene) -> None:
    world = scene.world
    ticket = world.ticket(scene.job, uses=2)
    for _ in range(2):
        assert world.client.runs.wait(world.client.runs.start(ticket).id).state == "finished"
    world.vote(parse_envelope(ticket.proposal).digest, "cleo")
    more = world.client.council.ticket(parse_envelope(ticket.proposal).digest)
    for again in (ticket, more):  # other ballots are the same ticket
        expected = {"claim": "uses", "expected": "at most 2", "actual": "3"}
        world.refused(scene.submit(again), "TICKET_USED_UP", **expected)


def test_a_use_that_was_queued_first_is_the_last(scene: Scene) -> None:
    """Admission changes nothing, so several may be let in; the lease is what takes the use."""
    world = scene.world
    program = world.bundle(world.copy + "# no worker is warm for it\n").digest
    ticket = world.ticket(world.job(program, {"data": scene.data}), uses=1)
    jobs = [world.client.runs.start(ticket) for _ in range(2)]
    ended = sorted((world.client.runs.wait(job.id) for job in jobs), key=lambda job: job.state)
    assert [job.state for job in ended] == ["failed", "finished"]
    world.check_refusal(ended[0].refusal, "TICKET_USED_UP", "claim", "expected", "actual")
    assert world.entries_of(ended[0].id) == []
    assert world.entries_of(ended[1].id) == ["lease", "release"]


@pytest.mark.parametrize("action", ["pause", "veto", "cancel", "revoke-program"])
def test_a_ticket_that_was_stopped(scene: Scene, action: Any) -> None:
    world = scene.world
    bundle = world.bundle(world.copy + f"# {action}\n")
    ticket = world.ticket(world.job(bundle.digest, {"data": scene.data}))
    target = bundle.digest if "program" in action else parse_envelope(ticket.proposal).digest
    world.client.council.stop(world.seats["cleo"], action, target)
    reason = "VETOED" if action == "veto" else "STOPPED"
    world.refused(scene.submit(ticket), reason, "claim", "actual")


STOPS: dict[str, tuple[dict[str, str], str]] = {
    "by nobody known": ({"by": "nobody"}, "SIGNER_UNKNOWN"),
    "a veto without the right": ({"action": "veto"}, "NOT_PERMITTED"),
    "a pause by a party": ({"by": "owner"}, "NOT_PERMITTED"),
    "of no proposal": ({"target": OTHER}, "DOCUMENT_NOT_FOUND"),
    "of no grant": ({"by": "owner", "action": "withdraw", "target": OTHER}, "GRANT_MISSING"),
    "of another's grant": ({"action": "withdraw"}, "NOT_PERMITTED"),
    "of a seat that is none": ({"action": "revoke-seat", "target": "nobody"}, "SEAT_UNKNOWN"),
    "by a former seat": ({"by": "former"}, "SEAT_EXPIRED"),
}


@pytest.mark.parametrize("case", STOPS)
def test_a_stop_by_whom_or_of_what_it_cannot_be(scene: Scene, case: str) -> None:
    world = scene.world
    changed, reason = STOPS[case]
    fields = {"by": "ada", "action": "pause", "target": scene.proposal, **changed}
    if case == "of another's grant":
        fields["target"] = scene.data.grant
    stop = Stop(header=world.header(), reason="", **fields)  # type: ignore[arg-type]
    key = world.keys.get(fields["by"], world.seats["ada"]).signing
    request = governance_pb2.DocumentRequest(envelope=sign(stop, key))
    call = lambda: world.stubs.governance.Stop(request, metadata=world.metadata)
    world.refused(call, reason, "claim", "actual")


# What the grant bounds, what the job has instead.
GRANTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "for another program": ({"programs": (OTHER,)}, {}, "programs"),
    "for another purpose": ({"purposes": ("billing",)}, {}, "purposes"),
    "for another recipient": ({"recipients": ()}, {}, "recipients"),
    "for no such parameter": ({"parameters": {}}, {"parameters": {"steps": 1}}, "parameters.steps"),
    "for another value": (
        {"parameters": {"steps": Exactly(2)}},
        {"parameters": {"steps": 1}},
        "parameters.steps",
    ),
    "for a smaller value": (
        {"parameters": {"steps": Between(1, 9)}},
        {"parameters": {"steps": 10}},
        "parameters.steps",
    ),
    "for another text": (
        {"parameters": {"note": Exactly("x" * 1000)}},
        {"parameters": {"note": "y" * 1000}},
        "parameters.note",
    ),
    "for a parameter left out": ({"parameters": {"steps": Exactly(2)}}, {}, "parameters.steps"),
    "with a seat's approval": ({"approvals": ("cleo",)}, {}, "approvals"),
    "with witnesses": ({"witnesses": "demanded"}, {}, "witnesses"),
    "without any loss of privacy": ({"privacy": "none"}, {}, "privacy"),
}


@pytest.mark.parametrize("case", GRANTS)
def test_a_grant_that_does_not_reach_so_far(scene: Scene, case: str) -> None:
    terms, changed, claim = GRANTS[case]
    world = scene.world
    if claim == "recipients":
        terms = {"recipients": (world.owner.public.hpke.to_text(),)}
    job = world.job(scene.program, {"data": world.data(b"x", **terms)}, **changed)
    reason = "PRIVACY_BUDGET" if claim == "privacy" else "GRANT_FORBIDS"
    call = scene.submit(world.ticket(job))
    refusal = world.refused(call, reason, "expected", "actual", claim=claim)
    if claim == "recipients":
        assert refusal.details["expected"] == world.owner.public.hpke.key_id
        assert refusal.details["actual"] == world.analyst.public.hpke.key_id
    if reason == "GRANT_FORBIDS":
        assert "ask the owner for a wider one" in str(refusal)


def test_a_grant_for_another_digest(scene: Scene) -> None:
    """The object of the grant is the descriptor, all of it: one that differs in anything has no
    grant."""
    world = scene.world
    object = scene.data.object.descriptor
    for changed in (replace(object, id=os.urandom(16).hex()), replace(object, root=OTHER)):
        job = replace(scene.job, inputs={"data": Input(changed, "owner")})
        call = scene.submit(world.ticket(job))
        refusal = world.refused(call, "GRANT_MISSING", claim="inputs.data", actual="none")
        assert changed.digest in refusal.details["expected"]
    job = replace(scene.job, inputs={"data": Input(object, "analyst")})  # not the owner
    world.refused(scene.submit(world.ticket(job)), "GRANT_MISSING", "expected", "actual")


def test_a_grant_withdrawn_or_used_up(scene: Scene) -> None:
    world = scene.world
    once = world.data(b"once", uses=1)
    ticket = world.ticket(world.job(scene.program, {"data": once}), uses=5)
    assert world.client.runs.wait(world.client.runs.start(ticket).id).state == "finished"
    expected = {"claim": "uses", "expected": "at most 1", "actual": "2"}
    world.refused(scene.submit(ticket), "GRANT_USED_UP", **expected)
    world.client.council.stop(world.owner, "withdraw", once.grant)
    world.refused(scene.submit(ticket), "GRANT_WITHDRAWN", "claim", "expected", "actual")


def test_a_grant_that_has_expired(scene: Scene) -> None:
    world = scene.world
    made, owner = world.seal(b"soon"), world.owner

    def provision(terms: GrantTerms) -> str:
        grant = world.client.grants.sign(owner, made.descriptor, terms)
        return str(world.client.grants.provision(owner, grant, made.open_key(owner.hpke)).digest)

    past = world.terms(expires=int(time.time()) - 1)
    world.refused(lambda: provision(past), "GRANT_EXPIRED", "claim", "expected", "actual")
    soon = int(time.time()) + 1
    provision(world.terms(expires=soon))
    job = replace(scene.job, inputs={"data": Input(made.descriptor, "owner")})
    ticket = world.ticket(job)
    while int(time.time()) <= soon:  # the authority's clock is this one
        time.sleep(0.05)
    world.refused(scene.submit(ticket), "GRANT_EXPIRED", "claim", "expected", "actual")


def test_a_program_that_was_not_put_or_is_another(scene: Scene) -> None:
    world = scene.world
    absent = world.bundle("def main(job): pass\n", put=False)
    ticket = world.ticket(world.job(absent.digest, {"data": scene.data}))
    refusal = world.refused(scene.submit(ticket), "BLOB_NOT_FOUND", "remedy", actual=absent.blob)
    assert absent.blob in refusal.details["remedy"]
    # A blob of that name with other bytes: no worker is started for it, and nothing is leased.
    world.client.blobs.put(absent.blob, b"another program")
    job = world.client.runs.wait(world.client.runs.start(ticket).id)
    assert job.state == "failed"
    expected = {"expected": absent.digest, "actual": digest_of(b"another program")}
    world.check_refusal(job.refusal, "BLOB_DIGEST", **expected)
    assert world.entries_of(job.id) == []


def test_a_proposal_that_is_no_job_is_not_submitted(scene: Scene) -> None:
    world = scene.world
    body = replace(scene.job, outputs={"out": Output(1)})
    plain = {**to_plain(world.draft(body)), "action": "retire"}
    envelope = sign_payload(encode(plain), payload_type(Proposal), world.analyst.signing)
    request = governance_pb2.DocumentRequest(envelope=envelope)
    propose = lambda: world.stubs.governance.Propose(request, metadata=world.metadata)
    world.refused(propose, "DOCUMENT_MALFORMED", "claim", "expected", "actual")
    world.refused(scene.submit(Ticket(envelope, ())), "DOCUMENT_MALFORMED", "expected", "actual")


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_request_id_of_another_size(scene: Scene, size: int) -> None:
    ticket = common_pb2.Ticket(proposal=scene.approved.proposal, ballots=scene.approved.ballots)
    request = runs_pb2.StartRequest(ticket=ticket, request_id=bytes(size))
    call = lambda: scene.world.stubs.runs.Start(request, metadata=scene.world.metadata)
    scene.world.refused(call, "REQUEST_MALFORMED", claim="request_id")


def test_more_ballots_than_a_ticket_has(scene: Scene) -> None:
    ticket = common_pb2.Ticket(proposal=scene.approved.proposal, ballots=[b"x"] * 1025)
    request = runs_pb2.StartRequest(ticket=ticket, request_id=bytes(16))
    call = lambda: scene.world.stubs.runs.Start(request, metadata=scene.world.metadata)
    scene.world.refused(call, "DOCUMENT_MALFORMED", claim="ballots", actual="1025")


def test_another_wire_version(scene: Scene) -> None:
    world = scene.world
    request = runs_pb2.ListRunsRequest()
    for metadata in ((), (("placet-wire", "2"),), (*world.metadata, *world.metadata)):
        call = lambda metadata=metadata: world.stubs.runs.List(request, metadata=metadata)
        world.refused(call, "WIRE_VERSION", "claim", "expected", "remedy")


def test_a_revoked_seat_votes_no_more(scene: Scene) -> None:
    """Last: from here on ada's vote does not count."""
    world = scene.world
    world.client.council.stop(world.seats["ben"], "revoke-seat", "ada")
    call = scene.vote(scene.ballot(sequence=9))
    refusal = world.refused(call, "SEAT_EXPIRED", "claim", "expected", "actual")
    assert "revoked" in str(refusal)
    refusal = world.refused(
        scene.submit(scene.approved), "RULE_NOT_MET", "remedy", claim="approvals", actual="1"
    )
    assert "ada: the seat has been revoked" in str(refusal)
