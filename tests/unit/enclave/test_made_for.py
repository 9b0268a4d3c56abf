# SPDX-License-Identifier: Apache-2.0
"""Workers whose measurement is made for one program, as under Gramine. The constitution says for
which, and no owner can say otherwise, to the authority or to an audit."""

import time
from dataclasses import replace
from typing import Any

import pytest

from placet.auditing.audit import audit
from placet.builds.measurement import measurements
from placet.client.log.auditing import GivenDocuments, attest
from placet.enclave.authority.joins import Joins
from placet.enclave.worker.joining import join
from placet.governance.codec import parse_object
from placet.governance.documents import Evidence
from placet.governance.envelope import parse_envelope
from placet.governance.jobs import job_name
from placet.proto.v1 import enclaves_pb2
from placet.refusals import LogEntryInvalid, Refused
from tests.support.council import Council, seal
from tests.support.policies import simulated

PROGRAM = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def made_for(program: str, **changed: Any) -> Evidence:
    """A policy that says which program the worker's measurement is made for."""
    listed = [f"{measurement}={program}" for measurement in measurements("worker")]
    worker = {"measurements": listed, **changed}
    return Evidence(simulated("authority"), simulated("worker", **worker))


class Founded(Council):
    """A council whose constitution says that the measurement is made for the program."""

    def __init__(self) -> None:
        super().__init__()
        self.constitution = replace(self.constitution, evidence=made_for(PROGRAM))


async def leased(stage: Any, evidence: Evidence) -> None:
    """A lease under a grant of that policy, for a worker whose register says nothing."""
    sealed = seal(b"plain")
    await stage.provision(sealed, evidence=evidence)
    attester = stage.machine.attester("worker", "")
    member = await join(await stage.connect("w1"), attester, PROGRAM, int(time.time()))
    ticket = stage.council.ticket(PROGRAM, {"data": sealed.descriptor})
    job = job_name(parse_envelope(ticket.proposal).digest, "j1")
    worker = member.keys.identity.digest
    request = enclaves_pb2.LeaseRequest(ticket=ticket, worker=worker, job=job)
    await stage.host.ask(enclaves_pb2.KIND_LEASE, request)


def nothing(*_: object) -> None:
    """Appraise nobody."""


def audited(stage: Any) -> Any:
    host = stage.host
    documents = GivenDocuments(host.documents)
    return audit(host.entries, documents, stage.council.name, host.checkpoint, attest=attest)


LISTED = measurements("worker")
WANTED = {
    "made for the program": made_for(PROGRAM),
    "launched for the program": made_for(PROGRAM, measurements=LISTED, launched_for=[PROGRAM]),
}
DENIED = {
    "made for another": made_for(OTHER),
    "launched for another": made_for(PROGRAM, measurements=LISTED, launched_for=[OTHER]),
    "launched for nothing": made_for(PROGRAM, measurements=LISTED, launched_for="none"),
}


@pytest.mark.parametrize("evidence", WANTED.values(), ids=WANTED)
def test_an_owner_may_demand_what_the_constitution_says(scene: Any, evidence: Evidence) -> None:
    async def story(stage: Any) -> None:
        await leased(stage, evidence)
        assert "lease" in {parse_object(entry)["kind"] for entry in stage.host.entries}
        assert audited(stage).complete

    scene(story, Founded())


@pytest.mark.parametrize("evidence", DENIED.values(), ids=DENIED)
def test_an_owner_who_says_otherwise_gives_no_key(
    scene: Any, monkeypatch: pytest.MonkeyPatch, evidence: Evidence
) -> None:
    """Another authority may look away; an audit of its log does not."""

    async def refuses(stage: Any) -> None:
        with pytest.raises(Refused) as refusal:
            await leased(stage, evidence)
        assert refusal.value.reason == "APPRAISAL_REFUSED"
        assert audited(stage).complete

    async def looks_away(stage: Any) -> None:
        monkeypatch.setattr(Joins, "appraise", nothing)
        await leased(stage, evidence)
        with pytest.raises(LogEntryInvalid, match="launched_for"):
            audited(stage)

    scene(refuses, Founded())
    scene(looks_away, Founded())
