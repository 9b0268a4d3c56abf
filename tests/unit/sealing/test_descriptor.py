# SPDX-License-Identifier: Apache-2.0
"""Descriptors are strict: exact fields, exact types, no two fields that contradict each other."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.refusals import DescriptorMalformed
from placet.sealing import ObjectDescriptor

_VALID: dict[str, Any] = {
    "id": "00112233445566778899aabbccddeeff",
    "kind": "dataset",
    "labels": ["health", "eu/de"],
    "commitment": "ab" * 32,
    "segment_size": 65536,
    "segments": 2,
    "length": 100_000,
    "root": "sha256:" + "cd" * 32,
}
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_form_goes_round() -> None:
    descriptor = ObjectDescriptor.from_dict(_VALID)
    assert descriptor.to_dict() == _VALID
    assert ObjectDescriptor.from_dict(json.loads(json.dumps(descriptor.to_dict()))) == descriptor
    assert descriptor.labels == ("health", "eu/de")
    assert descriptor.sealed_length == 100_000 + 40 + 2 * 16


def test_the_digest_is_of_the_canonical_json() -> None:
    text = json.dumps(_VALID, sort_keys=True, separators=(",", ":"))
    expected = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    assert ObjectDescriptor.from_dict(_VALID).digest == expected


def test_parsing_leaves_its_argument_alone() -> None:
    before = json.dumps(_VALID)
    ObjectDescriptor.from_dict(_VALID)
    assert json.dumps(_VALID) == before


_WRONG: dict[str, tuple[str, Any]] = {
    "id in capitals": ("id", "00112233445566778899AABBCCDDEEFF"),
    "id too short": ("id", "0011"),
    "id with newline": ("id", _VALID["id"] + "\n"),
    "id no text": ("id", 17),
    "kind empty": ("kind", ""),
    "kind with a space": ("kind", "data set"),
    "kind too long": ("kind", "a" * 65),
    "kind in Cyrillic": ("kind", "d\u0430taset"),
    "labels no list": ("labels", "health"),
    "labels a tuple": ("labels", ("health",)),
    "label no text": ("labels", [1]),
    "label unhashable": ("labels", [["health"]]),
    "label twice": ("labels", ["health", "health"]),
    "label with newline": ("labels", ["health\n"]),
    "too many labels": ("labels", [f"l{number}" for number in range(33)]),
    "commitment too short": ("commitment", "ab" * 31),
    "commitment prefixed": ("commitment", "sha256:" + "ab" * 32),
    "segment size no power": ("segment_size", 65535),
    "segment size too small": ("segment_size", 8192),
    "segment size too large": ("segment_size", 1 << 21),
    "segment size a float": ("segment_size", 65536.0),
    "segments too few": ("segments", 1),
    "segments too many": ("segments", 3),
    "segments a float": ("segments", 2.0),
    "length negative": ("length", -1),
    "length a bool": ("length", True),
    "length a float": ("length", 1e5),
    "length a text": ("length", "100000"),
    "length for other segments": ("length", 10),
    "length beyond the counter": ("length", 1 << 60),
    "root bare": ("root", "cd" * 32),
    "root other hash": ("root", "sha512:" + "cd" * 32),
}


@pytest.mark.parametrize("case", _WRONG)
def test_wrong_fields_are_refused(case: str) -> None:
    name, value = _WRONG[case]
    with pytest.raises(DescriptorMalformed):
        ObjectDescriptor.from_dict({**_VALID, name: value})


@pytest.mark.parametrize("name", _VALID)
def test_missing_and_further_fields_are_refused(name: str) -> None:
    fewer = {key: value for key, value in _VALID.items() if key != name}
    with pytest.raises(DescriptorMalformed):
        ObjectDescriptor.from_dict(fewer)
    with pytest.raises(DescriptorMalformed):
        ObjectDescriptor.from_dict({**_VALID, f"{name}s": 1})


@given(_json)
def test_arbitrary_documents_are_refused(document: Any) -> None:
    with pytest.raises(DescriptorMalformed):
        ObjectDescriptor.from_dict(document)


@given(st.sampled_from(sorted(_VALID)), _json)
def test_arbitrary_fields_raise_nothing_foreign(name: str, value: Any) -> None:
    try:
        descriptor = ObjectDescriptor.from_dict({**_VALID, name: value})
    except DescriptorMalformed:
        return
    assert descriptor.to_dict()[name] == value


def test_true_is_not_one() -> None:
    one = {**_VALID, "segments": 1, "length": 1}
    ObjectDescriptor.from_dict(one)
    for name in ("segments", "length"):
        with pytest.raises(DescriptorMalformed):
            ObjectDescriptor.from_dict({**one, name: True})


def test_values_are_checked_without_a_dict_too() -> None:
    with pytest.raises(DescriptorMalformed):
        replace(ObjectDescriptor.from_dict(_VALID), labels=("a", "a"))
    with pytest.raises(DescriptorMalformed):
        ObjectDescriptor(**_VALID)
