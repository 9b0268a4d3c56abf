# SPDX-License-Identifier: Apache-2.0
"""Federations as the log has them: rounds, who may send, what closes a round, what is released, who sits out."""

import hashlib
import math
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance import (
    UNBOUNDED,
    Budget,
    Cost,
    Entry,
    Federate,
    GovernanceError,
    Input,
    Krum,
    Layout,
    Mean,
    Median,
    ModelRequest,
    Party,
    Proposal,
    Receipt,
    Release,
    Rule,
    SealedUpdate,
    Tensor,
    Ticket,
    Times,
    TrimmedMean,
    Update,
    When,
    admit,
    audit,
    digest_of,
    encode,
    epsilon_at,
    find_federation,
    gaussian_cost,
    inspect,
    judge_aggregate,
    judge_cohort,
    judge_lift,
    judge_open,
    judge_update,
    logged_update,
    next_job,
    open_entries,
    receipt_for,
    round_job,
    sign,
    verify_model_request,
    verify_signed,
)
from placet.governance.documents.federation import CLIP_UNITS
from placet.sealing import HPKEPrivateKey, padded_length

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


class Federation:
    """A council's world with five clients of four organisations, and a federation that was voted for."""

    def __init__(self, world: Any, **changes: Any) -> None:
        self.world = world
        health = world.make_constitution().rules[0]
        rules = [
            Rule("federate", "Training together", When(("federate",), "any", "any"), health.demand),
            *world.make_constitution().rules,
        ]
        world.constitution = world.make_constitution(
            rules=tuple(
                replace(r, demand=replace(r.demand, uses=1000, conflicts=())) for r in rules
            ),
            parties=(
                *world.make_constitution().parties,
                *(Party(c, "org-" + c[-1], (world.key(c).public,)) for c in CLIENTS),
            ),
        )
        world.found()
        world.boot()
        self.terms = terms(**changes)
        self.proposal = world.proposal(action="federate", uses=self.terms.rounds, body=self.terms)
        self.ticket: Ticket = world.ticket(self.proposal)
        self.digest = digest_of(encode(self.proposal))
        self._workers = 0

    @property
    def ledger(self) -> Any:
        return self.world.ledger

    @property
    def state(self) -> Any:
        return find_federation(self.ledger.state, self.digest)

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
        return self.world.add(judge_cohort(self.ledger, self.digest, number, self.world.times))

    def lease(self) -> Any:
        self._workers += 1
        worker = self.world.join(f"worker {self._workers}", self.digest)
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
        output = world.descriptor("model", (), padded_length(15 * 4), "result")
        outputs = {"model": output} if released else {}
        release = Release(world.header(), lease["lease"], lease["worker"], outputs, left or {})
        release = replace(release, **changes)
        key = world.enclave_key(lease["worker"])
        signed = verify_signed(sign(release, key), Release, lambda _: [key.public])
        documents, digest = [signed.envelope], ""
        if released:
            said = receipt_for(self.ledger, signed, "test", world.header(), world.times)
            documents.append(sign(said, world.log_key))
            digest = digest_of(encode(said))
        entry = judge_aggregate(self.ledger, signed, digest, world.appraise, world.times)
        return world.add(entry, *documents)

    def round(self, *clients: str, left: dict[str, str] | None = None) -> Any:
        """A whole round of these clients."""
        self.open()
        for client in clients:
            self.send(client)
        self.later(1000)
        self.close()
        return self.aggregate(self.lease(), left)


def terms(**changes: Any) -> Federate:
    fields: dict[str, Any] = {
        "model": None,
        "layout": LAYOUT,
        "labels": ("health",),
        "roster": CLIENTS,
        "rounds": 4,
        "smallest_cohort": 2,
        "round_seconds": 600,
        "clip": "1.5",
        "noise": None,
        "rule": Mean("mean"),
        "largest_weight": 1000,
        "rate": "1",
        "quarantine_rounds": 1,
        "attempts": 2,
        "deadline_seconds": 600,
    }
    return Federate(**{**fields, **changes})


@pytest.fixture
def federation(world: Any) -> Federation:
    return Federation(world)


def refused(reason: str, call: Callable[[], object]) -> GovernanceError:
    with pytest.raises(GovernanceError) as caught:
        call()
    assert caught.value.reason == reason
    return caught.value


# Terms.


