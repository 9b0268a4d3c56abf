# SPDX-License-Identifier: Apache-2.0
"""Certificates from a service that stands in for AMD's."""

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from placet.attestation import Claims, Evidence
from placet.attestation.snp import verify_snp
from placet.client.connection.web import Web
from placet.client.errors import AnswerMalformed, FileRefused
from placet.client.trust.collateral import Bundle, fetch_collateral
from placet.refusals import CollateralStale, Refusal

if TYPE_CHECKING:
    from tests.support.machines.amd import Vendor
    from tests.unit.conftest import StandIn

QUERY = {
    "Milan": "blSPL=04&teeSPL=01&snpSPL=24&ucodeSPL=219",
    "Turin": "fmcSPL=02&blSPL=04&teeSPL=01&snpSPL=24&ucodeSPL=219",
}


def publish(server: "StandIn", vendor: "Vendor", line: str) -> str:
    """Let the server publish the certificates of the vendor's chip; return the path of the last."""
    chip = bytes(range(8 if line == "Turin" else 64)).hex()
    chain = b"".join(
        x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
        for der in (vendor.ask(line), vendor.ark(line))
    )
    own = f"/vcek/v1/{line}/{chip}?{QUERY[line]}"
    server.say(own, vendor.ek(line))
    server.say(f"/vcek/v1/{line}/cert_chain", chain)
    server.say(f"/vcek/v1/{line}/crl", vendor.crl(line))
    return own


def fetch(server: "StandIn", vendor: "Vendor", report: bytes, now: int) -> Bundle:
    def verify(evidence: Evidence, now: int) -> Claims:
        return verify_snp(evidence, now, vendor.machines)

    web = Web(server.ca)
    return fetch_collateral("snp", report, web, server.url, now=now, verify=verify)


@pytest.mark.parametrize("line", ["Milan", "Turin"])
def test_certificates_of_a_chip(stand_in: "StandIn", vendor: "Vendor", now: int, line: str) -> None:
    publish(stand_in, vendor, line)
    report = vendor.report(line)
    bundle = fetch(stand_in, vendor, report, now)
    claims = verify_snp(Evidence("snp", report, bundle.collateral), now, vendor.machines)
    assert bundle.claims == claims
    assert bundle.machine == f"{line}-0001020304050607"
    assert claims.collateral_issued == now - 86400


def test_refusals(stand_in: "StandIn", vendor: "Vendor", now: int) -> None:
    own = publish(stand_in, vendor, "Milan")
    report = vendor.report("Milan")
    with pytest.raises(CollateralStale):
        fetch(stand_in, vendor, report, now + 2 * 86400)
    for name, body in (
        (own, vendor.ek("Milan", changed={"3.8": b"\x02\x01\x05"})),
        ("/vcek/v1/Milan/crl", b"no list"),
    ):
        right = stand_in.answers[name]
        stand_in.say(name, body)
        with pytest.raises(Refusal):
            fetch(stand_in, vendor, report, now)
        stand_in.answers[name] = right
    chain = "/vcek/v1/Milan/cert_chain"
    for body in (b"", b"x" * 70_000, stand_in.answers[chain][2] * 2):
        stand_in.say(chain, body)
        with pytest.raises(AnswerMalformed):
            fetch(stand_in, vendor, report, now)
    stand_in.answers.clear()
    with pytest.raises(AnswerMalformed, match="404"):
        fetch(stand_in, vendor, report, now)
    for other in (
        vendor.report("Milan", kind="VLEK"),
        vendor.report("Milan", version=2),
        vendor.report("Milan", edits={0x1A0: bytes(64)}),
    ):
        with pytest.raises(FileRefused):
            fetch(stand_in, vendor, other, now)
