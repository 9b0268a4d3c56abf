# SPDX-License-Identifier: Apache-2.0
"""Placement as a pure function: who gets which worker, who is started, and who is ended."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from placet.host.placement.plan import End, Give, Start, Step, View, plan
from placet.host.placement.queue import Queue, Queued
from placet.host.placement.worker import Phase, Worker

PHASES = {
    "starting": Phase.STARTING,
    "ready": Phase.READY,
    "beginning": Phase.BUSY,
    "running": Phase.BUSY,
    "leaving": Phase.LEAVING,
}


def worker(text: str) -> Worker:
    """ "a1 ready": the first worker of program "a", and how far it is."""
    token, phase = text.split()
    return Worker(token, token[0], phase=PHASES[phase], runs=phase == "running")


def queued(job: str) -> Queued:
    """ "a1": the first job of program "a"."""
    return Queued(job, "proposal " + job, job[0])


def queue_of(*jobs: str) -> Queue:
    queue = Queue()
    for job in jobs:
        queue.add(queued(job))
    return queue


def told(steps: list[Step]) -> list[str]:
    """A plan in words."""
    words = list[str]()
    for step in steps:
        match step:
            case Start(program):
                words.append(f"start {program}")
            case End(ended):
                words.append(f"end {ended.token}")
            case Give(given_to, waits):
                words.append(f"{waits.job} to {given_to.token}")
    return words


@dataclass(frozen=True)
class Case:
    """What there is, and the plan that is expected of it."""

    name: str
    queue: str = ""
    workers: tuple[str, ...] = ()
    spares: dict[str, int] = field(default_factory=dict[str, int])
    blocked: str = ""
    most: int = 4
    expected: tuple[str, ...] = ()


CASES = [
    Case("nothing is wanted"),
    Case("a job without a worker has one started", "a1", expected=("start a",)),
    Case(
        "as many are started as jobs wait", "a1 a2 b1", expected=("start a", "start a", "start b")
    ),
    Case("no more are started than there is room for", "a1 a2", most=1, expected=("start a",)),
    Case("a worker that starts is for the job that waits", "a1", ("a1 starting",)),
    Case("a free worker has the job", "a1", ("a1 ready",), expected=("a1 to a1",)),
    Case(
        "the last free worker goes to whoever waits longest",
        "a1 a2",
        ("a1 ready",),
        most=1,
        expected=("a1 to a1",),
    ),
    Case(
        "each free worker has one job, the oldest worker first",
        "a1 a2",
        ("a7 ready", "a8 ready", "a9 ready"),
        {"a": 1},
        expected=("a1 to a7", "a2 to a8"),
    ),
    Case(
        "a worker is bound to its program",
        "b1 a1",
        ("a1 ready",),
        expected=("a1 to a1", "start b"),
    ),
    Case("a worker that leaves has no further job", "a1", ("a1 leaving",), expected=("start a",)),
    Case("a worker that leaves takes its room until it is gone", "a1", ("a1 leaving",), most=1),
    Case("a busy worker is left alone", "b1", ("a1 running",), most=1),
    Case(
        "spares are kept by importance", spares={"b": 2, "a": 1}, most=2, expected=("start b",) * 2
    ),
    Case(
        "jobs come before spares",
        "c1",
        spares={"b": 2, "c": 1},
        most=2,
        expected=("start c", "start b"),
    ),
    Case("a spare that waits counts", spares={"a": 1}, workers=("a1 ready",)),
    Case("more spares than are wanted stay", spares={"a": 1}, workers=("a1 ready", "a2 ready")),
    Case(
        "a spare that nothing wants is ended",
        spares={"b": 1},
        workers=("a1 ready",),
        expected=("end a1", "start b"),
    ),
    Case("a spare stays while nothing at all is wanted", workers=("a1 ready",)),
    Case("a worker that starts is not ended", spares={"b": 1}, workers=("a1 starting", "b1 ready")),
    Case(
        "a taken spare is not replaced before its job runs",
        "a1",
        ("a1 ready",),
        {"a": 1},
        expected=("a1 to a1",),
    ),
    Case("nor in the plans after that", spares={"a": 1}, workers=("a1 beginning",)),
    Case(
        "a taken spare is replaced once its job runs",
        spares={"a": 1},
        workers=("a1 running",),
        expected=("start a",),
    ),
    Case(
        "a job that begins delays the spares of its own program alone",
        spares={"a": 1, "b": 1},
        workers=("a1 beginning",),
        expected=("start b",),
    ),
    Case(
        "a job that begins delays no job", "a2", ("a1 beginning",), {"a": 1}, expected=("start a",)
    ),
    Case("a blocked program starts nothing", "a1", spares={"a": 1}, blocked="a"),
    Case("other programs go on meanwhile", "a1 b1", blocked="a", expected=("start b",)),
    Case(
        "a blocked program's free worker has the job",
        "a1",
        ("a1 ready",),
        blocked="a",
        expected=("a1 to a1",),
    ),
    Case(
        "a blocked program has no spare ended for it",
        "a1",
        ("b1 ready",),
        {"b": 1},
        blocked="a",
        most=1,
    ),
    Case(
        "a spare makes room for a job",
        "a1",
        ("b1 ready", "c1 ready"),
        {"b": 1, "c": 1},
        most=2,
        expected=("end b1",),
    ),
    Case("one at a time", "a1 a2", ("b1 ready", "b2 leaving"), {"b": 2}, most=2),
    Case(
        "a spare that nothing wants makes room first",
        "a1",
        ("b1 ready", "c1 ready"),
        {"b": 1},
        most=2,
        expected=("end c1",),
    ),
    Case(
        "no spare makes room for a spare",
        spares={"a": 1, "b": 1},
        workers=("b1 ready",),
        most=1,
    ),
    Case(
        "a worker that jobs wait for makes no room",
        "a1 b1",
        ("b1 starting", "b2 running"),
        most=2,
    ),
    Case(
        "a given worker is not ended for another job",
        "b1 a1",
        ("b1 ready",),
        {"b": 1},
        most=1,
        expected=("b1 to b1",),
    ),
    Case(
        "a service's workers are started as jobs are, and are no spares",
        "s1 s2 a1",
        ("a1 ready",),
        {"a": 1},
        most=3,
        expected=("a1 to a1", "start s", "start s"),
    ),
    Case(
        "a service that runs holds no spare back",
        spares={"a": 1},
        workers=("s1 running",),
        expected=("start a",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_planned(case: Case) -> None:
    view = View(
        queue_of(*case.queue.split()),
        [worker(text) for text in case.workers],
        case.spares,
        set(case.blocked.split()),
        case.most,
    )
    before = [(held.token, held.phase) for held in view.workers]
    assert told(plan(view)) == list(case.expected)
    assert [(held.token, held.phase) for held in view.workers] == before
    assert told(plan(view)) == list(case.expected)  # nothing but the view counts


class World:
    """Plans carried out on workers that have no processes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.queue = Queue()
        self.workers = dict[str, Worker]()
        self.jobs = dict[str, str]()  # by worker
        self.blocked = set[str]()
        self.spares = dict[str, int]()
        self.number = 0

    def name(self, program: str) -> str:
        """A name that nothing had before."""
        self.number += 1
        return f"{program}{self.number}"

    def settle(self) -> list[Step]:
        """Make a plan, check that each of its steps can be taken, and take them."""
        view = View(self.queue, list(self.workers.values()), self.spares, self.blocked, self.most)
        steps = plan(view)
        for step in steps:
            match step:
                case Give(held, waits):
                    assert held.phase is Phase.READY  # never one that was ended or given before
                    assert held.program == waits.program
                    assert waits == next(self.queue.of(held.program))
                    assert self.queue.take(waits.job) == waits
                    held.phase, held.job, held.runs = Phase.BUSY, waits.job, False
                case End(held):
                    assert held.phase is Phase.READY  # never one that has a job
                    held.phase = Phase.LEAVING
                case Start(program):
                    assert program not in self.blocked
                    token = self.name(program)
                    self.workers[token] = Worker(token, program)
                    assert len(self.workers) <= self.most
        return steps

    def happen(self, event: str, program: str, pick: int) -> None:
        """One thing that changes what there is."""
        held = [w for w in self.workers.values() if w.program == program]
        chosen = held[pick % len(held)] if held else None
        match event, chosen:
            case "submit", _:
                self.queue.add(queued(self.name(program)))
            case "ticket", _:
                self.spares = {
                    program: pick % 3,
                    **{p: n for p, n in self.spares.items() if p != program},
                }
            case "forget", _:
                self.spares.pop(program, None)
            case "block", _:
                self.blocked.add(program)
            case "unblock", _:
                self.blocked.discard(program)
            case "withdraw", _:
                for waits in list(self.queue.of(program)):
                    self.queue.take(waits.job)
            case "join", Worker(phase=Phase.STARTING):
                chosen.phase = Phase.READY
            case "begin", Worker(phase=Phase.BUSY):
                chosen.runs = True
            case "exit", Worker():  # whatever it was at
                del self.workers[chosen.token]
                if chosen.phase is Phase.BUSY and pick % 2:  # lost: its job waits again, in front
                    self.queue.add(queued(chosen.job), first=True)
            case "lapse" | "refuse", Worker(phase=Phase.READY):
                chosen.phase = Phase.LEAVING
            case "release", Worker(phase=Phase.BUSY):  # no lease was given to it
                chosen.phase, chosen.job = Phase.READY, ""
            case _:
                pass


