# SPDX-License-Identifier: Apache-2.0
"""Collateral from a service that stands in for Intel's: the file verifies the quote, or there is no
file."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote as quoted

import pytest
from typer.testing import CliRunner, Result

from placet.attestation import Claims, Evidence, provisioning, verify_evidence
from placet.client.cli import app
from placet.client.connection.web import Web
from placet.client.errors import AnswerMalformed, FileRefused, HostUnreachable, UsageRefused
from placet.client.trust.collateral import fetch_collateral, read_quote
from placet.host.simulation.platform import TCB, make_platform
from placet.host.simulation.quote import EnclaveReport, QuotingEnclave
from placet.host.simulation.root import published_root
from placet.refusals import EvidenceMalformed

if TYPE_CHECKING:
    from tests.unit.conftest import StandIn

DAY = 86400
SGX = "/sgx/certification/v4"
REPORT = EnclaveReport(b"\xaa" * 32, bytes(64), b"\x55" * 64)


def publish(server: "StandIn", now: int, tcb: TCB | None = None) -> Evidence:
    """Let the server publish the collateral of a new simulated machine; return evidence of the
    machine."""
    platform = make_platform(published_root(), bytes(range(16)), now, tcb=tcb)
    quote = QuotingEnclave(platform).quote(REPORT)
    parts = json.loads(platform.collateral)
    fmspc, authority = provisioning(quote)

    def signed(name: str, document: str) -> bytes:
        signature = parts[f"{document}_signature"]
        return f'{{"{name}":{parts[document]},"signature":"{signature}"}}'.encode()

    def chain(header: str, part: str) -> dict[str, str]:
        return {header: quoted(parts[f"{part}_issuer_chain"])}

    server.say(
        f"{SGX}/pckcrl?ca={authority}&encoding=der",
        bytes.fromhex(parts["pck_crl"]),
        chain("SGX-PCK-CRL-Issuer-Chain", "pck_crl"),
    )
    server.say(
        f"{SGX}/tcb?fmspc={fmspc}",
        signed("tcbInfo", "tcb_info"),
        chain("TCB-Info-Issuer-Chain", "tcb_info"),
    )
    server.say(
        f"{SGX}/qe/identity",
        signed("enclaveIdentity", "qe_identity"),
        chain("SGX-Enclave-Identity-Issuer-Chain", "qe_identity"),
    )
    server.say(f"{SGX}/rootcacrl", parts["root_ca_crl"].encode())
    return Evidence("simulation", quote, "{}")


def fetch(server: "StandIn", quote: Path, out: Path, *more: str) -> Result:
    line = ["collateral", "fetch", str(quote), "--from", server.url, "--ca", str(server.ca)]
    return CliRunner().invoke(app, [*line, "-o", str(out), "--json", *more])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_a_dated_file_that_completes_evidence(
    stand_in: "StandIn", tmp_path: Path, out: Path
) -> None:
    evidence = publish(stand_in, int(time.time()))
    (tmp_path / "evidence.json").write_bytes(evidence.to_bytes())
    result = fetch(stand_in, tmp_path / "evidence.json", out)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    (file,) = out.iterdir()
    assert told["file"] == str(file)
    assert told["machine"] in file.name and file.name.endswith("Z.collateral.json")
    whole = Evidence(evidence.kind, evidence.quote, file.read_text())
    claims = verify_evidence(whole, now=int(time.time()))
    assert (claims.tcb_status, claims.collateral_expires) == (told["tcb_status"], told["expires"])
    assert len(stand_in.asked) == 4


@pytest.mark.parametrize("age", [31 * DAY, -DAY])
def test_stale(stand_in: "StandIn", tmp_path: Path, out: Path, age: int) -> None:
    evidence = publish(stand_in, int(time.time()) - age)
    (tmp_path / "evidence.json").write_bytes(evidence.to_bytes())
    result = fetch(stand_in, tmp_path / "evidence.json", out)
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["reason"] == "COLLATERAL_STALE"
    assert not list(out.iterdir())


@pytest.mark.parametrize("part", ["pckcrl", "tcb", "qe/identity", "rootcacrl"])
@pytest.mark.parametrize(
    ("code", "body"),
    [(404, b""), (302, b""), (200, b""), (200, b"{}"), (200, b"x" * 200_000), (200, b"[" * 9999)],
)
def test_missing_malformed_oversized(
    stand_in: "StandIn", part: str, code: int, body: bytes
) -> None:
    now = int(time.time())
    evidence = publish(stand_in, now)
    path = next(one for one in stand_in.answers if f"v4/{part}" in one)
    _, header, _ = stand_in.answers[path]
    stand_in.answers[path] = (code, {**header, "Location": f"{stand_in.url}/elsewhere"}, body)
    with pytest.raises(AnswerMalformed):
        ask(stand_in, evidence, now)
    assert "/elsewhere" not in stand_in.asked


@pytest.mark.parametrize("part", ["pckcrl", "tcb", "qe/identity"])
def test_without_the_chain(stand_in: "StandIn", part: str) -> None:
    now = int(time.time())
    evidence = publish(stand_in, now)
    path = next(one for one in stand_in.answers if f"v4/{part}" in one)
    stand_in.answers[path] = (200, {}, stand_in.answers[path][2])
    with pytest.raises(AnswerMalformed, match="Chain"):
        ask(stand_in, evidence, now)


def test_whom_to_ask(stand_in: "StandIn", tmp_path: Path) -> None:
    now = int(time.time())
    evidence = publish(stand_in, now)
    with pytest.raises(HostUnreachable, match="--ca"):  # not an authority of the system's
        fetch_collateral(evidence.kind, evidence.quote, Web(), stand_in.url, now=now, verify=at)
    with pytest.raises(UsageRefused):
        plain = stand_in.url.replace("https", "http")
        fetch_collateral(evidence.kind, evidence.quote, Web(), plain, now=now, verify=at)
    (tmp_path / "none.pem").write_text("none")
    with pytest.raises(FileRefused):
        Web(tmp_path / "none.pem")
    with pytest.raises(FileRefused):
        Web(tmp_path / "missing.pem")


def test_what_is_a_quote(stand_in: "StandIn") -> None:
    evidence = publish(stand_in, int(time.time()))
    assert read_quote(evidence.to_bytes()) == ("simulation", evidence.quote)
    assert read_quote(evidence.quote + bytes(70)) == ("sgx", evidence.quote)
    assert read_quote(bytes(1184)) == ("snp", bytes(1184))
    for nothing in (b"", b"{}", b"\x09" + bytes(2000), evidence.quote[:40]):
        with pytest.raises(FileRefused):
            read_quote(nothing)
    with pytest.raises(EvidenceMalformed):
        provisioning(evidence.quote[:1000])


def ask(server: "StandIn", evidence: Evidence, now: int) -> None:
    web = Web(server.ca)
    fetch_collateral(evidence.kind, evidence.quote, web, server.url, now=now, verify=at)


def at(evidence: Evidence, now: int) -> Claims:
    return verify_evidence(evidence, now=now)
