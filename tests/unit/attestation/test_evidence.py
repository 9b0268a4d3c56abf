# SPDX-License-Identifier: Apache-2.0
"""Evidence as it travels: one encoding, bounds, nothing foreign raised."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation import MAX_EVIDENCE_BYTES, Evidence, verify_evidence
from placet.attestation.evidence import MAX_QUOTE_BYTES
from placet.refusals import EvidenceMalformed, Refusal

PLAIN = Evidence("simulation", b"quote", '{"a": "b"}\n')


@given(
    st.sampled_from(["simulation", "sgx", "tdx", "snp"]),
    st.binary(min_size=1, max_size=500),
    st.text(st.characters(max_codepoint=127), min_size=1, max_size=500),
)
def test_round_trip(kind: str, quote: bytes, collateral: str) -> None:
    evidence = Evidence(kind, quote, collateral)
    assert Evidence.from_bytes(evidence.to_bytes()) == evidence
    with pytest.raises(Refusal):
        verify_evidence(evidence, now=0)


def test_largest() -> None:
    Evidence("sgx", bytes(MAX_QUOTE_BYTES), "x")
    with pytest.raises(EvidenceMalformed):
        Evidence("sgx", bytes(MAX_QUOTE_BYTES + 1), "x")
    room = MAX_EVIDENCE_BYTES - len(Evidence("sgx", b"q", "x").to_bytes())
    Evidence("sgx", b"q", "x" * (1 + room))
    with pytest.raises(EvidenceMalformed):
        Evidence("sgx", b"q", "x" * (2 + room))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "nitro"},
        {"kind": 1},
        {"quote": ""},
        {"quote": "cXVvdGU"},
        {"quote": "cXVvdGV="},
        {"quote": "ä"},
        {"quote": 1},
        {"collateral": ""},
        {"collateral": "ä"},
        {"collateral": "\ud800"},
        {"collateral": {}},
        {"extra": 1},
    ],
)
def test_bad_field(change: dict[str, object]) -> None:
    document = json.loads(PLAIN.to_bytes()) | change
    with pytest.raises(EvidenceMalformed):
        Evidence.from_bytes(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_other_encoding_is_refused() -> None:
    document = json.loads(PLAIN.to_bytes())
    with pytest.raises(EvidenceMalformed, match="one encoding"):
        Evidence.from_bytes(json.dumps(document).encode())
    with pytest.raises(EvidenceMalformed):
        Evidence.from_bytes(b" " * (MAX_EVIDENCE_BYTES + 1))


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        Evidence.from_bytes(data)


@given(st.data())
def test_changed_bytes(data: st.DataObject) -> None:
    raw = bytearray(PLAIN.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Evidence.from_bytes(bytes(raw))
    except EvidenceMalformed:
        return
    assert found.to_bytes() == raw


def test_digest_names_the_bytes() -> None:
    assert PLAIN.digest != Evidence("sgx", PLAIN.quote, PLAIN.collateral).digest
    assert base64.b64encode(PLAIN.quote) in PLAIN.to_bytes()
