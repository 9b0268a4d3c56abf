# SPDX-License-Identifier: Apache-2.0
"""Genuine evidence of real machines, below the vendors' own roots: each case gives what it states.

real/<name>[_fail]/ holds case.toml, evidence.json and policy.toml as generate.py describes them,
without an identity: the report data are those of whoever asked. `claims` are what the evidence has
to say; `source` and `licence` say where it is from. The texts of the licences are in
real/licences/.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from placet.attestation import Evidence, verify_appraisal, verify_evidence
from placet.refusals import Refusal
from tests.support.vectors import need, policy, told

REAL = Path(__file__).parent / "real"
CASES = sorted(path.parent.name for path in REAL.glob("*/case.toml"))


@pytest.mark.parametrize("name", CASES)
def test_real_machines(name: str) -> None:
    case = told(REAL / name)
    evidence = Evidence.from_bytes(need(REAL / name, "evidence.json"))
    claims = verify_evidence(evidence, now=case["now"])
    found = asdict(claims) | {"report_data": claims.report_data.hex()}
    found["snp_bits"] = sorted(claims.snp_bits or ())
    stated: dict[str, Any] = case.get("claims", {})
    for claim, value in stated.items():
        assert found[claim] == (sorted(value) if claim == "snp_bits" else value), claim
    refusal = ""
    try:
        verify_appraisal(claims, policy(REAL / name), now=case["now"], launched_for=None)
    except Refusal as error:
        refusal = type(error).__name__
    assert refusal == case["expected"]
    assert bool(refusal) == name.endswith("_fail")


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("_fail")])
def test_no_bit_of_a_report_can_be_changed(name: str) -> None:
    now = told(REAL / name)["now"]
    evidence = Evidence.from_bytes((REAL / name / "evidence.json").read_bytes())
    # Behind header and body of Intel's quotes are certificates, with bits that nobody reads.
    for index in range({"sgx": 432, "tdx": 632}.get(evidence.kind, len(evidence.quote))):
        quote = bytearray(evidence.quote)
        quote[index] ^= 1 << index % 8
        with pytest.raises(Refusal):
            verify_evidence(replace(evidence, quote=bytes(quote)), now=now)


def test_each_source_has_its_licence() -> None:
    cases = [told(REAL / name) for name in CASES]
    sources = {case["source"].split()[0] for case in cases if "of" not in case}
    names = {"_".join(source.split("/")[-2:]) + ".txt" for source in sources}
    assert names == {path.name for path in (REAL / "licences").iterdir()}