@pytest.mark.parametrize(
    "changes",
    [
        {"smallest_cohort": 1},
        {"smallest_cohort": 6},
        {"roster": ("ana-a", "ana-a")},
        {"roster": ()},
        {"rounds": 0},
        {"clip": "0"},
        {"clip": "1,5"},
        {"clip": "nan"},
        {"clip": "-1"},
        {"rate": "0"},
        {"noise": "0"},
        {"noise": "1"},  # with weights
        {"noise": "1", "largest_weight": 1, "rule": Median("median"), "smallest_cohort": 3},
        {"rule": Median("median"), "largest_weight": 1},
        {"rule": Median("median"), "smallest_cohort": 3},
        {"rule": Krum("krum", 1, 1), "smallest_cohort": 4, "largest_weight": 1},
        {"rule": TrimmedMean("trimmed-mean", 10), "smallest_cohort": 4, "largest_weight": 1},
        {"largest_weight": 0},
        {"largest_weight": 2**31},
        {"quarantine_rounds": 0},
    ],
)
def test_terms_that_contradict_themselves_are_refused(changes: dict[str, Any]) -> None:
    refused("DOCUMENT_MALFORMED", lambda: terms(**changes))


def test_sums_cannot_overflow_at_the_largest_terms_that_are_let_through() -> None:
    roster = tuple(f"c{n}" for n in range(256))
    largest = 2**31 - 1
    with pytest.raises(GovernanceError):
        terms(roster=roster, largest_weight=2**28)
    found = terms(roster=roster, largest_weight=2**28 - 1)
    assert len(found.roster) * found.largest_weight * CLIP_UNITS < 2**62
    assert len(CLIENTS) * largest * CLIP_UNITS < 2**62
    assert terms(largest_weight=largest)


@given(st.integers(1, 9999))
def test_noise_is_never_less_than_asked_for(thousandths: int) -> None:
    text = f"{thousandths / 1000:.3f}"
    found = terms(noise=text, largest_weight=1)
    assert found.sigma >= thousandths * CLIP_UNITS / 1000
    assert found.sigma - thousandths * CLIP_UNITS / 1000 < 1


def test_a_layout_s_digest_says_all_of_it() -> None:
    layouts = [
        LAYOUT,
        replace(LAYOUT, encoding="float16"),
        replace(LAYOUT, segment_bytes=16384),
        replace(LAYOUT, tensors=LAYOUT.tensors[::-1]),
        replace(LAYOUT, tensors=(Tensor("w", (3, 4)), Tensor("b", (3,)))),
        replace(LAYOUT, tensors=(Tensor("v", (4, 3)), Tensor("b", (3,)))),
    ]
    assert len({layout.digest for layout in layouts}) == len(layouts)
    assert LAYOUT.elements == 15
    assert LAYOUT.update_bytes == 60


def test_an_initial_model_is_the_vector_that_the_layout_says(world: Any) -> None:
    good = Input(world.descriptor("m", (), 60, "model"), "owner-b")
    assert terms(model=good).inputs == {"model": good}
    bad = Input(world.descriptor("m", (), 64, "model"), "owner-b")
    refused("DOCUMENT_MALFORMED", lambda: terms(model=bad))


def test_uses_are_the_rounds(world: Any) -> None:
    body = terms()
    proposal: Proposal = world.proposal(action="federate", uses=4, body=body)
    assert proposal.owners == set(CLIENTS)
    assert proposal.labels == {"health"}
    refused("DOCUMENT_MALFORMED", lambda: world.proposal(action="federate", uses=3, body=body))
    refused("DOCUMENT_MALFORMED", lambda: world.proposal(action="job", uses=4, body=body))


def test_a_roster_is_of_principals_and_of_enough_organisations(federation: Federation) -> None:
    world = federation.world
    for roster, reason in (
        ((*CLIENTS, "nobody"), "SIGNER_UNKNOWN"),
        (("ana-a", "ben-a"), "COHORT_TOO_SMALL"),
    ):
        body = terms(roster=roster)
        proposal = world.proposal(action="federate", uses=4, body=body)
        refused(reason, partial(world.record, proposal, "lab"))


# Rounds.


def test_rounds_follow_one_another_and_end(federation: Federation) -> None:
    for number in range(1, 5):
        entry = federation.round("ana-a", "cem-b")
        assert (entry["round"], entry["job"]) == (number, round_job(federation.digest, number))
        assert federation.state.models[number] == entry["lease"] == federation.state.model
    refused("FEDERATION_ENDED", federation.open)
    _audited(federation)


