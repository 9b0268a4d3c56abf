# SPDX-License-Identifier: Apache-2.0
"""A worker joins only the authority that its log's constitution wants, and runs only what it was
launched for."""

import time
from dataclasses import replace
from typing import Any

from placet.enclave.connection import Connection
from placet.enclave.worker.joining import join
from placet.proto.v1 import enclaves_pb2
from tests.support.council import Council
from tests.support.policies import simulated

PROGRAM = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


async def reason(stage: Any, change: Any = None, program: str = PROGRAM) -> str:
    """Join through a relay that changes what passes."""
    relay = stage.host.ask

    async def changed(kind: Any, message: Any, *, peer: str = "") -> bytes:
        reply: bytes = await relay(kind, message, peer=peer)
        return change(kind, reply) if change else reply

    stage.host.ask = changed
    try:
        connection: Connection = await stage.connect("w")
        attester = stage.machine.attester("worker", PROGRAM)
        await join(connection, attester, program, int(time.time()))
    except Exception as error:  # noqa: BLE001 - whatever it was, its reason is compared
        return str(getattr(error, "reason", repr(error)))
    finally:
        stage.host.ask = relay
    return "joined"


def test_a_relay_that_changes_the_offer_is_found_out(scene: Any) -> None:
    async def story(stage: Any) -> None:
        first: list[bytes] = []

        def offered(**fields: Any) -> Any:
            def change(kind: Any, reply: bytes) -> bytes:
                if kind != enclaves_pb2.KIND_JOIN_HELLO:
                    return reply
                offer = enclaves_pb2.JoinOffer.FromString(reply)
                first.append(reply)
                for name, value in fields.items():
                    if name == "constitutions":
                        del offer.constitutions[:]
                        offer.constitutions.extend(value)
                    else:
                        setattr(offer, name, value)
                return offer.SerializeToString()

            return change

        stranger = Council()
        stranger.log = stage.council.log
        theirs = stranger.founding()
        assert await reason(stage, offered()) == "joined"
        cases: list[tuple[dict[str, Any], str]] = [
            ({"charter": theirs.charter}, "SIGNATURE_INVALID"),
            ({"constitutions": [theirs.constitution]}, "SIGNATURE_INVALID"),
            (
                {"constitutions": [theirs.constitution], "charter": theirs.charter},
                "OTHER_LOG",  # the authority says in its identity which charter its log has
            ),
            ({"constitutions": []}, "OTHER_CONSTITUTION"),
            ({"identity": b"{}"}, "IDENTITY_MALFORMED"),
            ({"evidence": b"{}"}, "EVIDENCE_MALFORMED"),
            ({"checkpoint": b"another"}, "EVIDENCE_BINDING"),
            ({"nonce": bytes(32)}, "EVIDENCE_BINDING"),
            ({"nonce": b""}, "EVIDENCE_NONCE"),
        ]
        for fields, expected in cases:
            assert await reason(stage, offered(**fields)) == expected, fields

        # An offer that was recorded is for another nonce.
        def replayed(kind: Any, reply: bytes) -> bytes:
            return first[0] if kind == enclaves_pb2.KIND_JOIN_HELLO else reply

        assert await reason(stage, replayed) == "EVIDENCE_BINDING"

    scene(story)


def test_a_worker_refuses_another_bundle_than_it_was_launched_for(scene: Any) -> None:
    async def story(stage: Any) -> None:
        assert await reason(stage, program=OTHER) == "PROGRAM_OTHER"

        def lie(kind: Any, reply: bytes) -> bytes:
            if kind != enclaves_pb2.KIND_JOIN:
                return reply
            joined = enclaves_pb2.Joined.FromString(reply)
            joined.worker = OTHER
            return joined.SerializeToString()

        assert await reason(stage, lie) == "LEASE_INVALID"

    scene(story)


def test_an_authority_is_appraised_by_its_measurement(scene: Any) -> None:
    council = Council()
    evidence = replace(council.evidence, authority=simulated("worker"))
    council.constitution = replace(council.constitution, evidence=evidence)

    async def story(stage: Any) -> None:
        assert await reason(stage) == "APPRAISAL_REFUSED"

    scene(story, council)
