# SPDX-License-Identifier: Apache-2.0
"""What verifying evidence costs besides dcap-qvl, and what a cached verdict costs.

Quote, collateral and policy are parsed beforehand on both sides: ours keeps the collateral of a
machine parsed, as in an enclave that is asked about the same machine all day. The passes take turns,
so that a busy machine slows both alike; medians are shown. With a folder of real quotes beside the
repository (shared/vectors) they are measured too, below Intel's root.
"""

import csv
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dcap_qvl  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from placet.attestation import (
    SIMULATION_ROOT,
    Claims,
    Evidence,
    EvidenceCache,
    Policy,
    strip_quote,
    verify_appraisal,
    verify_evidence,
)
from placet.attestation.simulation.platform import make_platform
from placet.attestation.simulation.quote import EnclaveReport, QuotingEnclave
from placet.attestation.simulation.root import published_root

NOW = 1_800_000_000
PASSES = 400
LIMIT_SECONDS = 50e-6  # for a cached verdict
REAL = Path(__file__).parents[2] / "shared" / "vectors"
NAMES = ("sgx/config_and_sw_hardening", "tdx/v4_up_to_date")


def run() -> Iterator[dict[str, object]]:
    """Yield one line for each figure: name, value, unit, against, ratio."""
    for name, evidence, now in _samples():
        yield from _figures(name, evidence, now)


def _samples() -> Iterator[tuple[str, Evidence, int]]:
    platform = make_platform(published_root(), bytes(16), NOW)
    quote = QuotingEnclave(platform).quote(EnclaveReport(b"\xaa" * 32, bytes(64), bytes(64)))
    yield "simulation", Evidence("simulation", quote, platform.collateral), NOW
    manifest = REAL / "MANIFEST.tsv"
    if not manifest.exists():
        return
    with manifest.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        times = {row["name"]: int(row["now_unix"]) for row in rows}
    for name in NAMES:
        raw = (REAL / f"{name}.quote.bin").read_bytes()
        collateral = (REAL / f"{name}.collateral.json").read_text()
        kind = name.partition("/")[0]
        yield kind, Evidence(kind, strip_quote(raw), collateral), times[name]


def _figures(name: str, evidence: Evidence, now: int) -> Iterator[dict[str, object]]:
    policy = _policy(verify_evidence(evidence, now=now))
    cache = EvidenceCache()

    def ours() -> None:
        claims = verify_evidence(evidence, now=now)
        verify_appraisal(claims, policy, now=now, bound_to=None)

    def cached() -> None:
        claims = cache.verify(evidence, now=now)
        verify_appraisal(claims, policy, now=now, bound_to=None)

    seconds = _interleaved((ours, _floor(evidence, now), cached))
    verify, floor, again = map(statistics.median, seconds)
    pairs = zip(seconds[0], seconds[1], strict=True)
    yield {
        "name": f"evidence_{name}_over_dcap_qvl",
        "value": round(verify * 1e3, 3),
        "unit": "ms",
        "against": round(floor * 1e3, 3),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }
    yield {
        "name": f"evidence_{name}_cached_over_limit",
        "value": round(again * 1e6, 1),
        "unit": "us",
        "against": LIMIT_SECONDS * 1e6,
        "ratio": round(again / LIMIT_SECONDS, 3),
    }


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
    return Policy(
        kinds=(claims.kind,),
        measurements=(claims.measurement,),
        signers=(claims.signer,),
        product=claims.product,
        bound_to="any",
        platforms=(claims.platform,),
        smt="any",
        dynamic_platform="any",
        tcb_statuses=(claims.tcb_status,),
        advisories=claims.advisories or "none",
        min_svn=claims.svn,
        min_snp_tcb="any",
        min_tcb_evaluation=claims.tcb_evaluation,
        max_collateral_age_seconds=30 * 86400,
    )


def _interleaved(tasks: tuple[Callable[[], None], ...]) -> tuple[list[float], ...]:
    seconds: tuple[list[float], ...] = tuple([] for _ in tasks)
    for number in range(PASSES + 1):
        for task, spent in zip(tasks, seconds, strict=True):
            start = time.perf_counter()
            task()
            if number:  # the first round warms up
                spent.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    for figure in run():
        print(json.dumps(figure), flush=True)
