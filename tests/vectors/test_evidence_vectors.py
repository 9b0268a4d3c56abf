# SPDX-License-Identifier: Apache-2.0
"""Every vector gives what it states: those kept here, those made anew, and real ones where there
are any."""

import csv
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from placet.attestation import (
    Claims,
    Evidence,
    Identity,
    strip_quote,
    verify_appraisal,
    verify_binding,
    verify_evidence,
)
from placet.attestation.dcap import verify_dcap
from placet.attestation.snp import MACHINES, verify_snp
from placet.refusals import Refusal
from tests.support.vectors import find, need, policy, told

HERE = Path(__file__).parent
CASES = sorted(path.name for path in (HERE / "evidence").iterdir())
REAL = HERE.parents[2] / "shared" / "vectors"


def outcome(case: Path) -> tuple[str, str]:
    """What the case states, and what judging it gives: the name of a refusal, or nothing."""
    stated = told(case)
    evidence = Evidence.from_bytes(need(case, "evidence.json"))
    quote = find(case, "quote.bin") or evidence.quote
    quote = quote[: stated.get("keep", len(quote))]
    evidence = replace(evidence, quote=quote + bytes.fromhex(stated.get("append", "")))
    nonce, context = bytes.fromhex(stated["nonce"]), bytes.fromhex(stated["context"])
    identity = Identity.from_bytes(need(case, "identity.json"))
    try:
        claims = _genuine(evidence, find(case, "root.der"), stated["now"])
        verify_binding(claims, identity, nonce, context)
        verify_appraisal(claims, policy(case), now=stated["now"], launched_for=None)
    except Refusal as refusal:
        return stated["expected"], type(refusal).__name__
    return stated["expected"], ""


def _genuine(evidence: Evidence, root: bytes | None, now: int) -> Claims:
    if root is None:
        assert evidence.kind == "simulation"
        return verify_evidence(evidence, now=now)
    if evidence.kind == "snp":
        digest = hashlib.sha256(root).hexdigest()
        return verify_snp(evidence, now, [replace(MACHINES[2], root=digest)])
    return verify_dcap(evidence, root, now)


@pytest.mark.parametrize("name", CASES)
def test_the_outcome_is_the_one_stated(name: str) -> None:
    expected, found = outcome(HERE / "evidence" / name)
    assert found == expected
    assert bool(expected) == name.endswith("_fail")


def test_what_the_generator_writes_now(tmp_path: Path) -> None:
    subprocess.run([sys.executable, HERE / "generate.py", tmp_path], check=True)
    made = tmp_path / "evidence"
    assert sorted(path.name for path in made.iterdir()) == CASES
    outcomes = {name: outcome(made / name) for name in CASES}
    assert {name: found for name, (_, found) in outcomes.items()} == {
        name: expected for name, (expected, _) in outcomes.items()
    }


def real_rows() -> list[dict[str, str]]:
    """The rows of the manifest that are about Intel's quotes; none where there is no manifest."""
    manifest = REAL / "MANIFEST.tsv"
    if not manifest.exists():
        return []
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row for row in rows if row["kind"].startswith(("sgx", "tdx"))]


@pytest.mark.skipif(not real_rows(), reason=f"no quotes of real machines in {REAL}")
@pytest.mark.parametrize("row", real_rows() or [{}], ids=lambda row: row.get("name", "none"))
def test_real_machines(row: dict[str, str]) -> None:
    kind = row["kind"].split()[0]
    raw = (REAL / f"{row['name']}.quote.bin").read_bytes()
    collateral = (REAL / f"{row['name']}.collateral.json").read_text()
    evidence = Evidence(kind, strip_quote(raw), collateral)
    verdict, _, rest = row["expected"].partition(" ")
    if verdict == "REJECT:":
        with pytest.raises(Refusal, match=rest):
            verify_evidence(evidence, now=int(row["now_unix"]))
        return
    claims = verify_evidence(evidence, now=int(row["now_unix"]))
    status, _, advisories = rest.partition(" ")
    assert (claims.tcb_status, ",".join(claims.advisories)) == (status, advisories)
    assert claims.report_data.hex() == row["report_data"]
    assert claims.signer == row["signer_or_host_data"]
    assert claims.measurement == (
        row["measurement"] if kind == "sgx" else tdx_measurement(raw, row)
    )
    assert claims.debug is False


def tdx_measurement(raw: bytes, row: dict[str, str]) -> str:
    """The measurement of a version 4 quote by the offsets of its registers."""
    registers = [raw[48 + at : 48 + at + 48] for at in (136, 328, 376, 424)]
    assert registers[0].hex() == row["measurement"]
    prefixed = b"".join((48).to_bytes(8, "big") + register for register in registers)
    return hashlib.sha384(b"placet/tdx/v1" + prefixed).hexdigest()