def test_one_round_is_under_way_at_a_time(federation: Federation) -> None:
    federation.open()
    refused("ROUND_OPEN", federation.open)
    federation.send("ana-a")
    federation.send("cem-b")
    federation.later(601)
    federation.close()
    refused("ROUND_OPEN", federation.open)
    lease = federation.lease()
    refused("ROUND_OPEN", federation.open)
    federation.world.close(lease["lease"])
    refused("ROUND_OPEN", federation.open)  # an attempt is left
    again = federation.lease()
    assert again["attempt"] == 2
    federation.world.close(again["lease"])
    federation.open()  # no attempt is left: the round changed nothing
    assert [r.status for r in federation.state.rounds] == ["void", "open"]
    assert federation.state.model == ""
    _audited(federation)


def test_a_round_opens_under_a_ticket_that_is_valid(federation: Federation) -> None:
    few = Ticket(federation.ticket.proposal, federation.ticket.ballots[:1])
    whole, federation.ticket = federation.ticket, few
    refused("RULE_NOT_MET", federation.open)
    federation.ticket = whole
    federation.open()
    federation.world.record(federation.world.stop("data-b", "pause", federation.digest), "data-b")
    refused("STOPPED", lambda: federation.send("ana-a"))
    federation.later(601)
    assert federation.close()["standing"] == "void"
    refused("STOPPED", federation.open)


def test_no_round_opens_after_the_window(federation: Federation) -> None:
    federation.round("ana-a", "cem-b")
    federation.later(2 * 86400)
    refused("TICKET_EXPIRED", federation.open)


def test_an_update_is_taken_once_and_found_again(federation: Federation) -> None:
    federation.open()
    envelope = federation.world.signed(federation.update("ana-a"), "ana-a")
    assert logged_update(federation.ledger, envelope) is None
    signed, entry = judge_update(federation.ledger, envelope, federation.world.times)
    index = federation.ledger.tree.size
    federation.world.add(entry, envelope)
    logged = logged_update(federation.ledger, envelope)
    assert logged is not None
    assert (logged.digest, logged.index) == (signed.digest, index)
    times = federation.world.times
    refused("DOCUMENT_REPLAYED", lambda: judge_update(federation.ledger, envelope, times))
    refused("UPDATE_DUPLICATE", lambda: federation.send("ana-a"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"round": 2}, "ROUND_NOT_OPEN"),
        ({"layout": "sha256:" + "00" * 32}, "UPDATE_MALFORMED"),
        ({"federation": "sha256:" + "00" * 32}, "FEDERATION_NOT_FOUND"),
    ],
)
def test_an_update_for_something_else_is_refused(
    federation: Federation, changes: dict[str, Any], reason: str
) -> None:
    federation.open()
    refused(reason, lambda: federation.send("ana-a", **changes))
    assert federation.state.current.updates == {}


def test_only_the_roster_sends_and_each_for_itself(federation: Federation) -> None:
    federation.open()
    refused("NOT_ON_ROSTER", lambda: federation.send("lab"))
    refused("SIGNATURE_INVALID", lambda: federation.send("ana-a", signer="ben-a"))


def test_an_update_comes_in_time(federation: Federation) -> None:
    federation.open()
    federation.later(600)
    federation.send("ana-a")
    federation.later(1)
    refused("ROUND_NOT_OPEN", lambda: federation.send("cem-b"))


def test_a_round_closes_early_only_when_everybody_has_sent(federation: Federation) -> None:
    federation.open()
    for client in CLIENTS[:-1]:
        federation.send(client)
        refused("ROUND_OPEN", federation.close)
    federation.send(CLIENTS[-1])
    entry = federation.close()
    assert entry["standing"] == "closed"
    assert entry["counted"] == [u.digest for u in federation.state.current.updates.values()]
    refused("ROUND_NOT_OPEN", federation.close)
    refused("ROUND_NOT_OPEN", lambda: federation.send("ana-a"))


def test_the_smallest_cohort_counts_organisations(federation: Federation) -> None:
    federation.open()
    federation.send("ana-a")
    federation.send("ben-a")
    federation.later(601)
    assert federation.close()["standing"] == "void"
    refused("ROUND_NOT_OPEN", federation.lease)
    federation.open()
    assert federation.state.current.number == 2
    _audited(federation)


