# SPDX-License-Identifier: Apache-2.0
"""What a round may still do: each step asks whether the federation would be let through now."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from placet.governance.documents import ModelRequest
from placet.governance.judgements.federation import verify_model_request
from placet.refusals import Refusal
from placet.sealing import HPKEPrivateKey

Stop = Callable[[Any, str], object]

STOPS: dict[str, tuple[str, Stop]] = {
    "a revoked seat": (
        "RULE_NOT_MET",
        lambda w, _: w.record(w.stop("data-b", "revoke-seat", "ethics-c"), "data-b"),
    ),
    "an approval that was taken back": (
        "RULE_NOT_MET",
        lambda w, p: w.record(w.ballot("ethics-c", p, "abstain", sequence=2), "ethics-c"),
    ),
    "a veto": (
        "VETOED",
        lambda w, p: w.record(w.ballot("data-b", p, "non placet", sequence=2), "data-b"),
    ),
}


@pytest.mark.parametrize("case", STOPS)
def test_no_update_is_taken_and_no_model_released(
    federation: Any, case: str, refused: Callable[..., Any]
) -> None:
    reason, stop = STOPS[case]
    federation.round("ana-a", "cem-b")
    federation.open()
    federation.send("ana-a")
    federation.send("cem-b")
    federation.later(601)
    federation.close()
    lease = federation.lease()
    stop(federation.world, federation.digest)
    refused(reason, lambda: federation.world.renew(lease["lease"]))
    refused(reason, lambda: federation.aggregate(lease))
    federation.world.close(lease["lease"])
    refused(reason, federation.lease)


@pytest.mark.parametrize("case", STOPS)
def test_no_round_opens_and_no_client_pays_for_one(
    federation: Any, case: str, refused: Callable[..., Any]
) -> None:
    reason, stop = STOPS[case]
    federation.open()
    stop(federation.world, federation.digest)
    refused(reason, lambda: federation.send("ana-a"))
    federation.later(601)
    federation.close()
    refused(reason, federation.open)


def test_no_update_is_taken_that_no_lease_could_aggregate(
    federation: Any, refused: Callable[..., Any]
) -> None:
    federation.later(86400 - 100)
    federation.open()
    federation.send("ana-a")
    federation.later(101)  # the round is open still, and the window is not
    refused("TICKET_EXPIRED", lambda: federation.send("cem-b"))


def test_a_revoked_seat_takes_part_in_nothing(world: Any, make_federation: Any) -> None:
    """Nor does whoever has its key: no update is taken, no model sealed to it, and nobody waits."""
    federation = make_federation(world, roster=("chair-a", "data-b", "cem-b"))
    federation.round("chair-a", "cem-b")
    key = HPKEPrivateKey.generate("X25519").public.to_text()
    asked = ModelRequest(world.header(), federation.digest, 1, "data-b", key)
    verify_model_request(federation.ledger, world.signed(asked, "data-b"))
    federation.open()
    world.record(world.stop("second-a", "revoke-seat", "data-b"), "second-a")
    for call in (
        lambda: federation.send("data-b"),
        lambda: verify_model_request(federation.ledger, world.signed(asked, "data-b")),
    ):
        with pytest.raises(Refusal) as refusal:
            call()
        assert refusal.value.reason == "NOT_ON_ROSTER"
    federation.send("chair-a")
    federation.send("cem-b")
    assert federation.close()["standing"] == "closed"


def test_a_model_is_for_those_whom_the_roster_meant(federation: Any, refused: Any) -> None:
    """Not for whom an amendment has put under the name, nor for a key that was replaced."""
    federation.round("ana-a", "cem-b")
    world, key = federation.world, HPKEPrivateKey.generate("X25519").public.to_text()

    def ask(client: str, signer: str) -> object:
        asked = ModelRequest(world.header(), federation.digest, 1, client, key)
        return verify_model_request(federation.ledger, world.signed(asked, signer))

    parties = world.constitution.parties
    other = (world.key("another").public,)
    world.amend(parties=tuple(replace(p, keys=other) if p.id == "ana-a" else p for p in parties))
    refused("SIGNATURE_INVALID", lambda: ask("ana-a", "another"))
    refused("SIGNATURE_INVALID", lambda: ask("ana-a", "ana-a"))
    ask("cem-b", "cem-b")


def test_no_amendment_makes_two_organisations_of_one(federation: Any, refused: Any) -> None:
    """What is counted is what the clients took part under, also in a round that is leased."""
    world = federation.world
    federation.open()
    for client in ("ana-a", "ben-a", "cem-b"):
        federation.send(client)
    federation.later(601)
    federation.close()
    lease = federation.lease()
    parties = world.constitution.parties
    world.amend(
        parties=tuple(replace(p, organisation="org-d") if p.id == "ben-a" else p for p in parties)
    )
    left = {"cem-b": "NORM_EXCEEDED"}
    refused("COHORT_TOO_SMALL", lambda: federation.aggregate(lease, left))
    federation.aggregate(lease, left, released=False)
