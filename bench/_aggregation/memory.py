# SPDX-License-Identifier: Apache-2.0
"""Peak memory above idle: a process of its own that aggregates 100 files of 10 million float32 each
(4 GB).

Idle is what is resident when all is imported and the files are open. The new model is part of the
peak.
"""

import ctypes
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from placet.enclave.worker.federation.aggregate import aggregate
from placet.enclave.worker.federation.fixed import finish, multiplier
from placet.enclave.worker.federation.rules import Krum, Mean, Median, Rule
from placet.enclave.worker.federation.updates import FileSource, Shape, Update
from placet.sealing import StreamKey, seal_stream

Result = TypeVar("Result")

CLIENTS = 100
ELEMENTS = 10_000_000
BOUND_MB = 250
CLIP = 200.0
RULES: dict[str, Rule] = {"mean": Mean(), "median": Median(), "krum": Krum(1, 2)}


def peaks() -> Iterator[dict[str, object]]:
    """The peak for each rule on two threads; `peak_mb` is the larger of mean and median."""
    with tempfile.TemporaryDirectory() as folder:
        clients = list(_sealed(Path(folder)))
        found = {name: _peak_of_child(name, clients) for name in RULES}
    shape = f"{CLIENTS}x{ELEMENTS}"
    for name, peak in found.items():
        yield _figure(f"{name}_peak_mb@{shape}", peak)
    yield {**_figure("peak_mb", max(found["mean"], found["median"])), "bound": BOUND_MB}


def _figure(name: str, peak: int) -> dict[str, object]:
    all_updates = CLIENTS * ELEMENTS * 4
    return {
        "name": name,
        "value": round(peak / 1e6, 1),
        "unit": "MB",
        "against": all_updates / 1e6,
        "ratio": round(peak / all_updates, 4),
    }


def _sealed(folder: Path) -> Iterator[dict[str, str]]:
    """The same values by every client, each under a key of its own: what they hold does not change
    the memory."""
    values = np.random.default_rng(1).standard_normal(ELEMENTS, dtype=np.float32) * np.float32(0.01)
    for client in range(CLIENTS):
        key, path = StreamKey.generate(), folder / str(client)
        with path.open("wb") as sink:
            descriptor = seal_stream(io.BytesIO(values.data), sink, key, kind="bench", labels=())
        yield {"path": str(path), "key": key.to_bytes().hex(), "id": descriptor.id}


def _peak_of_child(rule: str, clients: list[dict[str, str]]) -> int:
    command = [sys.executable, str(Path(__file__).parents[1] / "aggregation.py"), "--peak", rule]
    result = subprocess.run(
        command, input=json.dumps(clients), check=True, capture_output=True, text=True
    )
    return int(result.stdout)


def print_peak(rule: str) -> None:
    """In the child: aggregate the files named on standard input, print the bytes above idle."""
    shape = Shape(ELEMENTS, "float32")
    updates = [
        Update(
            client=f"client-{number:03}",
            organisation=f"organisation-{number:03}",
            key=StreamKey(bytes.fromhex(client["key"])),
            object_id=client["id"],
            multiplier=multiplier(CLIP, 40.0),
            weight=1,
            source=FileSource(Path(client["path"])),
        )
        for number, client in enumerate(json.load(sys.stdin))
    ]
    idle = _forget_peak()
    result = aggregate(updates, shape, RULES[rule], threads=2, smallest=2)
    out = np.empty(ELEMENTS, np.float32)
    finish(result.sums, result.divisor, clip=CLIP, rate=1.0, base=None, out=out)
    peak = _status("VmHWM")
    assert len(result.kept) == CLIENTS and np.isfinite(out).all()
    os.write(1, f"{peak - idle}\n".encode())


def with_peak(task: Callable[[], Result]) -> tuple[Result, int]:
    """Run `task` in this process; return its result and its peak in bytes above what was resident
    before."""
    idle = _forget_peak()
    result = task()
    return result, _status("VmHWM") - idle


def _forget_peak() -> int:
    """Give back what nobody uses, let the peak begin anew, and return what is resident (Linux,
    glibc)."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(field: str) -> int:
    """A field of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
