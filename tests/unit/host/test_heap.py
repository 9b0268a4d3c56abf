# SPDX-License-Identifier: Apache-2.0
"""What the host has freed goes back to the machine, whatever lies between."""

import subprocess
import sys
from typing import Any

import pytest

from placet.host.calls.options import public_options

# Blocks as connections have them, of which every tenth stays.
_SCATTERED = """
import ctypes, threading
from placet.host import heap
from placet.host.callers.memory import resident

heap.few_arenas()
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p

def work():
    blocks = [c.malloc(ctypes.c_size_t(50_000)) for _ in range(2000)]
    for block in blocks:
        ctypes.memset(block, 1, 50_000)
    for number, block in enumerate(blocks):
        if number % 10:
            c.free(ctypes.c_void_p(block))

before = resident()
for _ in range(3):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
kept = resident() - before
heap.give_back()
print(kept, resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has arenas")
def test_what_is_free_between_what_is_not_is_given_back() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _SCATTERED], check=True, capture_output=True, text=True, timeout=60
    )
    kept, left = map(int, ran.stdout.split())
    assert kept > 80_000_000
    assert left < 60_000_000


def test_a_host_gives_back_while_it_runs(
    world: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[bool]()

    async def giving_back() -> None:
        given.append(True)

    monkeypatch.setattr("placet.host.server.giving_back", giving_back)

    async def body() -> None:
        async with world.host():
            pass

    run(body())
    assert given == [True]


def test_of_a_call_that_nobody_reads_so_much_is_taken_in() -> None:
    options = dict(public_options(max_connections=1, max_unread=1 << 20))
    assert options["grpc.http2.lookahead_bytes"] == 1 << 20
    assert options["grpc.http2.bdp_probe"] == 0  # which would widen it
