# SPDX-License-Identifier: Apache-2.0
"""What federations cost their clients."""

from fractions import Fraction
from typing import Any

import pytest

from placet.governance.documents import UNBOUNDED, Budget, Cost, Input, Layout, Receipt, Tensor
from placet.governance.documents.federation import LIMIT
from placet.governance.envelope import inspect
from placet.governance.judgements.admission import judge_stop
from placet.governance.judgements.federation import judge_initial
from placet.governance.privacy import epsilon_at, gaussian_cost
from placet.sealing import HPKEPrivateKey

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


@pytest.fixture
def private(world: Any, make_federation: Any) -> Any:
    return make_federation(world, noise="1", largest_weight=1)


def _charged(federation: Any, client: str) -> Any:
    return federation.ledger.state.charged(client)


ONE = gaussian_cost(LIMIT, LIMIT)


def test_each_client_that_counts_is_charged_for_each_model(private: Any, audited: Any) -> None:
    for number in (1, 2):
        private.round("ana-a", "cem-b")
        for client in ("ana-a", "cem-b"):
            assert private.ledger.state.privacy[client].spent == sum([ONE] * number, Cost())
            assert not private.ledger.state.privacy[client].reserved
    assert _charged(private, "dia-c") == Cost()
    audited(private)


def test_a_round_without_a_model_costs_nothing(private: Any, audited: Any) -> None:
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
    audited(private)


def test_a_round_out_of_attempts_costs_nothing(private: Any, audited: Any) -> None:
    private.open()
    private.send("ana-a")
    private.send("cem-b")
    private.later(601)
    private.close()
    for _ in range(2):
        private.world.close(private.lease()["lease"])
        assert _charged(private, "ana-a") == ONE
    private.settle()
    assert _charged(private, "ana-a") == Cost()
    audited(private)


def test_a_client_s_bound_is_on_its_whole_ledger(private: Any, refused: Any, audited: Any) -> None:
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
    audited(private)


def test_without_noise_a_bound_refuses(federation: Any, refused: Any) -> None:
    federation.open()
    refused("PRIVACY_BUDGET", lambda: federation.send("ana-a", epsilon="1000", delta="0.1"))
    federation.send("ana-a")
    assert _charged(federation, "ana-a") == UNBOUNDED


def test_a_receipt_says_what_was_charged(private: Any) -> None:
    private.round("ana-a", "cem-b")
    lease = private.ledger.state.leases[private.state.model]
    said = inspect(private.world.store[lease.receipt], Receipt).predicate.privacy
    assert (said.charges, said.declared) == ({"ana-a": ONE, "cem-b": ONE}, False)


def test_the_owner_of_the_first_model_is_charged_without_bound(
    world: Any, refused: Any, audited: Any, make_federation: Any
) -> None:
    """Noise hides updates; the model that they are added to is nowhere hidden."""
    model = world.descriptor("model", length=15 * 4)
    given = Input(model, "owner-b")
    federation = make_federation(world, noise="1", largest_weight=1, model=given)
    wide = dict.fromkeys(("parameters", "programs", "recipients", "combine_with"), "any")
    world.give(object=model, privacy=Budget("1000000", "0.5"), **wide)
    refused("PRIVACY_BUDGET", federation.open)
    world.give(object=model, **wide)
    federation.open()
    # The roster has been able to ask for it since, whatever becomes of the round.
    assert _charged(federation, "owner-b") == UNBOUNDED
    federation.later(601)
    assert federation.close()["standing"] == "void"
    assert _charged(federation, "owner-b") == UNBOUNDED
    federation.round("ana-a", "cem-b")
    assert (_charged(federation, "owner-b"), _charged(federation, "ana-a")) == (UNBOUNDED, ONE)
    audited(federation)