def test_a_lease_is_of_the_closed_round_and_of_a_worker_for_these_terms(
    federation: Federation,
) -> None:
    federation.open()
    refused("ROUND_NOT_OPEN", federation.lease)
    federation.send("ana-a")
    federation.send("cem-b")
    federation.later(601)
    federation.close()
    world, job = federation.world, round_job(federation.digest, 1)
    other = world.join("for the program", federation.terms.program)
    refused("BOUND_TO_MISMATCH", lambda: world.lease(federation.ticket, other, job))
    worker = world.join("for the terms", federation.digest)
    for wrong in ("job-1", round_job(federation.digest, 2)):
        refused("ROUND_NOT_OPEN", partial(world.lease, federation.ticket, worker, wrong))
    assert world.lease(federation.ticket, worker, job)["job"] == job


# What is released, and who is left out.


def test_who_left_sits_out_and_is_let_in_again(federation: Federation) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "NORM_EXCEEDED"})
    assert [e["kind"] for e in federation.open()] == ["open"]
    error = refused("CLIENT_QUARANTINED", lambda: federation.send("dia-c"))
    assert "NORM_EXCEEDED" in str(error)
    # Nobody waits for who sits out.
    for client in ("ana-a", "ben-a", "cem-b", "eli-d"):
        federation.send(client)
    federation.close()
    federation.aggregate(federation.lease())
    job = round_job(federation.digest, 3)
    admission = admit(federation.ledger, federation.ticket, job, federation.world.times)
    refused(
        "CLIENT_QUARANTINED",
        lambda: judge_open(
            federation.ledger, admission.ticket.proposal, ROUND_KEY, federation.world.times
        ),
    )
    assert [e["kind"] for e in federation.open()] == ["lift", "open"]
    federation.send("dia-c")
    _audited(federation)


def test_nobody_is_let_in_too_early_or_twice(federation: Federation) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "NORM_EXCEEDED"})
    for client in ("dia-c", "ana-a"):
        refused(
            "CLIENT_QUARANTINED",
            partial(
                judge_lift, federation.ledger, federation.digest, client, federation.world.times
            ),
        )


def test_too_few_left_is_a_round_without_a_model(federation: Federation) -> None:
    federation.round("ana-a", "cem-b")
    before = federation.state.model
    federation.open()
    for client in ("ana-a", "cem-b"):
        federation.send(client)
    federation.later(601)
    federation.close()
    lease, left = federation.lease(), {"cem-b": "VALUES_NOT_FINITE"}
    refused("COHORT_TOO_SMALL", lambda: federation.aggregate(lease, left))
    entry = federation.aggregate(lease, left, released=False)
    assert entry["receipt"] == ""
    assert federation.state.model == before
    assert federation.state.current.status == "void"
    assert federation.state.quarantined["cem-b"].reason == "VALUES_NOT_FINITE"
    refused("LEASE_PRESENTED_TWICE", lambda: federation.aggregate(lease, left, released=False))
    _audited(federation)


def test_a_worker_cannot_hold_back_what_is_due_or_leave_out_strangers(
    federation: Federation,
) -> None:
    federation.open()
    for client in ("ana-a", "cem-b", "dia-c"):
        federation.send(client)
    federation.later(601)
    federation.close()
    lease = federation.lease()
    refused("COHORT_TOO_SMALL", lambda: federation.aggregate(lease, released=False))
    for left in ({"eli-d": "NORM_EXCEEDED"}, {"cem-b": "DISLIKED"}):
        refused("OUTPUT_UNDECLARED", partial(federation.aggregate, lease, left))
    other = federation.world.descriptor("model", (), 4096, "result")
    refused(
        "OUTPUT_TOO_LARGE" if padded_length(60) != 4096 else "OUTPUT_UNDECLARED",
        lambda: federation.aggregate(lease, outputs={"model": replace(other, length=999)}),
    )
    federation.aggregate(lease)


def test_a_job_s_release_leaves_nobody_out(ready: Any) -> None:
    ticket = ready.ticket()
    lease = ready.lease(ticket, ready.join())
    refused(
        "OUTPUT_UNDECLARED", lambda: ready.release(lease["lease"], left={"ana-a": "NORM_EXCEEDED"})
    )


# Models.


