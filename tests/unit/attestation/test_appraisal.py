# SPDX-License-Identifier: Apache-2.0
"""Wanted or not: each check alone, all together, and none by accident."""

from dataclasses import replace
from typing import Any

import pytest

from placet.attestation import Claims, Policy, appraise, verify_appraisal
from placet.attestation.appraisal import Verdict
from placet.refusals import AppraisalRefused
from tests.support import policies
from tests.support.policies import ANY_MACHINE

CHECKS = [
    "kind",
    "measurement",
    "signer",
    "product",
    "svn",
    "debug",
    "launched_for",
    "platform",
    "smt",
    "dynamic_platform",
    "tcb_status",
    "advisories",
    "snp_tcb",
    "snp_bits_required",
    "snp_bits_allowed",
    "tcb_evaluation",
    "collateral_age",
    "collateral_left",
]
# One change of the claims for each check, but for the age, which the clock changes.
WRONG: dict[str, dict[str, Any]] = {
    "kind": {"kind": "sgx"},
    "measurement": {"measurement": "ab" * 32},
    "signer": {"signer": "ab" * 32},
    "product": {"product": 0},
    "svn": {"svn": 0},
    "debug": {"debug": True},
    "platform": {"platform": "ab" * 16},
    "smt": {"smt": True},
    "dynamic_platform": {"dynamic_platform": None},
    "tcb_status": {"tcb_status": "OutOfDate"},
    "advisories": {"advisories": ("INTEL-SA-00615",)},
    "snp_tcb": {"snp_tcb": "0.4.1.24.208"},
    "snp_bits_required": {"snp_bits": ("platform.tsme",)},
    "snp_bits_allowed": {"snp_bits": ("platform.ecc", "policy.cxl")},
    "tcb_evaluation": {"tcb_evaluation": 0},
    "launched_for": {"launched_for": "sha256:" + "ab" * 32},
}


@pytest.fixture
def claims(claims: Claims) -> Claims:
    """The claims of a machine that says what it is, as the simulated one does not."""
    return replace(claims, smt=False, dynamic_platform=False)


@pytest.fixture
def policy(policy: Policy) -> Policy:
    """A policy that accepts them and leaves nothing open."""
    return replace(policy, smt=False, dynamic_platform=False)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.failed]


def test_accepted(claims: Claims, policy: Policy, now: int, launched_for: str) -> None:
    verdict = appraise(claims, policy, now=now, launched_for=launched_for)
    assert verdict.accepted
    assert [check.name for check in verdict.checks] == CHECKS
    assert verify_appraisal(claims, policy, now=now, launched_for=launched_for) is claims
    assert verdict.verify() == verdict.checks


@pytest.mark.parametrize("name", WRONG)
def test_each_alone(claims: Claims, policy: Policy, now: int, launched_for: str, name: str) -> None:
    changed = replace(claims, **WRONG[name])
    assert failed(appraise(changed, policy, now=now, launched_for=launched_for)) == [name]
    with pytest.raises(AppraisalRefused) as caught:
        verify_appraisal(changed, policy, now=now, launched_for=launched_for)
    assert caught.value.details["claim"] == name


@pytest.mark.parametrize("later", [-601, 3600])
def test_collateral_age(
    claims: Claims, policy: Policy, now: int, launched_for: str, later: int
) -> None:
    assert failed(appraise(claims, policy, now=now + later, launched_for=launched_for)) == [
        "collateral_age"
    ]


def test_kept_until_the_collateral_expires(claims: Claims, policy: Policy) -> None:
    tolerant = replace(policy, max_collateral_age_seconds="any")
    for left, wrong in ((1, []), (0, ["collateral_left"]), (-1, ["collateral_left"])):
        now = claims.collateral_expires - left
        assert failed(appraise(claims, tolerant, now=now, launched_for=None)) == wrong


def test_all_together(claims: Claims, policy: Policy, now: int, launched_for: str) -> None:
    changes = {key: value for change in WRONG.values() for key, value in change.items()}
    changes["snp_bits"] = ("policy.cxl",)
    changed = replace(claims, **changes)
    verdict = appraise(changed, policy, now=now + 10**7, launched_for=launched_for)
    assert not verdict.accepted
    assert failed(verdict) == CHECKS
    with pytest.raises(AppraisalRefused) as caught:
        verify_appraisal(changed, policy, now=now + 10**7, launched_for=launched_for)
    assert caught.value.details["claim"] == ", ".join(CHECKS)
    assert all(name in str(caught.value) for name in CHECKS)


