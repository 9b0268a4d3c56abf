# SPDX-License-Identifier: Apache-2.0
"""Files of artifacts come back as they were, and anything else is refused in our own words."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from placet.client import (
    CharterDraft,
    EvidenceFile,
    FileRefused,
    ReceiptFile,
    ticket_from_bytes,
    ticket_to_bytes,
)
from placet.governance.envelope import parse_envelope, sign_payload
from placet.governance.evaluate import Ticket
from placet.governance.keys import SigningKey
from placet.refusals import Refusal

KEY = SigningKey.generate()
PARSERS = (
    ReceiptFile.from_bytes,
    EvidenceFile.from_bytes,
    ticket_from_bytes,
    CharterDraft.from_bytes,
)
patient = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "log",
        "receipt",
        "entry",
        "proof",
        "identity",
        "evidence",
        "checkpoint",
        "nonce",
        "proposal",
        "ballots",
        "constitution",
        "charter",
    ]
)


@given(st.binary(max_size=40), st.lists(st.binary(max_size=40), max_size=3))
@patient
def test_a_ticket_keeps_its_payloads(proposal: bytes, ballots: list[bytes]) -> None:
    ticket = Ticket(
        sign_payload(proposal, "t", KEY), tuple(sign_payload(b, "t", KEY) for b in ballots)
    )
    found = ticket_from_bytes(ticket_to_bytes(ticket))
    assert found == ticket
    assert parse_envelope(found.proposal).payload == proposal


@given(st.binary(max_size=40), st.text(max_size=20), st.text(max_size=20))
@patient
def test_a_receipt_file_comes_back(payload: bytes, entry: str, proof: str) -> None:
    signed = sign_payload(payload, "t", KEY)
    file = ReceiptFile(signed, (signed, signed), signed, entry.encode(), proof.encode())
    assert ReceiptFile.from_bytes(file.to_bytes()) == file


@given(st.binary(max_size=40), st.binary(max_size=40), st.text(max_size=20), st.binary(max_size=32))
@patient
def test_an_evidence_file_comes_back(a: bytes, b: bytes, note: str, nonce: bytes) -> None:
    file = EvidenceFile(a, b, note.encode(), nonce)
    assert EvidenceFile.from_bytes(file.to_bytes()) == file


@given(
    st.binary(max_size=60)
    | st.dictionaries(names, json_values).map(lambda v: json.dumps(v).encode())
)
@patient
def test_anything_else_is_refused(data: bytes) -> None:
    for parse in PARSERS:
        with pytest.raises((FileRefused, Refusal)):
            parse(data)


def test_a_draft_of_a_charter_with_strange_payloads_is_refused() -> None:
    field = {"payload": base64.b64encode(b"{}").decode(), "envelope": None}
    data = json.dumps({"constitution": field, "charter": field}).encode()
    with pytest.raises(Refusal):
        CharterDraft.from_bytes(data)
