# SPDX-License-Identifier: Apache-2.0
"""The share of acknowledged jobs that end as they would have without faults, while a host is
killed, stopped, locked out of its store and its disk: tests/fault.

    python bench/faults.py
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from _figures import Figure, arguments, tell

ROOT = Path(__file__).resolve().parents[1]


def run(*options: str) -> Iterator[Figure]:
    """The line to print: the harness's own."""
    command = [sys.executable, "-m", "tests.fault", *options]
    ran = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield json.loads(ran.stdout.splitlines()[-1])


if __name__ == "__main__":
    small = arguments(__doc__).parse_args().small
    tell(run("--events", "1", "--seed", "7") if small else run("--events", "300"))