@pytest.mark.parametrize("closed", [False, True])
def test_a_round_that_a_stop_ends_costs_nothing(private: Any, audited: Any, closed: bool) -> None:
    """A pause is for good: what the round's updates have reserved would be lost to their clients
    for ever."""
    private.open()
    for client in ("ana-a", "cem-b"):
        private.send(client)
    if closed:
        private.later(601)
        private.close()
        private.lease()
    world = private.world
    stop = world.signed(world.stop("chair-a", "pause", private.digest), "chair-a")
    world.add(judge_stop(private.ledger, stop, world.times), stop)
    private.settle()
    assert private.state.current.status == "void"
    assert _charged(private, "ana-a") == _charged(private, "cem-b") == Cost()
    audited(private)


def test_an_amendment_ends_a_round_once_no_lease_can_release_it(
    private: Any, refused: Any, audited: Any
) -> None:
    private.open()
    for client in ("ana-a", "cem-b"):
        private.send(client)
    private.later(601)
    private.close()
    lease = private.lease()
    private.world.end_proposals()
    assert private.settle() is None
    assert _charged(private, "ana-a") == ONE
    private.world.close(lease["lease"])
    private.settle()
    assert private.state.current.status == "void"
    assert _charged(private, "ana-a") == Cost()
    audited(private)


def test_an_amendment_ends_the_taking_in(private: Any, refused: Any, audited: Any) -> None:
    private.open()
    private.send("ana-a")
    private.world.end_proposals()
    private.settle()
    assert _charged(private, "ana-a") == Cost()
    refused("OTHER_CONSTITUTION", lambda: private.send("cem-b"))
    audited(private)


def test_opening_a_round_is_a_use_of_the_initial_models_grant(
    world: Any, refused: Any, audited: Any, make_federation: Any
) -> None:
    model = world.descriptor("model", length=15 * 4)
    federation = make_federation(world, model=Input(model, "owner-b"))
    wide = dict.fromkeys(("parameters", "programs", "recipients", "combine_with"), "any")
    once = world.give(object=model, uses=1, **wide)["grant"]
    [opened] = federation.open()
    assert opened["grants"] == [once]
    proposal = federation.ledger.proposal(federation.digest)
    assert judge_initial(federation.ledger, proposal, world.times) == once
    # The lease of this round is the same use; another round, or another federation, is another.
    for client in ("ana-a", "cem-b"):
        federation.send(client)
    federation.later(601)
    federation.close()
    assert federation.lease()["grants"] == [once]
    second = world.proposal(action="federate", uses=4, body=federation.terms)
    federation.ticket = world.ticket(second)
    refused("GRANT_USED_UP", federation.open)
    audited(federation)


def test_the_initial_model_is_handed_out_by_the_grant_that_counts_it(
    world: Any, refused: Any, make_federation: Any
) -> None:
    model = world.descriptor("model", length=15 * 4)
    federation = make_federation(world, model=Input(model, "owner-b"))
    wide = dict.fromkeys(("parameters", "programs", "recipients", "combine_with"), "any")
    once = world.give(object=model, uses=1, **wide)["grant"]
    federation.open()
    another = world.give(object=model, uses=1, **wide)["grant"]
    proposal = federation.ledger.proposal(federation.digest)
    assert judge_initial(federation.ledger, proposal, world.times) == once
    world.record(world.stop("owner-b", "withdraw", once), "owner-b")
    refused("GRANT_MISSING", lambda: judge_initial(federation.ledger, proposal, world.times))
    assert federation.ledger.state.grants[another].jobs == set()


def test_a_part_without_noise_costs_without_bound(world: Any, make_federation: Any) -> None:
    """The noise on the rest hides nothing of it, so no epsilon may be said of a model."""
    terms: dict[str, Any] = {"noise": "1", "largest_weight": 1}
    spared = make_federation(world, buffers={"b": "mean-without-noise"}, **terms)
    spared.round("ana-a", "cem-b")
    assert _charged(spared, "ana-a") == UNBOUNDED
    kept = make_federation(type(world)(), buffers={"b": "keep"}, **terms)
    kept.round("ana-a", "cem-b")
    assert _charged(kept, "ana-a") == ONE
