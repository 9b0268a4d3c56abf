# SPDX-License-Identifier: Apache-2.0
"""What happens to the machine: each kind of event, how long it lasts, and how it is undone."""

import contextlib
import random
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Final

from tests.fault.machine import Machine, killed, paused

LONGEST = 10.0  # seconds of a pause
LONGEST_FULL = 6.0
LONGEST_LOCK = 14.0  # longer than SQLite waits by itself

Event = Callable[[Machine, random.Random], str]


def kill_worker(machine: Machine, dice: random.Random) -> str:
    """One worker, or all of them at once."""
    workers = machine.processes("worker")
    if workers and dice.random() < 0.6:
        workers = [dice.choice(workers)]
    killed(*workers)
    return f"{len(workers)} of them"


def kill_authority(machine: Machine, dice: random.Random) -> str:
    """The authority; the host starts another one."""
    killed(*machine.processes("authority"))
    return ""


def kill_host(machine: Machine, dice: random.Random) -> str:
    """The host, which somebody starts again; sometimes once more while it starts."""
    machine.kill()
    again = dice.random() < 0.2
    if again:
        machine.launch()
        time.sleep(dice.uniform(0, 1))
        machine.kill()
    machine.launch()
    return "twice" if again else ""


def pause_worker(machine: Machine, dice: random.Random) -> str:
    """All workers stand still."""
    return _pause(machine, dice, "worker")


def pause_authority(machine: Machine, dice: random.Random) -> str:
    """The authority stands still."""
    return _pause(machine, dice, "authority")


def pause_host(machine: Machine, dice: random.Random) -> str:
    """The host stands still."""
    return _pause(machine, dice, "host")


def fill_disk(machine: Machine, dice: random.Random) -> str:
    """Nothing can be written for a while."""
    with machine.disk.filled():
        return _wait(_seconds(dice, LONGEST_FULL))


def lock_store(machine: Machine, dice: random.Random) -> str:
    """Another process writes to the store, and takes its time."""
    with _locked(machine):
        return _wait(_seconds(dice, LONGEST_LOCK))


def cut_line(machine: Machine, dice: random.Random) -> str:
    """Every connection of a client is reset."""
    return f"{machine.line.cut()} connections"


def two_at_once(machine: Machine, dice: random.Random) -> str:
    """A process dies, or the line is cut, while the disk is full, the store locked or the authority
    stands still."""
    holds: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
        "full disk": machine.disk.filled,
        "locked store": lambda: _locked(machine),
        "authority paused": lambda: paused(*machine.processes("authority")),
    }
    if not machine.disk.small:
        del holds["full disk"]
    name = dice.choice(list(holds))
    event = dice.choice((kill_worker, kill_authority, cut_line))
    with holds[name]():
        time.sleep(dice.uniform(0, 2))
        event(machine, dice)
        time.sleep(dice.uniform(0, 3))
    return f"{name}, {event.__name__.replace('_', '-')}"


KINDS: Final[Mapping[str, Event]] = MappingProxyType(
    {
        event.__name__.replace("_", "-"): event
        for event in (
            kill_worker,
            kill_authority,
            kill_host,
            pause_worker,
            pause_authority,
            pause_host,
            fill_disk,
            lock_store,
            cut_line,
            two_at_once,
        )
    }
)
# A clock that jumps takes a library that is preloaded into every process, enclaves too.
_CLOCK = "clock"


def possible(machine: Machine) -> list[str]:
    """The kinds that this machine lets happen."""
    return [kind for kind in KINDS if machine.disk.small or kind != "fill-disk"]


def left_out(machine: Machine) -> list[str]:
    """The kinds that it does not."""
    return [_CLOCK, *(kind for kind in KINDS if kind not in possible(machine))]


def _pause(machine: Machine, dice: random.Random, role: str) -> str:
    seconds = _seconds(dice, LONGEST)
    with paused(*machine.processes(role)):
        return _wait(seconds)


def _seconds(dice: random.Random, longest: float) -> float:
    """Mostly short: a quarter of them last for longer than a third of the longest."""
    return longest * dice.random() ** (1 if dice.random() < 0.4 else 4)


def _wait(seconds: float) -> str:
    time.sleep(seconds)
    return f"{seconds:.1f} s"


@contextlib.contextmanager
def _locked(machine: Machine) -> Generator[None]:
    path = machine.folder / "host" / "placet.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            database.execute("ROLLBACK")
