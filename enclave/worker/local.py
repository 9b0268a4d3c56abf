# SPDX-License-Identifier: Apache-2.0
"""A program against a plaintext sample, without enclave, keys or council: to try it before anybody
votes on it.

Under the same guard and the same `Job`, but it may print, and its exceptions are shown: the sample
is the caller's own.
"""

import argparse
import io
import json
import sys
import tempfile
import traceback
from pathlib import Path

from placet.enclave.worker.bundle import Bundle
from placet.enclave.worker.guard import lay_guard
from placet.enclave.worker.job import Input, Job
from placet.enclave.worker.program import RisingProgress, progress_clock
from placet.refusals import Refusal

EXIT_RAISED = 70


def run_local(arguments: argparse.Namespace) -> int:
    """Run the bundle; outputs go to the folder asked for. Returns 0, or 70 if the program did not
    come to its end."""
    bundle = Bundle(Path(arguments.bundle).read_bytes())
    inputs = {name: _plain_input(Path(path)) for name, path in _pairs(arguments.input)}
    parameters = {name: json.loads(value) for name, value in _pairs(arguments.parameter)}
    outputs = {name: int(size) for name, size in _pairs(arguments.output)}
    target = Path(arguments.output_dir).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="placet-local-") as scratch:
        report = RisingProgress(lambda percent: print(f"{percent} %", flush=True), progress_clock)
        job = Job(inputs, parameters, outputs, report, Path(scratch))
        lay_guard(Path(scratch), target)
        try:
            bundle.load()(job)
            written = job.written()
        except Refusal as refusal:
            print(refusal, file=sys.stderr)
            return EXIT_RAISED
        except BaseException:  # noqa: BLE001 - also SystemExit: whatever the program does is shown
            traceback.print_exc()
            return EXIT_RAISED
        for name, content in written.items():
            (target / name).write_bytes(content)
            print(f"{name}: {len(content)} bytes")
    return 0


def _plain_input(path: Path) -> Input:
    content = path.read_bytes()
    return Input(lambda: io.BytesIO(content), len(content), ())


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]