def test_a_model_is_for_the_roster(federation: Federation) -> None:
    federation.round("ana-a", "cem-b")
    world, key = federation.world, HPKEPrivateKey.generate("X25519").public.to_text()

    def ask(client: str, number: int = 1, signer: str = "") -> object:
        request = ModelRequest(world.header(), federation.digest, number, client, key)
        return verify_model_request(federation.ledger, world.signed(request, signer or client))

    assert ask("eli-d")  # also who has sent nothing
    refused("NOT_ON_ROSTER", lambda: ask("lab"))
    refused("SIGNATURE_INVALID", lambda: ask("eli-d", signer="lab"))
    for number in (0, 2):
        refused("MODEL_NOT_RELEASED", partial(ask, "ana-a", number))


# What is sealed.


@given(st.binary(min_size=32, max_size=32), st.floats(0, 1e300), st.integers(1, 1000))
def test_sealed_updates_are_read_as_they_were_written(key: bytes, norm: float, weight: int) -> None:
    sealed = SealedUpdate(key, norm, 1.0, weight)
    assert len(sealed.pack()) == 48
    assert SealedUpdate.unpack(sealed.pack(), terms()) == sealed
    assert key.hex() not in repr(sealed)


@pytest.mark.parametrize(
    "fields",
    [
        (math.nan, 1.0, 1),
        (math.inf, 1.0, 1),
        (-1.0, 1.0, 1),
        (1.0, 0.0, 1),
        (1.0, math.nan, 1),
        (1.0, 0.5, 1),  # a scale is int8's
        (1.0, 1.0, 0),
        (1.0, 1.0, 1001),
        (1.0, 1.0, 2**32 - 1),  # what a negative count would be
    ],
)
def test_what_is_sealed_is_within_the_terms(fields: tuple[float, float, int]) -> None:
    data = struct.pack("<32sdfI", bytes(32), *fields)
    refused("UPDATE_MALFORMED", lambda: SealedUpdate.unpack(data, terms()))


def test_a_refusal_does_not_quote_what_was_sealed() -> None:
    for fields in ((-7.25, 1.0, 1), (1.0, 0.625, 1), (1.0, 1.0, 7777)):
        data = struct.pack("<32sdfI", bytes(32), *fields)
        error = refused("UPDATE_MALFORMED", partial(SealedUpdate.unpack, data, terms()))
        said = str(error) + str(error.details)
        assert not any(number in said for number in ("7.25", "0.625", "7777"))


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        SealedUpdate.unpack(data, terms())
    except GovernanceError as error:
        assert error.reason == "UPDATE_MALFORMED"


def test_int8_brings_its_scale() -> None:
    int8 = terms(layout=replace(LAYOUT, encoding="int8"))
    sealed = SealedUpdate(bytes(32), 1.0, 0.5, 1)
    assert SealedUpdate.unpack(sealed.pack(), int8) == sealed


# Privacy.


@pytest.fixture
def private(world: Any) -> Federation:
    return Federation(world, noise="1", largest_weight=1)


def _charged(federation: Federation, client: str) -> Any:
    return federation.ledger.state.charged(client)


ONE = gaussian_cost(CLIP_UNITS, CLIP_UNITS)


def test_each_client_that_counts_is_charged_for_each_model(private: Federation) -> None:
    for number in (1, 2):
        private.round("ana-a", "cem-b")
        for client in ("ana-a", "cem-b"):
            assert private.ledger.state.privacy[client].spent == sum([ONE] * number, Cost())
            assert not private.ledger.state.privacy[client].reserved
    assert _charged(private, "dia-c") == Cost()
    _audited(private)


def test_a_round_without_a_model_costs_nothing(private: Federation) -> None:
    private.open()
    private.send("ana-a")
    assert _charged(private, "ana-a") == ONE
    private.later(601)
    assert private.close()["standing"] == "void"
    assert _charged(private, "ana-a") == Cost()
    private.open()
    private.send("ana-a")
    private.send("cem-b")
    private.later(601)
    private.close()
    lease = private.lease()
    left = {"cem-b": "VALUES_NOT_FINITE"}
    private.aggregate(lease, left, released=False)
    assert _charged(private, "ana-a") == _charged(private, "cem-b") == Cost()
    _audited(private)


def test_a_round_out_of_attempts_costs_nothing_once_the_next_opens(private: Federation) -> None:
    private.open()
    private.send("ana-a")
    private.send("cem-b")
    private.later(601)
    private.close()
    for _ in range(2):
        private.world.close(private.lease()["lease"])
        assert _charged(private, "ana-a") == ONE
    private.open()
    assert _charged(private, "ana-a") == Cost()
    _audited(private)


