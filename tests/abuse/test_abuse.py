# SPDX-License-Identifier: Apache-2.0
"""A short run with a quarter of the strangers. `make abuse` goes on for as long as one likes, with
all of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_under_every_stranger_jobs_end_well_and_stops_have_effect(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "bench/abuse.py", "--small"],
        check=False,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = {figure["name"]: figure for figure in map(json.loads, ran.stdout.splitlines())}
    assert figures["jobs_failed_under_abuse"]["value"] == 0
    assert figures["jobs_failed_under_abuse"]["of"] > 0
    # How soon is measured by `make abuse`: here other tests have the processors.
    assert len(figures["stop_under_abuse_ms"]["each"]) == 2
    assert figures["memory_under_abuse_mb"]["value"] < 1024
