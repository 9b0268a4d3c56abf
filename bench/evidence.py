# SPDX-License-Identifier: Apache-2.0
"""What verifying evidence costs besides dcap-qvl, what an SNP report costs, and what a cached
verdict costs.

Quote, collateral and policy are parsed beforehand on both sides: ours keeps the collateral of a
machine parsed, as in an enclave that is asked about the same machine all day. The passes take
turns, so that a busy machine slows both alike; medians are shown. With a folder of real quotes
beside the repository (shared/vectors) they are measured too, below Intel's root.
"""

import csv
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dcap_qvl  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from _figures import Figure, arguments, figure, interleaved, ratio, tell

from placet.attestation import (
    SIMULATION_ROOT,
    Claims,
    Evidence,
    Policy,
    strip_quote,
    verify_appraisal,
    verify_evidence,
)
from placet.attestation.snp import Collateral
from placet.host.simulation.platform import make_platform
from placet.host.simulation.quote import EnclaveReport, QuotingEnclave
from placet.host.simulation.root import published_root

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.policies import policy

NOW = 1_800_000_000
PASSES = 400
CACHED_SECONDS = 50e-6  # at most, for a cached verdict
SNP_SECONDS = 5e-3  # at most, for an SNP report: no other library verifies one
REAL = ROOT.parent / "shared" / "vectors"
NAMES = ("sgx/config_and_sw_hardening", "tdx/v4_up_to_date")


def run(passes: int) -> Iterator[Figure]:
    """Yield one line for each figure: name, value, unit, against, ratio."""
    for name, evidence, now in _samples():
        yield from _figures(name, evidence, now, passes)


def _samples() -> Iterator[tuple[str, Evidence, int]]:
    platform = make_platform(published_root(), bytes(16), NOW)
    quote = QuotingEnclave(platform).quote(EnclaveReport(b"\xaa" * 32, bytes(64), bytes(64)))
    yield "simulation", Evidence("simulation", quote, platform.collateral), NOW
    manifest = REAL / "MANIFEST.tsv"
    if not manifest.exists():
        return
    yield "snp", _snp("v3_milan_vcek"), 1785805473
    with manifest.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        times = {row["name"]: int(row["now_unix"]) for row in rows}
    for name in NAMES:
        raw = (REAL / f"{name}.quote.bin").read_bytes()
        collateral = (REAL / f"{name}.collateral.json").read_text()
        kind = name.partition("/")[0]
        yield kind, Evidence(kind, strip_quote(raw), collateral), times[name]


def _snp(name: str) -> Evidence:
    folder = REAL / "snp"
    names = ("ARK-Milan", "SEV-Milan", f"{name}.ek")
    root, signer, key = ((folder / f"{one}.der").read_bytes() for one in names)
    report = (folder / f"{name}.report.bin").read_bytes()
    return Evidence("snp", report, Collateral(root, signer, key, None).to_text())


def _figures(name: str, evidence: Evidence, now: int, passes: int) -> Iterator[Figure]:
    found = verify_evidence(evidence, now=now)
    policy = _policy(found)

    def ours() -> None:
        claims = verify_evidence(evidence, now=now)
        verify_appraisal(claims, policy, now=now, launched_for=None)

    def cached() -> None:
        verify_appraisal(found, policy, now=now, launched_for=None)

    tasks = {"ours": ours, "cached": cached}
    if name != "snp":
        tasks["floor"] = _floor(evidence, now)
    seconds = interleaved(tasks, passes)
    took, again = (statistics.median(seconds[one]) for one in ("ours", "cached"))
    if name == "snp":
        yield _over_limit("snp", took, SNP_SECONDS)
    else:
        floor = seconds["floor"]
        yield figure(
            f"evidence_{name}_over_dcap_qvl",
            took * 1e3,
            "ms",
            statistics.median(floor) * 1e3,
            ratio(seconds["ours"], floor),
        )
    yield _over_limit(f"{name}_cached", again, CACHED_SECONDS)


def _over_limit(name: str, seconds: float, limit: float) -> Figure:
    return figure(f"evidence_{name}_over_limit", seconds * 1e6, "us", limit * 1e6, seconds / limit)


def _floor(evidence: Evidence, now: int) -> Callable[[], None]:
    """What dcap-qvl's own verification takes."""
    parsed = dcap_qvl.QuoteCollateralV3.from_json(evidence.collateral)

    def verify() -> None:
        if evidence.kind == "simulation":
            dcap_qvl.verify_with_root_ca(evidence.quote, parsed, SIMULATION_ROOT, now)
        else:
            dcap_qvl.verify(evidence.quote, parsed, now)

    return verify


def _policy(claims: Claims) -> Policy:
    return policy(
        kinds=[claims.kind],
        measurements=[claims.measurement],
        signers=[claims.signer],
        product=claims.product,
        platforms=[claims.platform],
        tcb_statuses=[claims.tcb_status],
        advisories=claims.advisories or "none",
        min_svn=claims.svn,
        min_tcb_evaluation=claims.tcb_evaluation,
        **({"max_collateral_age_seconds": "any"} if claims.kind == "snp" else {}),
    )


if __name__ == "__main__":
    tell(run(3 if arguments(__doc__).parse_args().small else PASSES))