def test_simulation_must_be_named(
    claims: Claims, policy: Policy, now: int, launched_for: str
) -> None:
    hardware = replace(policy, kinds=("sgx", "tdx", "snp"))
    assert failed(appraise(claims, hardware, now=now, launched_for=launched_for)) == ["kind"]


def test_any(claims: Claims, policy: Policy, now: int) -> None:
    wanted = {"measurements": policy.measurements, "snp_bits_allowed": "any", **ANY_MACHINE}
    open_policy = policies.policy(**wanted)
    changes = {key: value for change in WRONG.values() for key, value in change.items()}
    verdict = appraise(replace(claims, **changes), open_policy, now=0, launched_for=None)
    assert failed(verdict) == ["kind", "measurement", "debug"]


def test_tolerated_advisories(claims: Claims, policy: Policy, now: int, launched_for: str) -> None:
    tolerant = replace(policy, advisories=("INTEL-SA-00615", "INTEL-SA-00289"))
    for advisories, wrong in ((("INTEL-SA-00615",), []), (("INTEL-SA-1",), ["advisories"])):
        changed = replace(claims, advisories=advisories)
        assert failed(appraise(changed, tolerant, now=now, launched_for=launched_for)) == wrong


@pytest.mark.parametrize(
    ("wanted", "found", "accepted"),
    [
        ("", "", True),
        ("", "sha256:" + "cd" * 32, False),
        ("sha256:" + "cd" * 32, "", False),
        (None, "", True),
        (None, "sha256:" + "cd" * 32, True),
    ],
)
def test_launched_for(
    claims: Claims, policy: Policy, now: int, wanted: str | None, found: str, accepted: bool
) -> None:
    changed = replace(claims, launched_for=found)
    assert appraise(changed, policy, now=now, launched_for=wanted).accepted == accepted


def test_launched_for_by_policy(
    claims: Claims, policy: Policy, now: int, launched_for: str
) -> None:
    other = "sha256:" + "ab" * 32
    cases: tuple[tuple[Any, str, str | None, bool], ...] = (
        ((launched_for, other), launched_for, None, True),
        ((launched_for, other), launched_for, launched_for, True),
        ((launched_for, other), launched_for, other, False),
        ((other,), launched_for, launched_for, False),
        ((other,), "", None, False),
        ("none", "", None, True),
        ("none", launched_for, None, False),
        ("none", launched_for, launched_for, False),
        ("any", "raw:" + "ab" * 48, None, True),
        ("any", "raw:" + "ab" * 48, launched_for, False),
    )
    for allowed, launched, demanded, accepted in cases:
        wanted = replace(policy, launched_for=allowed)
        changed = replace(claims, launched_for=launched)
        assert appraise(changed, wanted, now=now, launched_for=demanded).accepted == accepted


def test_made_for(claims: Claims, policy: Policy, now: int, launched_for: str) -> None:
    other = "sha256:" + "ab" * 32
    made = replace(policy, measurements=("ee" * 32, f"{claims.measurement}={launched_for}"))
    for register in ("", launched_for):  # the hardware reports nothing, or the same
        found = verify_appraisal(
            replace(claims, launched_for=register), made, now=now, launched_for=launched_for
        )
        assert found == replace(claims, launched_for=launched_for)
    # The host sets the register: it cannot make one program's enclave pass for another's.
    for wanted, register, demanded in (
        (made, other, None),
        (made, other, other),
        (made, "", other),
        (made, "", ""),
        (replace(made, launched_for="none"), "", None),
        (replace(made, launched_for=(other,)), "", None),
    ):
        changed = replace(claims, launched_for=register)
        assert failed(appraise(changed, wanted, now=now, launched_for=demanded)) == ["launched_for"]
    nobody = replace(claims, measurement="ab" * 32, launched_for="")
    assert failed(appraise(nobody, made, now=now, launched_for=None)) == ["measurement"]


def test_verdict_is_no_truth_value(claims: Claims, policy: Policy, now: int) -> None:
    with pytest.raises(TypeError, match="accepted"):
        bool(appraise(claims, policy, now=now, launched_for=None))
    assert not Verdict(()).accepted
