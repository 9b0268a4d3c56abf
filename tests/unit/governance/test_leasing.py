# SPDX-License-Identifier: Apache-2.0
"""Joins, leases, renewals, releases and closings: their order, and each refusal by its reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import Header, Release, Seen, Stop
from placet.governance.documents.lease import answer_nonce
from placet.governance.envelope import (
    add_signature,
    bare,
    digest_of,
    payload_type,
    sign,
    sign_payload,
    verify_signed,
)
from placet.governance.judgements.leasing import check_goes_on, judge_lapsed
from placet.governance.judgements.releases import judge_release
from placet.governance.keys import SigningKey
from placet.governance.ledger import Ledger
from placet.refusals import Refusal
from placet.sealing import padded_length

T0 = 1_800_000_000
DIGEST = "sha256:" + "00" * 32
PROGRAM = "sha256:" + "ab" * 32


def refused(reason: str, call: Callable[[], object], world: Any) -> None:
    """The call is refused for this reason, and has changed nothing."""
    before = repr(world.ledger.state), world.ledger.head(), len(world.entries)
    with pytest.raises(Refusal) as refusal:
        call()
    assert refusal.value.reason == reason
    assert (repr(world.ledger.state), world.ledger.head(), len(world.entries)) == before


@pytest.fixture
def logged(ready: Any) -> Any:
    """A log with a ticket for two uses in it, as `world.given`."""
    ready.given = ready.ticket(ready.proposal(uses=2))
    ready.lease(ready.given, ready.join("worker 0"), "job-0")
    return ready


def lease(world: Any, name: str = "worker 1", job: str = "job-1", **changes: Any) -> str:
    digest: str = world.lease(world.given, world.join(name), job, **changes)["lease"]
    return digest


def later(world: Any, seconds: int) -> None:
    world.times = Times(world.times.at_least + seconds, world.times.at_most + seconds)


def test_a_worker_joins_once_for_one_program(founded: Any) -> None:
    founded.join("worker 1")
    refused("LEASE_PRESENTED_TWICE", lambda: founded.join("worker 1"), founded)
    refused("LAUNCHED_FOR_MISMATCH", lambda: founded.join("worker 2", ""), founded)
    founded.record(founded.stop("chair-a", "revoke-measurement", "cd" * 32), "chair-a")
    refused("STOPPED", lambda: founded.join("worker 3"), founded)


def test_a_lease_goes_to_a_worker_that_has_joined_for_the_program(logged: Any) -> None:
    given = logged.given
    refused("JOIN_UNKNOWN", lambda: logged.lease(given, DIGEST), logged)
    other = logged.join("other", DIGEST)
    refused("LAUNCHED_FOR_MISMATCH", lambda: logged.lease(given, other), logged)
    spare = logged.join("spare")
    late = logged.join("late")
    lease(logged)
    later(logged, 3600)
    logged.renewed = logged.join("renewed")
    later(logged, 1)
    refused("JOIN_LAPSED", lambda: logged.lease(given, late), logged)
    logged.boot("boot 2")
    refused("JOIN_UNKNOWN", lambda: logged.lease(given, spare), logged)
    refused("JOIN_UNKNOWN", lambda: logged.lease(given, logged.renewed), logged)


def test_a_worker_gets_one_lease_ever(logged: Any) -> None:
    worker = logged.join()
    digest = logged.lease(logged.given, worker, "job-1")["lease"]
    refused("LEASE_PRESENTED_TWICE", lambda: logged.lease(logged.given, worker, "job-1"), logged)
    logged.close(digest)
    refused("LEASE_PRESENTED_TWICE", lambda: logged.lease(logged.given, worker, "job-1"), logged)


def test_an_attempt_is_closed_before_the_next_and_their_number_is_bounded(logged: Any) -> None:
    first = lease(logged, "worker 1")
    second, third = logged.join("worker 2"), logged.join("worker 3")
    refused("ATTEMPT_OPEN", lambda: logged.lease(logged.given, second, "job-1"), logged)
    logged.close(first)
    entry = logged.lease(logged.given, second, "job-1")
    assert entry["attempt"] == 2
    logged.close(entry["lease"])
    refused("ATTEMPTS_USED_UP", lambda: logged.lease(logged.given, third, "job-1"), logged)
    refused("TICKET_USED_UP", lambda: logged.lease(logged.given, third, "job-2"), logged)


def test_a_job_that_was_released_is_not_leased_again(logged: Any) -> None:
    logged.release(lease(logged))
    worker = logged.join("worker 2")
    refused("LEASE_PRESENTED_TWICE", lambda: logged.lease(logged.given, worker, "job-1"), logged)


def test_a_lease_says_what_it_has_to(logged: Any) -> None:
    worker = logged.join()
    for changes in (
        {"attempt": 2},
        {"boot": "00" * 16},
        {"proposal": DIGEST},
        {"constitution": DIGEST},
        {"deadline": T0 + 301},
    ):
        refused(
            "LOG_ENTRY_INVALID",
            partial(logged.lease, logged.given, worker, "job-1", **changes),
            logged,
        )
    header = logged.header(charter="sha256:" + "c5" * 32)
    refused("OTHER_LOG", lambda: logged.lease(logged.given, worker, "job-1", header=header), logged)
    header = logged.header(seen=replace(logged.header().seen, root=DIGEST))
    refused(
        "SEEN_UNKNOWN", lambda: logged.lease(logged.given, worker, "job-1", header=header), logged
    )
    logged.lease(logged.given, worker, "job-1", deadline=T0 + 1)


def test_a_lease_is_judged_by_what_the_log_has(logged: Any) -> None:
    """A ticket that was admitted before a stop gets no lease after it."""
    admission = logged.admitted(logged.given, "job-1")
    worker = logged.join()
    digest = admission.ticket.proposal.digest
    logged.record(logged.stop("chair-a", "pause", digest), "chair-a")
    refused("STOPPED", lambda: logged.lease_admitted(admission, worker, "job-1"), logged)


def test_a_lease_goes_on_until_its_deadline(logged: Any) -> None:
    digest = lease(logged)
    later(logged, 300)
    assert logged.renew(digest)["deadline"] == logged.times.at_most + 300
    later(logged, 301)
    refused("LEASE_EXPIRED", lambda: logged.renew(digest), logged)
    refused("LEASE_EXPIRED", lambda: logged.release(digest), logged)
    logged.close(digest)
    refused("LEASE_CLOSED", lambda: logged.renew(digest), logged)


def test_a_lease_of_an_older_boot_is_over(logged: Any) -> None:
    digest = lease(logged)
    logged.boot("boot 2")
    refused("LEASE_CLOSED", lambda: logged.renew(digest), logged)
    refused("LEASE_CLOSED", lambda: logged.release(digest), logged)
    logged.close(digest)
    refused("LEASE_UNKNOWN", lambda: logged.renew(DIGEST), logged)


STOPS: dict[str, tuple[str, Callable[[Any, str], object]]] = {
    "pause": ("STOPPED", lambda w, p: w.record(w.stop("second-a", "pause", p), "second-a")),
    "cancel": ("STOPPED", lambda w, p: w.record(w.stop("lab", "cancel", p), "lab")),
    "veto": ("VETOED", lambda w, p: w.record(w.stop("data-b", "veto", p), "data-b")),
    "a later ballot": (
        "VETOED",
        lambda w, p: w.record(w.ballot("data-b", p, "non placet", sequence=2), "data-b"),
    ),
    "withdrawal": (
        "GRANT_WITHDRAWN",
        lambda w, _: w.record(
            w.stop("owner-b", "withdraw", next(iter(w.ledger.state.grants))), "owner-b"
        ),
    ),
    "program": (
        "STOPPED",
        lambda w, _: w.record(w.stop("chair-a", "revoke-program", PROGRAM), "chair-a"),
    ),
    "measurement": (
        "STOPPED",
        lambda w, _: w.record(w.stop("chair-a", "revoke-measurement", "cd" * 32), "chair-a"),
    ),
    "weaker rules": (
        "GRANT_FORBIDS",
        lambda w, _: w.amend(
            rules=(replace(w.constitution.rules[0], id="lax"), w.constitution.rules[1])
        ),
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_what_stops_a_running_job(logged: Any, case: str) -> None:
    reason, stop = STOPS[case]
    digest = lease(logged)
    state = logged.ledger.state.leases[digest]
    check_goes_on(logged.ledger, state, logged.times)
    stop(logged, state.proposal)
    refused(reason, lambda: check_goes_on(logged.ledger, state, logged.times), logged)
    refused(reason, lambda: logged.renew(digest), logged)
    refused(reason, lambda: logged.release(digest), logged)
    logged.close(digest)


def test_measurements_are_those_in_force_now(logged: Any) -> None:
    digest = lease(logged)
    policies = logged.constitution.evidence
    logged.amend(
        evidence=replace(policies, worker={**policies.worker, "measurements": ["00" * 32]})
    )
    refused("GRANT_FORBIDS", lambda: logged.renew(digest), logged)


def test_a_release_has_exactly_the_outputs_proposed(logged: Any) -> None:
    digest = lease(logged)
    good = logged.output(digest, "weights", padded_length(5000))
    for reason, outputs in (
        ("OUTPUT_MISSING", {}),
        ("OUTPUT_UNDECLARED", {"weights": good, "notes": good}),
        ("OUTPUT_UNDECLARED", {"weights": replace(good, kind="what-rows-say")}),
        ("OUTPUT_UNDECLARED", {"weights": replace(good, labels=("what-rows-say",))}),
        ("OUTPUT_UNDECLARED", {"weights": replace(good, id="00" * 16)}),
        ("OUTPUT_UNDECLARED", {"weights": logged.output(digest, "bias", good.length)}),
        ("OUTPUT_UNDECLARED", {"weights": logged.output(DIGEST, "weights", good.length)}),
        ("OUTPUT_UNDECLARED", {"weights": replace(good, commitment="00" * 32)}),
        ("OUTPUT_UNDECLARED", {"weights": replace(good, segment_size=16384)}),
        (
            "OUTPUT_TOO_LARGE",
            {"weights": logged.descriptor("weights", (), padded_length(5000) + 1, "result")},
        ),
        (
            "OUTPUT_TOO_LARGE",
            {"weights": logged.descriptor("weights", (), padded_length(5000) - 1, "result")},
        ),
    ):
        refused(reason, partial(logged.release, digest, outputs=outputs), logged)
    logged.release(digest)


def test_nothing_in_a_release_is_its_workers_to_choose(logged: Any) -> None:
    """Everybody reads it: what a program chose there would tell everybody what it has seen."""
    digest = lease(logged)
    header = logged.answer_header(digest)
    earlier = logged.ledger.tree.root(3).hex()
    for changed in (
        replace(header, nonce=logged.nonce()),
        replace(header, nonce=answer_nonce(DIGEST, "release")),
        replace(header, nonce=answer_nonce(digest, "offer")),
        replace(header, seen=Seen(3, "sha256:" + earlier)),
        logged.header(nonce=header.nonce),
    ):
        refused("DOCUMENT_MALFORMED", partial(logged.release, digest, header=changed), logged)
    logged.release(digest)


def test_a_release_has_one_layout(logged: Any) -> None:
    digest = lease(logged)
    worker = logged.ledger.state.leases[digest].worker
    key, outputs = logged.enclave_key(worker), {"weights": logged.output(digest, "weights", 5008)}
    release = Release(logged.answer_header(digest), digest, worker, outputs, {})
    for payload, reason in ((b" " + encode(release), "DOCUMENT_MALFORMED"), (encode(release), "")):
        envelope = sign_payload(payload, payload_type(Release), key)
        signed = verify_signed(envelope, Release, lambda _: [key.public])
        judge = partial(judge_release, logged.ledger, signed, DIGEST, logged.appraise, logged.times)
        if reason:
            refused(reason, judge, logged)
        else:
            assert judge()["release"] == signed.digest


def test_an_envelope_is_stored_without_what_nobody_verified() -> None:
    keys = [SigningKey.generate() for _ in range(2)]
    stop = Stop(Header("00" * 16, DIGEST, Seen(0, DIGEST)), "a", "pause", DIGEST, "enough")
    noisy = b" " + add_signature(sign(stop, keys[0]), keys[1])
    signed = verify_signed(noisy, Stop, lambda _: [keys[0].public])
    assert bare(signed) == sign(stop, keys[0])


def test_a_release_is_the_leased_workers_once(logged: Any) -> None:
    digest, other = lease(logged), logged.join("worker 2")
    refused("LEASE_UNKNOWN", lambda: logged.release(digest, worker=other), logged)
    elsewhere = logged.header(charter="sha256:" + "c5" * 32)
    refused("OTHER_LOG", lambda: logged.release(digest, header=elsewhere), logged)
    entry = logged.release(digest)
    state = logged.ledger.state.leases[digest]
    assert (state.status, state.receipt, state.released_at) == (
        "released",
        entry["receipt"],
        len(logged.entries) - 1,
    )
    refused("LEASE_PRESENTED_TWICE", lambda: logged.release(digest), logged)
    refused("LEASE_PRESENTED_TWICE", lambda: logged.renew(digest), logged)
    refused("LEASE_CLOSED", lambda: logged.close(digest), logged)


def test_an_attempt_that_was_closed_releases_nothing(logged: Any) -> None:
    first = lease(logged, "worker 1")
    logged.close(first)
    second = lease(logged, "worker 2")
    refused("LEASE_CLOSED", lambda: logged.release(first), logged)
    refused("LEASE_CLOSED", lambda: logged.close(first), logged)
    logged.release(second)


def test_what_the_host_says_of_an_end_is_short_and_printable(logged: Any) -> None:
    digest = lease(logged)
    for why in ("x" * 201, "\u202e", "\ud800"):
        refused("DOCUMENT_MALFORMED", partial(logged.close, digest, why), logged)
    refused("LEASE_UNKNOWN", lambda: logged.close(DIGEST), logged)


def test_the_fold_is_deterministic(logged: Any) -> None:
    logged.release(lease(logged))
    logged.amend(name="Other")
    folded = Ledger(logged)
    folded.replay_all(logged.entries, logged.head())
    one_by_one = Ledger(logged)
    for data in logged.entries:
        one_by_one.replay(json.loads(data), data)
    for other in (folded, one_by_one):
        assert other.state == logged.ledger.state
        assert other.head() == logged.ledger.head()
        assert other.in_force() == logged.ledger.in_force()


def test_a_replay_under_another_root_changes_nothing(logged: Any) -> None:
    ledger = Ledger(logged)
    for entries in (logged.entries[:-1], [*logged.entries, b"{}"], list(reversed(logged.entries))):
        with pytest.raises(Refusal) as refusal:
            ledger.replay_all(entries, logged.head())
        assert refusal.value.reason == "LOG_ENTRY_INVALID"
        assert ledger.tree.size == ledger.state.size == 0
    ledger.replay_all(logged.entries, logged.head())
    with pytest.raises(Refusal):
        ledger.replay_all(logged.entries, logged.head())


def test_after_a_restart_everything_is_judged_as_before(logged: Any) -> None:
    digest = lease(logged)
    proposal = logged.ledger.state.leases[digest].proposal
    logged.forget()
    assert digest_of(encode(logged.ledger.proposal(proposal).document)) == proposal
    logged.release(digest)


def test_what_is_past_its_deadline_or_of_an_earlier_boot_is_closed(ready: Any) -> None:
    ready.given = ready.ticket(ready.proposal(uses=3))
    charged = ready.ledger.state.privacy
    digests = [lease(ready, f"worker {n}", f"job-{n}") for n in (1, 2)]
    assert charged["owner-b"].reserved.keys() == set(digests)
    later(ready, ready.ledger.state.leases[digests[1]].deadline - ready.times.at_most)
    assert judge_lapsed(ready.ledger, ready.times) == []
    ready.renew(digests[0])
    later(ready, 1)
    [entry] = judge_lapsed(ready.ledger, ready.times)
    assert (entry["kind"], entry["lease"], entry["why"]) == ("close", digests[1], "deadline")
    ready.add(entry)
    ready.boot("boot 2")
    [entry] = judge_lapsed(ready.ledger, ready.times)
    assert (entry["kind"], entry["lease"], entry["why"]) == ("close", digests[0], "lost")
    ready.add(entry)
    assert judge_lapsed(ready.ledger, ready.times) == []
    assert not charged["owner-b"].reserved


def test_the_key_of_a_grant_is_over_when_it_is_withdrawn_or_expires(founded: Any) -> None:
    first = founded.give()["grant"]
    first_ends = founded.ledger.grant(first).document.expires
    later(founded, 10)
    second = founded.give(expires=first_ends + 1000)["grant"]
    state = founded.ledger.state
    founded.record(founded.stop("owner-b", "withdraw", second), "owner-b")
    assert state.over == [f"grant/{second}"]
    later(founded, first_ends - founded.times.at_most)
    founded.boot("boot 2")
    assert state.over == []
    later(founded, 1)
    founded.boot("boot 3")
    assert state.over == [f"grant/{first}"]
    founded.boot("boot 4")
    assert state.over == []


def test_a_job_is_named_after_its_proposal(logged: Any) -> None:
    """So that no host gives a job to another proposal than the one that its submitter knows."""
    admission, worker = logged.admitted(logged.given, "job-1"), logged.join()
    for name in ("job-1", "0" * 40 + "-1", logged.job_of(logged.given, "1").replace("-", "")):
        judge = partial(logged.lease_admitted, admission, worker, name)
        refused("DOCUMENT_MALFORMED", judge, logged)
    logged.lease(logged.given, worker, "job-1")
