# SPDX-License-Identifier: Apache-2.0
"""Certificates as they travel: one form, bounded, nothing foreign raised."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation.snp import Collateral
from placet.refusals import EvidenceMalformed

DER = st.binary(min_size=1, max_size=200)
PLAIN = Collateral(b"ark", b"ask", b"ek", None)


@given(DER, DER, DER, st.none() | DER)
def test_round_trip(ark: bytes, ask: bytes, ek: bytes, crl: bytes | None) -> None:
    collateral = Collateral(ark, ask, ek, crl)
    assert Collateral.from_text(collateral.to_text()) == collateral


@pytest.mark.parametrize(
    "changed",
    [
        {"ark": ""},
        {"ark": None},
        {"ek": "YQ"},
        {"ek": "Y Q=="},
        {"crl": ""},
        {"crl": 1},
        {"pem": "YQ=="},
    ],
)
def test_refused(changed: dict[str, object]) -> None:
    document = {**json.loads(PLAIN.to_text()), **changed}
    with pytest.raises(EvidenceMalformed):
        Collateral.from_text(json.dumps(document))


@pytest.mark.parametrize("missing", ["ark", "ask", "ek", "crl"])
def test_every_field_is_given(missing: str) -> None:
    document = json.loads(PLAIN.to_text())
    del document[missing]
    with pytest.raises(EvidenceMalformed):
        Collateral.from_text(json.dumps(document))


def test_bounds() -> None:
    assert Collateral.from_text(Collateral(bytes(4096), b"a", b"a", bytes(65536)).to_text())
    for ark, crl in ((bytes(4097), None), (b"a", bytes(65537))):
        with pytest.raises(EvidenceMalformed):
            Collateral(ark, b"a", b"a", crl)
    with pytest.raises(EvidenceMalformed):
        Collateral.from_text(PLAIN.to_text() + " " * 128 * 1024)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(EvidenceMalformed):
        Collateral.from_text(text)
