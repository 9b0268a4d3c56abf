# SPDX-License-Identifier: Apache-2.0
"""Genuine evidence speaks for one identity, to one nonce, in one context."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation import Claims, Identity, report_data, verify_binding
from placet.refusals import EvidenceBinding, EvidenceNonce


def test_formula() -> None:
    identity, nonce, context = "sha256:" + "00" * 32, bytes(32), b"context"
    parts = (
        (71).to_bytes(8, "big") + identity.encode(),
        (32).to_bytes(8, "big") + nonce,
        (7).to_bytes(8, "big") + context,
    )
    expected = hashlib.sha512(b"placet/binding/v1" + b"".join(parts)).digest()
    assert report_data(identity, nonce, context) == expected


def test_bound(claims: Claims, identity: Identity, nonce: bytes) -> None:
    verify_binding(claims, identity, nonce, b"log")


def test_other_identity(claims: Claims, identity: Identity, nonce: bytes) -> None:
    with pytest.raises(EvidenceBinding):
        verify_binding(claims, replace(identity, boot="f" * 32), nonce, b"log")


def test_other_nonce(claims: Claims, identity: Identity) -> None:
    with pytest.raises(EvidenceBinding):
        verify_binding(claims, identity, bytes(32), b"log")


@pytest.mark.parametrize("context", [b"", b"other log", b"log\x00"])
def test_other_context(claims: Claims, identity: Identity, nonce: bytes, context: bytes) -> None:
    with pytest.raises(EvidenceBinding):
        verify_binding(claims, identity, nonce, context)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_nonce_size(claims: Claims, identity: Identity, size: int) -> None:
    with pytest.raises(EvidenceNonce):
        verify_binding(claims, identity, bytes(size), b"log")
    with pytest.raises(EvidenceNonce):
        report_data(identity.digest, bytes(size), b"log")


@given(st.text(max_size=20), st.text(max_size=20), st.binary(max_size=20), st.binary(max_size=20))
def test_no_two_inputs_run_together(a: str, b: str, x: bytes, y: bytes) -> None:
    same = (a, x) == (b, y)
    assert (report_data(a, bytes(32), x) == report_data(b, bytes(32), y)) == same
