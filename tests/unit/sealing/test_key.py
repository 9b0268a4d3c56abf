# SPDX-License-Identifier: Apache-2.0
"""Stream keys say nothing of themselves; wrapped secrets open only as they were wrapped."""

import copy
import hashlib
import hmac
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.refusals import KeyCommitmentMismatch, KeyMalformed, KeyUnwrapRefused
from placet.sealing import StreamKey, unwrap_key, wrap_key

_WRAPPING_KEY = bytes(range(32))


def test_bytes_go_round_and_the_commitment_is_hmac() -> None:
    key = StreamKey.generate()
    secret = key.to_bytes()
    assert StreamKey.from_bytes(secret).to_bytes() == secret
    expected = hmac.new(secret, b"placet/commit/v1", hashlib.sha256).hexdigest()
    assert key.commitment == expected
    key.verify_commitment(expected)
    with pytest.raises(KeyCommitmentMismatch) as refusal:
        StreamKey.generate().verify_commitment(expected)
    assert secret.hex() not in str(refusal.value) + str(refusal.value.details)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(KeyMalformed):
        StreamKey(bytes(size))


def test_a_key_is_not_shown_pickled_or_copied() -> None:
    key = StreamKey(b"K" * 32)
    assert repr(key) == str(key) == f"{key}" == "StreamKey(...)"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled"):
            attempt(key)


def test_a_wiped_key_is_gone() -> None:
    key = StreamKey.generate()
    key.wipe()
    key.wipe()
    with pytest.raises(ValueError, match="wiped"):
        key.to_bytes()
    with pytest.raises(ValueError, match="wiped"):
        _ = key.commitment


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_wrapping_goes_round(secret: bytes, info: bytes) -> None:
    wrapped = wrap_key(secret, _WRAPPING_KEY, info)
    assert len(wrapped) == len(secret) + 28
    assert unwrap_key(wrapped, _WRAPPING_KEY, info) == secret


def test_two_wraps_differ() -> None:
    assert wrap_key(b"s", _WRAPPING_KEY, b"") != wrap_key(b"s", _WRAPPING_KEY, b"")


@given(st.data())
def test_changed_wraps_are_refused(data: st.DataObject) -> None:
    wrapped = bytearray(wrap_key(b"secret", _WRAPPING_KEY, b"info"))
    at = data.draw(st.integers(0, len(wrapped) - 1))
    wrapped[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(KeyUnwrapRefused):
        unwrap_key(bytes(wrapped), _WRAPPING_KEY, b"info")


@given(st.binary(max_size=64))
def test_arbitrary_wraps_are_refused(wrapped: bytes) -> None:
    with pytest.raises(KeyUnwrapRefused):
        unwrap_key(wrapped, _WRAPPING_KEY, b"info")


def test_another_key_info_or_length_is_refused() -> None:
    wrapped = wrap_key(b"secret", _WRAPPING_KEY, b"info")
    for key, info in ((bytes(32), b"info"), (_WRAPPING_KEY, b"other")):
        with pytest.raises(KeyUnwrapRefused):
            unwrap_key(wrapped, key, info)
    with pytest.raises(KeyUnwrapRefused):
        unwrap_key(bytes((1 << 20) + 1), _WRAPPING_KEY, b"info")


def test_wrong_arguments_are_the_callers() -> None:
    for key in (b"", bytes(16), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            wrap_key(b"secret", key, b"info")
    with pytest.raises(ValueError, match="1 MiB"):
        wrap_key(bytes(1 << 20), _WRAPPING_KEY, b"info")
