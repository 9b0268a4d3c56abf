# SPDX-License-Identifier: Apache-2.0
"""A short run of the harness: every kind of event once. `make fault` goes on for as long as one
likes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fault import events

ROOT = Path(__file__).resolve().parents[2]


def test_after_every_kind_of_event_everything_holds(tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fault",
            "--short",
            "--seed",
            "7",
            "--keep",
            tmp_path / "logs",
        ],
        check=False,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(ran.stdout.splitlines()[-1])
    assert {*figures["kinds"], *figures["left_out"]} == {*events.KINDS, "clock"}
    assert figures["value"] == 1.0
    for load in ("jobs", "rounds", "rows_answered", "documents", "uploads"):
        assert figures[load] > 0, load
