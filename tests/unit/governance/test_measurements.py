# SPDX-License-Identifier: Apache-2.0
"""A measurement has one form from evidence to entries, whatever the hardware, and can be revoked.

The evidence is genuine: quotes and reports of real form, below roots of the tests' own.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet.attestation import (
    SIMULATION_ROOT,
    Claims,
    Evidence,
    Policy,
    verify_appraisal,
    verify_evidence,
)
from placet.attestation import claims as attested
from placet.attestation.dcap import verify_dcap
from placet.attestation.evidence import KINDS
from placet.attestation.snp import verify_snp
from placet.auditing.entry_form import has_form
from placet.governance import checks
from placet.governance.codec import decode, encode
from placet.governance.documents import Stop
from placet.governance.envelope import digest_of
from placet.governance.judgements.leasing import judge_join
from placet.host.simulation.platform import make_platform
from placet.host.simulation.quote import EnclaveReport, QuotingEnclave
from placet.host.simulation.root import published_root
from placet.refusals import DocumentMalformed, EvidenceMalformed, PolicyInvalid, Refusal
from tests.support.machines import intel
from tests.support.machines.amd import Vendor
from tests.support.policies import ANY_MACHINE, policy
from tests.support.world import World

NOW = 1_800_000_000
PROGRAM = "sha256:" + "ab" * 32
BOUND = bytes.fromhex("ab" * 32)
REGISTERS = st.binary(min_size=48, max_size=48)


council = World()


@functools.cache
def vendor() -> Vendor:
    return Vendor()


@functools.cache
def platform() -> Any:
    return make_platform(published_root(), bytes(16), NOW)


@functools.cache
def tdx_platform() -> Any:
    return intel.tdx_platform(published_root(), bytes(16), NOW)


def _enclave(register: bytes) -> bytes:
    report = EnclaveReport(register[:32], BOUND + bytes(32), bytes(64))
    return QuotingEnclave(platform()).quote(report)


def _simulated(register: bytes) -> Claims:
    evidence = Evidence("simulation", _enclave(register), platform().collateral)
    return verify_evidence(evidence, now=NOW)


def _sgx(register: bytes) -> Claims:
    evidence = Evidence("sgx", _enclave(register), platform().collateral)
    return verify_dcap(evidence, SIMULATION_ROOT, NOW)


def _tdx(register: bytes) -> Claims:
    report = intel.TDReport(mr_td=register, mr_config_id=BOUND + bytes(16))
    quote = intel.tdx_quote(tdx_platform(), report, version=4, newer=False)
    evidence = Evidence("tdx", quote, tdx_platform().collateral)
    return verify_dcap(evidence, SIMULATION_ROOT, NOW)


def _snp(register: bytes) -> Claims:
    evidence = vendor().evidence(edits={0x90: register, 0xC0: BOUND})
    return verify_snp(evidence, NOW, vendor().machines)


GENUINE: dict[str, Callable[[bytes], Claims]] = {
    "simulation": _simulated,
    "sgx": _sgx,
    "tdx": _tdx,
    "snp": _snp,
}


def _policy(claims: Claims, measurement: str) -> Policy:
    return policy(kinds=[claims.kind], measurements=[measurement], **ANY_MACHINE)


def _revocation(measurement: str) -> Stop:
    return council.stop("chair-a", "revoke-measurement", measurement)


def _join(world: Any, claims: Claims, name: str) -> str:
    """A worker whose evidence is this, with its entry in the log."""
    _, identity, evidence, nonce = world.enclave("worker", name, PROGRAM)
    worker = digest_of(identity)
    entry = judge_join(world.ledger, worker, claims, digest_of(evidence), nonce, world.times)
    assert has_form(entry)
    assert entry["measurement"] == claims.measurement
    world.add(entry, identity, evidence)
    return worker


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(Refusal) as refusal:
        call()
    assert refusal.value.reason == "STOPPED"
    assert refusal.value.details["claim"] == "measurement"


def test_every_kind_of_evidence_is_tried() -> None:
    assert set(GENUINE) == set(KINDS)


@pytest.mark.parametrize("kind", GENUINE)
@settings(max_examples=10)
@given(register=REGISTERS)
def test_what_a_policy_wants_can_be_revoked_whatever_form_it_is_written_in(
    kind: str, register: bytes
) -> None:
    claims = GENUINE[kind](register)
    found = claims.measurement
    for form in (found, f"{found}={PROGRAM}"):
        policy = Policy.from_dict(_policy(claims, form).to_dict())
        appraised = verify_appraisal(claims, policy, now=NOW, launched_for=PROGRAM)
        assert appraised.measurement == found
        stop = _revocation(form.partition("=")[0])
        assert decode(Stop, encode(stop)) == stop
        assert stop.target == appraised.measurement
    join = {"worker": PROGRAM, "launched_for": PROGRAM, "measurement": found, "evidence": PROGRAM}
    assert has_form({"kind": "join", "at": [1, 1], "nonce": "00", "lapses": 1, **join})


@pytest.mark.parametrize("kind", GENUINE)
def test_a_revoked_measurement_stops_joins_leases_renewals_and_releases(
    ready: Any, kind: str
) -> None:
    claims, others = (GENUINE[kind](bytes([n]) * 48) for n in (1, 2))
    given = ready.ticket(ready.proposal(uses=3))
    running = ready.lease(given, _join(ready, claims, "running"), "job-1")["lease"]
    waiting = _join(ready, claims, "waiting")
    ready.renew(running)
    stop = ready.stop("chair-a", "revoke-measurement", claims.measurement)
    entry = ready.record(stop, "chair-a")
    assert has_form(entry)
    assert ready.ledger.state.revoked_measurements == {claims.measurement}
    ready.forget()  # and so after a restart
    refused(lambda: _join(ready, claims, "another"))
    refused(lambda: ready.lease(given, waiting, "job-2"))
    refused(lambda: ready.renew(running))
    refused(lambda: ready.release(running))
    ready.lease(given, _join(ready, others, "other"), "job-3")


ODD = st.text(alphabet="0123456789abcdefABCDEFgx=:\n ", max_size=100)
DIGITS = st.sampled_from((0, 2, 32, 62, 63, 64, 65, 66, 95, 96, 97, 98, 128))
HEXADECIMAL = DIGITS.flatmap(lambda n: st.text("0123456789abcdef", min_size=n, max_size=n))


@given(text=ODD | HEXADECIMAL | HEXADECIMAL.map(str.upper) | HEXADECIMAL.map("{}\n".format))
def test_attestation_and_governance_agree_on_the_form(text: str) -> None:
    claims = _simulated_once()

    def accepts(check: Callable[[], object], refusal: type[Exception]) -> bool:
        try:
            check()
        except refusal:
            return False
        return True

    wanted = text.partition("=")[0] == text and accepts(
        partial(_policy, claims, text), PolicyInvalid
    )
    claimed = accepts(partial(replace, claims, measurement=text), EvidenceMalformed)
    stopped = accepts(partial(_revocation, text), DocumentMalformed)
    entry = {"kind": "join", "at": [1, 1], "nonce": "00", "lapses": 1, "measurement": text}
    entered = has_form({**entry, "worker": "w", "launched_for": "b", "evidence": "e"})
    assert wanted == claimed == stopped == entered == (len(text) in (64, 96) and _lower(text))


def test_both_name_the_same_numbers_of_digits() -> None:
    assert attested.MEASUREMENT_DIGITS == checks.MEASUREMENT_DIGITS


@functools.cache
def _simulated_once() -> Claims:
    return _simulated(bytes(48))


def _lower(text: str) -> bool:
    return set(text) <= set("0123456789abcdef")
