# SPDX-License-Identifier: Apache-2.0
"""What a host, a user and an author of a service can still do, done
(docs/threat-model-tests.md)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.governance.documents import Amendment, Proposal, Rations, When
from placet.governance.envelope import inspect, parse_envelope, sign
from placet.governance.keys import SigningKey
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2
from placet.refusals import Refused
from tests.support import serving
from tests.support.council import Council


def test_renewals_that_a_host_makes_up_keep_a_worker_running(play: Any, tmp_path: Path) -> None:
    """It answers after a stop what it has drawn, renewal after renewal; more is not drawn for
    it."""

    async def story(service: Any) -> None:
        ask = service.host.ask

        async def relay(kind: Any, message: Any, **options: Any) -> Any:
            if kind == enclaves_pb2.KIND_RENEW:
                return enclaves_pb2.Renewed(remaining_ms=2000).SerializeToString()
            return await ask(kind, message, **options)

        worker = serving.WorkerProcess(service, tmp_path)
        await worker.begin()
        await worker.ask(await worker.session(), [[1]])
        service.host.ask = relay
        await service.stage.record(service.council.stop("s0", "pause", service.digest))
        first = len(service.host.offers[worker.lease])
        session = await worker.session(number=first + 2)  # an offer a renewal
        mean = await worker.ask(session, [[2]])
        assert np.allclose(mean, serving.TABLE[[[2]]].mean(1))
        request = enclaves_pb2.DrawRequest(lease=worker.lease, user="engineer", rows=1)
        with pytest.raises(Refused) as refusal:
            await ask(enclaves_pb2.KIND_DRAW, request, peer=worker.name)
        # Its lease, which only the host has renewed, may be over as well, and is said first then.
        assert refusal.value.reason in ("STOPPED", "LEASE_EXPIRED")
        worker.process.kill()
        await worker.exit()

    play(story, lease_seconds=2)


def test_it_has_rows_drawn_in_the_name_of_somebody_who_asked_nothing(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        request = enclaves_pb2.DrawRequest(lease=worker.lease, user="hospital", rows=20)
        for _ in range(2):
            await service.host.ask(enclaves_pb2.KIND_DRAW, request, peer=worker.name)
        drawn = [(entry["user"], entry["rows"]) for entry in service.entries("draw")]
        assert drawn == [("hospital", 20)] * 2
        with pytest.raises(Refused) as refusal:
            await service.host.ask(enclaves_pb2.KIND_DRAW, request, peer=worker.name)
        assert refusal.value.reason == "ANSWERS_USED_UP"

    play(story, rations=Rations(user=40, total=100, minute=1000, tranche=20))


def test_a_user_copies_a_model_by_asking(play: Any) -> None:
    """This one takes a question a word; how many questions another takes is a matter of its
    kind."""

    async def story(service: Any) -> None:
        worker = await service.worker()
        session = await worker.session()
        words = [[word] for word in range(len(serving.TABLE))]
        copy = await worker.ask(session, words)
        assert np.array_equal(copy, serving.TABLE)

    play(story)


def test_an_offer_shows_names_and_shapes_of_a_sealed_model(play: Any) -> None:
    async def story(service: Any) -> None:
        worker = await service.worker()
        offer = (await worker.offer()).document
        assert [(port.name, port.dtype) for port in offer.inputs] == [("ids", "int64")]
        assert [port.shape[-1] for port in offer.answers] == [4]

    play(story)


def test_a_key_that_was_replaced_asks_the_workers_that_run(scene: Any) -> None:
    council = Council(lease_seconds=60)
    [rule] = council.constitution.rules
    rules = tuple(
        replace(rule, id=action, when=When((action,), "any", "any"))
        for action in ("job", "serve", "amend")
    )
    council.constitution = replace(council.constitution, rules=rules)
    model = serving.Sealed(serving.words())

    async def story(stage: Any) -> None:
        await stage.provision(model)
        stage.host.blobs[model.descriptor.id] = model.data
        service = serving.Service(stage, model)
        worker = await service.worker()
        await _replace_key(stage, service, "engineer")
        assert len(await worker.ask(await worker.session("engineer"), [[1]])) == 1

    scene(story, council)


async def _replace_key(stage: Any, service: Any, party: str) -> None:
    """An amendment gives a party another key."""
    council, old = stage.council, stage.council.constitution
    parties = tuple(
        replace(p, keys=(SigningKey.generate().public,)) if p.id == party else p
        for p in old.parties
    )
    changes = {"version": 2, "predecessor": council.digest, "parties": parties}
    successor = sign(replace(old, nonce="02" * 16, **changes), council.seats["s0"])
    body = Amendment(parse_envelope(successor).digest)
    asked = replace(
        inspect(service.proposal, Proposal),
        header=council.header(),
        action="amend",
        body=body,
        uses=1,
    )
    proposal = sign(asked, council.submitter)
    ticket = common_pb2.Ticket(proposal=proposal, ballots=council.ballots(proposal))
    request = governance_pb2.AmendRequest(ticket=ticket, constitution=successor)
    await stage.host.ask(enclaves_pb2.KIND_AMEND, request)
