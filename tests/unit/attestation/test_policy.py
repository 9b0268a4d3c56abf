# SPDX-License-Identifier: Apache-2.0
"""Policies: complete or refused; "any" is said, never meant by silence."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation import Policy
from placet.refusals import PolicyInvalid
from tests.support.policies import BASE

PLAIN: dict[str, object] = {
    **BASE,
    "kinds": ["simulation", "sgx"],
    "measurements": ["aa" * 32, "bb" * 48 + "=sha256:" + "ff" * 32],
    "signers": ["cc" * 32],
    "product": 7,
    "launched_for": ["sha256:" + "ee" * 32],
    "platforms": ["dd" * 16],
    "smt": False,
    "dynamic_platform": True,
    "tcb_statuses": ["UpToDate", "SWHardeningNeeded"],
    "advisories": ["INTEL-SA-00615"],
    "min_svn": 1,
    "min_snp_tcb": "0.3.0.20.209",
    "snp_bits_required": ["platform.ecc", "launch_mitigation.0"],
    "snp_bits_allowed": ["policy.cxl", "platform.8", "flags.31"],
    "min_tcb_evaluation": 17,
}
LISTS = [name for name, value in PLAIN.items() if isinstance(value, list)]
FLAGS = ("smt", "dynamic_platform")
MAY_BE_NONE = ("launched_for", "advisories", "snp_bits_required", "snp_bits_allowed")
NEVER_ANY = ("kinds", "measurements", "snp_bits_required")
MAY_BE_ANY = [name for name in PLAIN if name not in NEVER_ANY]


def test_round_trip() -> None:
    assert Policy.from_dict(PLAIN).to_dict() == PLAIN
    open_ones = PLAIN | dict.fromkeys(MAY_BE_ANY, "any")
    assert Policy.from_dict(open_ones).to_dict() == open_ones
    assert {field.name for field in fields(Policy)} == PLAIN.keys()


@pytest.mark.parametrize("name", PLAIN)
def test_missing(name: str) -> None:
    with pytest.raises(PolicyInvalid, match=name):
        Policy.from_dict({key: value for key, value in PLAIN.items() if key != name})


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("value", [None, True, -1, 1.5, "", "Any", {}, "none ", [None], [[]]])
def test_wrong_type(name: str, value: object) -> None:
    if name in FLAGS and value is True:
        return
    with pytest.raises(PolicyInvalid):
        Policy.from_dict(PLAIN | {name: value})


@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str) -> None:
    listed: Any = PLAIN[name]
    for value in ([], [*listed, listed[0]], ["unknown\n"], [*listed, 1], listed * 2000):
        with pytest.raises(PolicyInvalid):
            Policy.from_dict(PLAIN | {name: value})


@pytest.mark.parametrize("name", NEVER_ANY)
@pytest.mark.parametrize("value", ["any", ["any"], ["none"], ["known"]])
def test_never_any(name: str, value: object) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.from_dict(PLAIN | {name: value})


@pytest.mark.parametrize("name", [name for name in PLAIN if name not in MAY_BE_NONE])
def test_none_is_a_word_of_few(name: str) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.from_dict(PLAIN | {name: "none"})
    words = dict.fromkeys(MAY_BE_NONE, "none")
    assert Policy.from_dict(PLAIN | words).to_dict() == PLAIN | words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_svn", 2**32),
        ("snp_bits_allowed", ["platform.2"]),  # which has a word
        ("snp_bits_allowed", ["platform.smt"]),  # which is judged by `smt`
        ("snp_bits_allowed", ["policy.debug"]),
        ("snp_bits_allowed", ["policy.19"]),
        ("snp_bits_allowed", ["platform.64"]),
        ("snp_bits_allowed", ["flags.4"]),
        ("snp_bits_allowed", ["platform.08"]),
        ("snp_bits_required", "known"),
        ("product", 65536),
        ("min_snp_tcb", "3.0.20.209"),
        ("min_snp_tcb", "0.3.0.20.256"),
        ("min_snp_tcb", "0.3.0.020.2"),
        ("launched_for", ["ee" * 32]),
        ("smt", 0),
        ("max_collateral_age_seconds", 0),
        ("min_tcb_evaluation", 2**53),
        ("kinds", ["nitro"]),
        ("measurements", ["aa" * 31]),
        ("measurements", ["AA" * 32]),
        ("measurements", ["aa" * 32 + "=" + "ff" * 32]),
        ("measurements", ["aa" * 32 + "="]),
        ("measurements", ["aa" * 32, "aa" * 32 + "=sha256:" + "ff" * 32]),
        ("tcb_statuses", ["Up To Date"]),
    ],
)
def test_bounds(name: str, value: object) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.from_dict(PLAIN | {name: value})


def test_unknown_field() -> None:
    with pytest.raises(PolicyInvalid, match="unknown"):
        Policy.from_dict(PLAIN | {"debug": True})


JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(JSON)
def test_anything(document: object) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.from_dict(document)


@given(st.sampled_from(sorted(PLAIN)), JSON)
def test_one_field_of_anything(name: str, value: object) -> None:
    try:
        found = Policy.from_dict(PLAIN | {name: value})
    except PolicyInvalid:
        return
    assert found.to_dict()[name] == value
