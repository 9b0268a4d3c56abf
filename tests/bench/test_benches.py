# SPDX-License-Identifier: Apache-2.0
"""Every benchmark runs, in its small form. Its figures mean nothing there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
ELSEWHERE = {"abuse.py"}  # in tests/abuse, which looks at its figures as well
FILES = sorted(path.name for path in BENCH.glob("[!_]*.py") if path.name not in ELSEWHERE)


@pytest.mark.parametrize("file", FILES)
def test_it_runs(file: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, BENCH / file, "--small"],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    if "skipped" in ran.stderr:
        pytest.skip(ran.stderr.strip())
    figures = [json.loads(line) for line in ran.stdout.splitlines()]
    assert figures
    for figure in figures:
        assert {"name", "value", "unit", "against", "ratio"} <= set(figure)
        assert isinstance(figure["value"], float | int)
