# SPDX-License-Identifier: Apache-2.0
"""Evidence that does not convince: of the authority before its callers, of workers before owners
and the council."""

import base64
import dataclasses
import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from placet.attestation import Policy
from placet.builds.measurement import measure, measurements
from placet.client import EvidenceFile
from placet.governance.documents import Evidence
from placet.proto.v1 import keys_pb2
from tests.support.policies import simulated

# What a verifier wants instead: another kind, another measurement, the other role, and so on.
WANTED: dict[str, tuple[dict[str, Any], str]] = {
    "another kind": ({"kinds": ("sgx", "tdx")}, "kind"),
    "another measurement": ({"measurements": ("ab" * 32,)}, "measurement"),
    "another signer": ({"signers": ("ab" * 32,)}, "signer"),
    "another machine": ({"platforms": ("ab" * 16,)}, "platform"),
    "a newer version": ({"min_svn": 999}, "svn"),
    "a newer collateral": ({"min_tcb_evaluation": 10**6}, "tcb_evaluation"),
    "another TCB status": ({"tcb_statuses": ("SWHardeningNeeded",)}, "tcb_status"),
}


@pytest.mark.parametrize("case", WANTED)
def test_an_authority_that_is_not_the_one_wanted(world: Any, case: str) -> None:
    changed, claim = WANTED[case]
    policy = Policy.from_dict(simulated("authority", **changed))
    call = lambda: world.client.authority.verify(policy)
    world.refused(call, "APPRAISAL_REFUSED", "expected", "actual", claim=claim)


def test_an_authority_of_another_role(world: Any) -> None:
    policy = Policy.from_dict(simulated("worker"))
    expected = {"expected": " or ".join(measurements("worker")), "actual": measure("authority")}
    call = lambda: world.client.authority.verify(policy)
    world.refused(call, "APPRAISAL_REFUSED", claim="measurement", **expected)


def test_an_owner_gives_no_key_to_an_authority_they_do_not_want(world: Any) -> None:
    made = world.seal(b"mine")
    wanted = Evidence(simulated("worker"), simulated("worker"))
    grant = world.client.grants.sign(world.owner, made.descriptor, world.terms(evidence=wanted))
    key = made.open_key(world.owner.hpke)
    call = lambda: world.client.grants.provision(world.owner, grant, key)
    world.refused(call, "APPRAISAL_REFUSED", "expected", "actual", claim="measurement")


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_nonce_that_is_missing_or_has_another_size(world: Any, size: int) -> None:
    request = keys_pb2.EvidenceRequest(nonce=os.urandom(size))
    call = lambda: world.stubs.keys.GetEvidence(request, metadata=world.metadata)
    world.refused(call, "EVIDENCE_NONCE", "claim", "expected", "actual")


def quote(change: Callable[[bytearray], object]) -> Callable[[EvidenceFile], EvidenceFile]:
    """The same evidence around another quote."""

    def changed(shown: EvidenceFile) -> EvidenceFile:
        value = json.loads(shown.evidence)
        data = bytearray(base64.b64decode(value["quote"]))
        change(data)
        value["quote"] = base64.b64encode(data).decode()
        return dataclasses.replace(shown, evidence=as_written(value))

    return changed


