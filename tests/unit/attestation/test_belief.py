# SPDX-License-Identifier: Apache-2.0
"""An enclave is believed by all of what it shows, and wanted by a policy, or not at all."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from placet.attestation import (
    Attester,
    Expected,
    Identity,
    Policy,
    believe,
    evidence_context,
    report_data,
    verify_genuine,
)
from placet.refusals import (
    AppraisalRefused,
    CollateralStale,
    EvidenceBinding,
    EvidenceMalformed,
    IdentityMalformed,
    OtherLog,
)

CHARTER = "sha256:" + "0c" * 32
NOTE = b"a note"
Shown = tuple[bytes, bytes]


@pytest.fixture
def identity(identity: Identity) -> Identity:
    return replace(identity, charter=CHARTER)


@pytest.fixture
def expected(identity: Identity, nonce: bytes) -> Expected:
    return Expected("worker", identity.log, CHARTER, nonce, NOTE)


@pytest.fixture
def shown(
    launch: Callable[[str, str], Attester], identity: Identity, nonce: bytes, launched_for: str
) -> Shown:
    context = evidence_context(identity.log, identity.charter, NOTE)
    attester = launch("worker", launched_for)
    evidence = attester.evidence(report_data(identity.digest, nonce, context))
    return identity.to_bytes(), evidence.to_bytes()


def test_believed(
    shown: Shown,
    expected: Expected,
    policy: Policy,
    identity: Identity,
    now: int,
    launched_for: str,
) -> None:
    found = believe(*shown, expected, policy, now=now, launched_for=launched_for)
    assert found.identity == identity and found.claims.launched_for == launched_for
    assert found.simulated and all(check.passed for check in found.checks)
    names = [check.name for check in found.checks]
    assert names[:5] == ["role", "log", "charter", "genuine", "report_data"]
    assert "measurement" in names and len(names) == len(set(names))


@pytest.mark.parametrize(
    ("changed", "error", "claim"),
    [
        ({"role": "authority"}, IdentityMalformed, "role"),
        ({"log": "another.test/log"}, OtherLog, "log"),
        ({"log": ""}, OtherLog, "log"),
        ({"charter": "sha256:" + "0d" * 32}, OtherLog, "charter"),
        ({"charter": ""}, OtherLog, "charter"),
        ({"log": "", "charter": ""}, OtherLog, "charter"),
        ({"nonce": bytes(32)}, EvidenceBinding, "report_data"),
        ({"checkpoint": b""}, EvidenceBinding, "report_data"),
    ],
)
def test_whoever_is_not_expected_is_not_believed(
    shown: Shown,
    expected: Expected,
    policy: Policy,
    now: int,
    changed: dict[str, str | bytes],
    error: type[Exception],
    claim: str,
) -> None:
    other = replace(expected, **changed)  # type: ignore[arg-type]
    for ask in (
        lambda: verify_genuine(*shown, other, at=now),
        lambda: believe(*shown, other, policy, now=now),
    ):
        with pytest.raises(error) as refused:
            ask()
        assert refused.value.details["claim"] == claim  # type: ignore[attr-defined]


def test_before_the_founding_any_log_will_do(
    launch: Callable[[str, str], Attester], identity: Identity, nonce: bytes, now: int
) -> None:
    unfounded = replace(identity, charter="")
    bound = report_data(unfounded.digest, nonce, evidence_context(unfounded.log, "", b""))
    shown = unfounded.to_bytes(), launch("worker", "").evidence(bound).to_bytes()
    for log in ("", unfounded.log):
        found = verify_genuine(*shown, Expected("worker", log, "", nonce), at=now)
        assert found.identity == unfounded
    with pytest.raises(OtherLog):
        verify_genuine(*shown, Expected("worker", "another.test/log", "", nonce), at=now)
    with pytest.raises(OtherLog):
        verify_genuine(*shown, Expected("worker", "", CHARTER, nonce), at=now)


def test_what_has_no_form_is_refused_first(shown: Shown, expected: Expected, now: int) -> None:
    identity, evidence = shown
    with pytest.raises(IdentityMalformed):
        verify_genuine(identity + b" ", evidence, expected, at=now)
    with pytest.raises(EvidenceMalformed):
        verify_genuine(identity, evidence + b" ", replace(expected, role="authority"), at=now)


def test_genuine_and_wanted_have_times_of_their_own(
    shown: Shown, expected: Expected, policy: Policy, now: int
) -> None:
    found = verify_genuine(*shown, expected, at=now)
    expired = found.claims.collateral_expires
    with pytest.raises(CollateralStale):
        verify_genuine(*shown, expected, at=expired + 1)
    with pytest.raises(AppraisalRefused, match="collateral_left"):
        found.appraise(policy, now=expired)


def test_a_further_policy_is_held_to_what_the_first_says_of_the_measurement(
    launch: Callable[[str, str], Attester],
    identity: Identity,
    expected: Expected,
    policy: Policy,
    now: int,
    launched_for: str,
) -> None:
    context = evidence_context(identity.log, identity.charter, NOTE)
    evidence = launch("worker", "").evidence(report_data(identity.digest, expected.nonce, context))
    genuine = verify_genuine(identity.to_bytes(), evidence.to_bytes(), expected, at=now)
    (measurement,) = policy.measurements
    knows = replace(policy, measurements=(f"{measurement}={launched_for}",), launched_for="any")
    attested = genuine.appraise(knows, now=now)
    assert attested.claims.launched_for == launched_for
    assert attested.genuine.claims == attested.claims
    assert genuine.claims.launched_for == ""
    attested.genuine.appraise(knows, now=now)
    attested.genuine.appraise(replace(policy, launched_for=(launched_for,)), now=now)
    other = "sha256:" + "ef" * 32
    for refuses in (
        replace(knows, measurements=(f"{measurement}={other}",)),
        replace(policy, launched_for=(other,)),
        replace(policy, launched_for="none"),
    ):
        genuine.appraise(replace(refuses, launched_for="any"), now=now)
        with pytest.raises(AppraisalRefused, match="launched_for"):
            attested.genuine.appraise(refuses, now=now)