def test_a_client_s_bound_is_on_its_whole_ledger(private: Federation) -> None:
    bound = {
        "epsilon": f"{epsilon_at(ONE + ONE, Fraction(1, 10**6)) + 1e-6:.6f}".rstrip("0"),
        "delta": "1e-6",
    }
    for number in (1, 2):
        private.open()
        assert private.state.current.number == number
        private.send("ana-a", **bound)
        private.send("cem-b")
        private.later(601)
        private.close()
        private.aggregate(private.lease())
    private.open()
    error = refused("PRIVACY_BUDGET", lambda: private.send("ana-a", **bound))
    assert "ana-a" in str(error)
    private.send("ana-a")  # who sets no bound
    _audited(private)


def test_without_noise_a_bound_refuses(federation: Federation) -> None:
    federation.open()
    refused("PRIVACY_BUDGET", lambda: federation.send("ana-a", epsilon="1000", delta="0.1"))
    federation.send("ana-a")
    assert _charged(federation, "ana-a") == UNBOUNDED


def test_a_receipt_says_what_was_charged(private: Federation) -> None:
    private.round("ana-a", "cem-b")
    lease = private.ledger.state.leases[private.state.model]
    said = inspect(private.world.store[lease.receipt], Receipt).predicate.privacy
    assert (said.charges, said.declared) == ({"ana-a": ONE, "cem-b": ONE}, False)


def test_the_owner_of_the_first_model_is_charged_without_bound(world: Any) -> None:
    """Noise hides updates; the model that they are added to is nowhere hidden."""
    model = world.descriptor("model", length=15 * 4)
    given = Input(model, "owner-b")
    federation = Federation(world, noise="1", largest_weight=1, model=given)
    wide = dict.fromkeys(("parameters", "programs", "recipients", "combine_with"), "any")
    world.give(object=model, privacy=Budget("1000000", "0.5"), **wide)
    refused("PRIVACY_BUDGET", federation.open)
    world.give(object=model, **wide)
    federation.round("ana-a", "cem-b")
    assert (_charged(federation, "owner-b"), _charged(federation, "ana-a")) == (UNBOUNDED, ONE)
    _audited(federation)


# Restart, and audit.


def test_replay_gives_the_same_state(federation: Federation) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "SEGMENT_FORGED"})
    federation.open()
    federation.send("ana-a")
    before = federation.state
    federation.world.forget()
    assert federation.state == before
    federation.send("cem-b")  # and goes on from there


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("open", "round", 2),
        ("open", "closes", 0),
        ("open", "key", "hpke:none"),
        ("update", "client", "ben-a"),
        ("update", "round", 2),
        ("update", "charge", [0, 0, 0]),
        ("update", "charge", "none"),
        ("lease", "charges", {"ana-a": [0, 0, 0]}),
        ("cohort", "standing", "void"),
        ("cohort", "counted", []),
        ("aggregate", "left", {"ana-a": "NORM_EXCEEDED"}),
        ("aggregate", "left", {}),
        ("aggregate", "until", 2),
        ("aggregate", "receipt", ""),
        ("lift", "client", "ana-a"),
    ],
)
def test_an_audit_finds_what_was_changed(
    federation: Federation, kind: str, field: str, value: object
) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "NORM_EXCEEDED"})
    federation.round("ana-a", "cem-b")
    federation.open()
    world = federation.world
    index, entry = next(
        (i, e) for i, e in enumerate(map(_read, world.entries)) if e["kind"] == kind
    )
    world.entries[index] = encode({**entry, field: value})
    with pytest.raises(GovernanceError) as caught:
        _audited(federation)
    assert caught.value.reason in ("LOG_ENTRY_INVALID", "ENTRY_INVALID")
    assert caught.value.details["claim"] == f"entry {index}"


def _read(data: bytes) -> Entry:
    from placet.governance.codec import parse_object

    return parse_object(data)


def _audited(federation: Federation) -> None:
    world = federation.world
    report = audit.audit(
        world.entries, world, world.signer.verifier_key, world.checkpoint(), attest=world.attest
    )
    assert report.complete
    assert report.size == len(world.entries)
    assert report.privacy == world.ledger.state.privacy


def test_a_round_s_job_has_one_name() -> None:
    digest = "sha256:" + hashlib.sha256(b"x").hexdigest()
    assert round_job(digest, 7) == digest[7:47] + "-7"