def as_written(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def with_kind(kind: str) -> Callable[[EvidenceFile], EvidenceFile]:
    def changed(shown: EvidenceFile) -> EvidenceFile:
        value = {**json.loads(shown.evidence), "kind": kind}
        return dataclasses.replace(shown, evidence=as_written(value))

    return changed


def flip(data: bytearray) -> None:
    data[200] ^= 1


def debug(data: bytearray) -> None:
    data[48 + 48] |= 2  # the attributes of the report body, behind the header of 48 bytes


# What a host, or anybody on the way, could show instead.
SHOWN: dict[str, tuple[Callable[[EvidenceFile], EvidenceFile], str]] = {
    "another nonce": (lambda e: dataclasses.replace(e, nonce=bytes(32)), "EVIDENCE_BINDING"),
    "no nonce": (lambda e: dataclasses.replace(e, nonce=b""), "EVIDENCE_NONCE"),
    "another checkpoint": (
        lambda e: dataclasses.replace(e, checkpoint=b""),
        "EVIDENCE_BINDING",
    ),
    "a simulation that says it is hardware": (with_kind("sgx"), "EVIDENCE_INVALID"),
    "no known kind": (with_kind("mine"), "EVIDENCE_MALFORMED"),
    "a changed quote": (quote(flip), "EVIDENCE_INVALID"),
    "a debug bit": (quote(debug), "EVIDENCE_INVALID"),
    "a truncated quote": (quote(lambda data: data.pop()), "EVIDENCE_MALFORMED"),
    "something after the quote": (quote(lambda data: data.append(0)), "EVIDENCE_MALFORMED"),
    "truncated evidence": (
        lambda e: dataclasses.replace(e, evidence=e.evidence[:-1]),
        "EVIDENCE_MALFORMED",
    ),
    "an unknown field": (
        lambda e: dataclasses.replace(e, evidence=e.evidence[:-1] + b',"more":1}'),
        "EVIDENCE_MALFORMED",
    ),
    "oversized evidence": (
        lambda e: dataclasses.replace(e, evidence=e.evidence + b" " * 2**18),
        "EVIDENCE_MALFORMED",
    ),
    "another identity": (
        lambda e: dataclasses.replace(
            e, identity=as_written({**json.loads(e.identity), "boot": "00" * 16})
        ),
        "EVIDENCE_BINDING",
    ),
    "an identity of another role": (
        lambda e: dataclasses.replace(
            e, identity=as_written({**json.loads(e.identity), "role": "worker"})
        ),
        "IDENTITY_MALFORMED",
    ),
}


@pytest.mark.parametrize("case", SHOWN)
def test_evidence_that_was_changed_on_its_way(world: Any, case: str) -> None:
    change, reason = SHOWN[case]
    policy = Policy.from_dict(simulated("authority"))
    shown = change(world.client.authority.evidence())
    call = lambda: shown.verify(
        policy, now=int(time.time()), log=world.client.log.key, charter=world.client.log.charter
    )
    world.refused(call, reason)


def test_evidence_for_another_log(world: Any) -> None:
    policy, shown = Policy.from_dict(simulated("authority")), world.client.authority.evidence()
    log = world.client.log.key.replace("refusals", "elsewhere")
    call = lambda: shown.verify(
        policy, now=int(time.time()), log=log, charter=world.client.log.charter
    )
    world.refused(call, "OTHER_LOG", "claim", "expected", "actual")


@pytest.mark.parametrize("case", WANTED)
def test_an_owner_s_data_goes_to_no_worker_they_do_not_want(world: Any, case: str) -> None:
    """The ticket is good and the worker has joined; the lease is refused, and no use is taken."""
    changed, claim = WANTED[case]
    wanted = Evidence(simulated("authority"), simulated("worker", **changed))
    data = world.data(b"mine", evidence=wanted)
    program = world.bundle(world.copy).digest
    ticket = world.ticket(world.job(program, {"data": data}))
    size = world.client.log.checkpoint().size
    job = world.client.runs.wait(world.client.runs.start(ticket).id)
    assert job.state == "failed"
    world.check_refusal(job.refusal, "APPRAISAL_REFUSED", "expected", "actual", claim=claim)
    assert {entry["kind"] for entry in world.entries()[size:]} <= {"join"}


def test_a_council_that_wants_other_workers_gets_none(new_world: Any) -> None:
    """No worker can join: jobs end, the log holds neither joins nor leases, and the authority works
    on."""
    world = new_world().start(founding=False)
    evidence = Evidence(simulated("authority"), simulated("worker", measurements=("ab" * 32,)))
    world.found(world.constitution(evidence=evidence))
    program = world.bundle("def main(job): pass\n").digest
    ticket = world.ticket(world.job(program, {"data": world.data()}))
    before = world.client.log.checkpoint()
    job = world.client.runs.wait(world.client.runs.start(ticket).id)
    assert job.state == "failed"
    world.check_refusal(job.refusal, "APPRAISAL_REFUSED")
    assert str(job.refusal).startswith("No worker can be started for the program.")
    assert ' code=78 reason=APPRAISAL_REFUSED said="' in world.host_log()
    assert world.client.log.checkpoint() == before
    world.vote(world.client.runs.proposal(job.id).digest, "cleo")
    world.stop()
