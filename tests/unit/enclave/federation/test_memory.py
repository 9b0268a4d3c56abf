# SPDX-License-Identifier: Apache-2.0
"""Memory is that of the sums and of a few segments a client, not of the updates."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from placet.enclave.worker.federation.updates import Shape

CLIENTS = 40
SHAPE = Shape(1_000_000, "float32")
UPDATES_MB = CLIENTS * SHAPE.sealed_bytes / 1e6
# Sums of 8 MB; two rooms of ciphertext and the kernel's plaintext segments; what Python and threads
# take.
BOUND_MB = 40

PROGRAM = """
import sys
from pathlib import Path
from placet.enclave.worker.federation.aggregate import aggregate
from placet.enclave.worker.federation.rules import Mean, Median
from placet.enclave.worker.federation.updates import FileSource, Shape, Update
from placet.sealing import StreamKey

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024

key, object_id = StreamKey(bytes.fromhex(sys.argv[1])), sys.argv[2]
rule = {"mean": Mean(), "median": Median()}[sys.argv[3]]
shape, source = Shape(1_000_000, "float32"), Path(sys.argv[4])
updates = [
    Update(f"{n}", f"{n}", key, object_id, 2.0**20, 1, FileSource(source)) for n in range(40)
]
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
idle = status("VmRSS:")
result = aggregate(updates, shape, rule, smallest=1, threads=2)
assert len(result.kept) == 40 and result.sums.any()
print(status("VmHWM:") - idle)
"""


@pytest.mark.parametrize("rule", ["mean", "median"])
def test_forty_updates_do_not_take_the_memory_of_forty(
    make_clients: Any, tmp_path: Path, rule: str
) -> None:
    client = make_clients(1, SHAPE)[0]
    sealed = tmp_path / "update"
    sealed.write_bytes(client.sealed)
    arguments = [client.key.to_bytes().hex(), client.object_id, rule, str(sealed)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    peak_mb = int(done.stdout) / 1e6
    assert SHAPE.elements * 8 / 1e6 < peak_mb < BOUND_MB < UPDATES_MB / 3
