# SPDX-License-Identifier: Apache-2.0
"""Certificates that Gramine and rats-tls made on real machines are read, and refused as of debug
enclaves."""

import ssl
from pathlib import Path

import pytest

from placet.attestation import Policy
from placet.ratls import read_certificate, verify_certificate
from placet.refusals import EvidenceDebug

VECTORS = Path(__file__).parents[5] / "shared" / "vectors" / "ratls"
REPORT_DATA = slice(48 + 320, 48 + 384)
THEN = 1_680_000_000  # in March 2023, when both were valid


@pytest.mark.parametrize("name", ["gramine_debug", "rats_tls_debug"])
def test_real_certificate(name: str, policy: Policy) -> None:
    path = VECTORS / f"{name}.pem"
    if not path.exists():
        pytest.skip(f"{path} is missing: recorded certificates lie beside the repository")
    text = path.read_text()
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN") :])
    found = read_certificate(der, now=THEN)
    assert (found.kind, found.nonce) == ("sgx", None)
    assert found.quote[REPORT_DATA] == found.report_data
    with pytest.raises(EvidenceDebug):
        verify_certificate(der, policy, collateral="none", now=THEN, launched_for=None)