EVENTS = st.tuples(
    st.sampled_from(
        [
            "submit",
            "submit",
            "ticket",
            "forget",
            "block",
            "unblock",
            "withdraw",
            "join",
            "join",
            "begin",
            "exit",
            "lapse",
            "release",
        ]
    ),
    st.sampled_from("abc"),
    st.integers(0, 5),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=40), st.integers(1, 4))
def test_whatever_happens_each_job_gets_a_worker_in_the_end(
    events: list[tuple[str, str, int]], most: int
) -> None:
    world = World(most)
    for event in events:
        world.happen(*event)
        world.settle()
        assert not [step for step in world.settle() if not isinstance(step, End)]
    # From now on all goes well: workers join, jobs end, those that leave are gone.
    world.blocked.clear()
    waiting = len(world.queue)
    for _ in range(4 * (waiting + most) + 4):
        for held in list(world.workers.values()):
            if held.phase is Phase.STARTING:
                held.phase = Phase.READY
            elif held.phase is not Phase.READY:
                del world.workers[held.token]
        world.settle()
    assert not len(world.queue)


def test_the_queue_is_in_the_order_of_turns() -> None:
    queue = queue_of("a1", "b1", "a2", "c1")
    assert queue.programs() == ["a", "b", "c"]
    assert queue.take("a1") == queued("a1") and queue.take("a1") is None
    assert queue.programs() == ["b", "a", "c"]
    queue.add(queued("c2"), first=True)  # it has waited its turn
    assert queue.programs() == ["c", "b", "a"]
    assert [waits.job for waits in queue.of("c")] == ["c2", "c1"]
    queue.take("b1")
    assert (queue.programs(), queue.waiting("b"), len(queue)) == (["c", "a"], 0, 3)
