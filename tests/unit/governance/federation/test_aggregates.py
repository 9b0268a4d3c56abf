# SPDX-License-Identifier: Apache-2.0
"""What a round releases, who is left out of it, and who gets the model."""

from dataclasses import replace
from functools import partial
from typing import Any

from placet.governance.documents import Layout, ModelRequest, Tensor
from placet.governance.jobs import round_job
from placet.governance.judgements.admission import admit
from placet.governance.judgements.federation import (
    judge_lift,
    judge_open_round,
    verify_model_request,
)
from placet.sealing import HPKEPrivateKey, padded_length

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


def test_who_left_sits_out_and_is_let_in_again(federation: Any, refused: Any, audited: Any) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "NORM_EXCEEDED"})
    assert [e["kind"] for e in federation.open()] == ["open-round"]
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
        lambda: judge_open_round(
            federation.ledger, admission.ticket.proposal, ROUND_KEY, federation.world.times
        ),
    )
    assert [e["kind"] for e in federation.open()] == ["lift", "open-round"]
    federation.send("dia-c")
    audited(federation)


def test_nobody_is_let_in_too_early_or_twice(federation: Any, refused: Any) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "NORM_EXCEEDED"})
    for client in ("dia-c", "ana-a"):
        refused(
            "CLIENT_QUARANTINED",
            partial(
                judge_lift, federation.ledger, federation.digest, client, federation.world.times
            ),
        )


def test_too_few_left_is_a_round_without_a_model(
    federation: Any, refused: Any, audited: Any
) -> None:
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
    audited(federation)


def test_a_worker_cannot_hold_back_what_is_due_or_leave_out_strangers(
    federation: Any, refused: Any
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


def test_a_job_s_release_leaves_nobody_out(ready: Any, refused: Any) -> None:
    ticket = ready.ticket()
    lease = ready.lease(ticket, ready.join())
    refused(
        "OUTPUT_UNDECLARED", lambda: ready.release(lease["lease"], left={"ana-a": "NORM_EXCEEDED"})
    )


def test_a_model_is_for_the_roster(federation: Any, refused: Any) -> None:
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
