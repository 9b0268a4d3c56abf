# SPDX-License-Identifier: Apache-2.0
"""The process in which the peers run: another interpreter with the versions that
`requirements/peers.txt` pins."""

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "build" / "peers" / "bin" / "python"
# One thread is claimed, so one thread it is: numpy's matrix products would take all cores.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


class Peers:
    """Does one thing on command and waits otherwise."""

    @staticmethod
    def installed() -> bool:
        return PYTHON.exists()

    def __init__(self) -> None:
        if not self.installed():
            raise SystemExit("The peers are not installed: run `make bench-aggregation`.")
        self._process = subprocess.Popen(
            [PYTHON, ROOT / "bench" / "peers" / "main.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def ask(self, do: str, **details: object) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        print(json.dumps({"do": do, **details}), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the peers' process ended; what it wrote last says why")
        return cast(dict[str, Any], json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
