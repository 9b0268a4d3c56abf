# SPDX-License-Identifier: Apache-2.0
"""What honest work costs, how soon a stop has effect, and what memory the host takes, while every
kind of stranger comes at once: tests/abuse.

    python bench/abuse.py
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from _figures import Figure, arguments, tell

ROOT = Path(__file__).resolve().parents[1]


def run(*options: str) -> Iterator[Figure]:
    """The lines to print: the harness's own."""
    command = [sys.executable, "-m", "tests.abuse", *options]
    ran = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in ran.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
    if ran.returncode:
        raise SystemExit(f"tests.abuse ended with {ran.returncode}: {ran.stdout}")


if __name__ == "__main__":
    small = arguments(__doc__).parse_args().small
    tell(run("--short") if small else run())
