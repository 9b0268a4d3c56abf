# SPDX-License-Identifier: Apache-2.0
"""Jobs through a real host and real enclave processes: how each way of ending looks from
outside."""

import asyncio
import io
import time
from typing import Any

import numpy as np
import pytest

from placet.governance.envelope import parse_envelope
from placet.proto.v1 import governance_pb2

CANARY = b"canary-7c1f2a"


def npy(array: Any) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


@pytest.fixture(scope="module")
def table(running: Any) -> Any:
    return running(running.live.provision(npy(np.arange(1000.0))))[0]


@pytest.fixture(scope="module")
def secret(running: Any) -> Any:
    return running(running.live.provision(CANARY * 10))[0]


def test_a_job_runs_to_its_release(running: Any, table: Any) -> None:
    program = {
        "main.py": """
import pkgutil
from helper.sums import total
def main(job):
    with job.output("out") as sink:
        sink.write(f"{total(job)} {job.parameters['unit']}".encode())
    with job.output("note") as sink:
        sink.write(pkgutil.get_data("helper", "note.txt"))
""",
        "helper/__init__.py": "",
        "helper/sums.py": "def total(job): return job.inputs['table'].array().sum()",
        "helper/note.txt": "a note",
    }
    outcome = running(
        running.live.run(
            program, {"table": table}, outputs={"out": 100, "note": 64}, parameters={"unit": "mm"}
        )
    )
    assert outcome.states[-3:] == ["LEASED", "RUNNING", "FINISHED"]
    assert outcome.results == {"out": b"499500.0 mm", "note": b"a note"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ValueError(job.inputs['secret'].read())", "PROGRAM_RAISED"),
        ("raise SystemExit(0)", "PROGRAM_RAISED"),
        ("raise MemoryError", "PROGRAM_MEMORY"),
        ("bytearray(1 << 60)", "PROGRAM_MEMORY"),
        ("job.output(str(job.inputs['secret'].read()))", "OUTPUT_UNDECLARED"),
        ("job.output('out').write(bytes(101))", "OUTPUT_TOO_LARGE"),
        ("pass", "OUTPUT_MISSING"),
        ("import os; os._exit(7)", "PROGRAM_EXITED"),
        ("import os; os._exit(0)", "PROGRAM_EXITED"),
        ("import ctypes; ctypes.string_at(0)", "PROGRAM_EXITED"),
        (
            """from placet.refusals import OutputTooLarge as E
    raise E(str(job.inputs['secret'].read()), claim='canary-7c1f2a')""",
            "OUTPUT_TOO_LARGE",
        ),
        (
            """class E(Exception): reason, details = 'STOPPED', {'claim': 'canary-7c1f2a'}
    raise E('canary-7c1f2a')""",
            "PROGRAM_RAISED",
        ),
    ],
)
def test_every_end_is_one_of_a_fixed_list_without_words(
    running: Any, secret: Any, body: str, reason: str
) -> None:
    program = f"def main(job):\n    print(job.inputs['secret'].read())\n    {body}\n"
    outcome = running(running.live.run(program, {"secret": secret}))
    assert (outcome.state, outcome.reason) == ("FAILED", reason)
    assert CANARY.decode() not in outcome.message
    assert CANARY.decode() not in running.live.logs()


def test_a_bundle_without_main_is_malformed(running: Any, secret: Any) -> None:
    outcome = running(running.live.run("x = 1", {"secret": secret}))
    assert (outcome.state, outcome.reason) == ("FAILED", "PROGRAM_MALFORMED")


def test_threads_that_survive_the_program_do_not_keep_the_process(
    running: Any, secret: Any
) -> None:
    program = """
import atexit, threading, time
def main(job):
    threading.Thread(target=time.sleep, args=(60,)).start()
    atexit.register(time.sleep, 60)
    job.output("out").write(b"done")
"""
    begun = time.monotonic()
    outcome = running(running.live.run(program, {"secret": secret}))
    assert outcome.results == {"out": b"done"}
    assert time.monotonic() - begun < 5


def test_progress_rises_and_is_at_most_one_a_second(running: Any, secret: Any) -> None:
    program = """
import time
def main(job):
    for fraction in (0.5, float("nan"), -1, 0.2, 7, float("inf")):
        job.progress(fraction)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        job.progress(0.3 + (time.monotonic() % 1) / 2)
    job.output("out").write(b"")
"""
    outcome = running(running.live.run(program, {"secret": secret}))
    assert outcome.results == {"out": b""}
    shown = [percent for _, percent in outcome.progress]
    assert shown == sorted(shown)
    assert len({percent for percent in shown if 0 < percent < 100}) == 1


def test_nothing_runs_past_the_deadline_even_in_native_code(running: Any, secret: Any) -> None:
    program = (
        "def main(job): sum(range(10**14))"  # one call into C that never lets the interpreter go
    )
    outcome = running(running.live.run(program, {"secret": secret}, seconds=1))
    assert (outcome.state, outcome.reason) == ("FAILED", "PROGRAM_DEADLINE")


@pytest.mark.parametrize("action", ["pause", "veto", "cancel", "withdraw", "revoke-program"])
def test_a_stop_ends_a_job_that_runs_and_nothing_leaves(running: Any, action: str) -> None:
    live = running.live
    program = (
        "import time\ndef main(job):\n    job.output('out').write(b'x')\n    time.sleep(30) "
        f"# {action}"
    )

    async def story() -> Any:
        data, grant = await live.provision(CANARY)
        digest = await live.program(program)
        ticket = live.council.ticket(digest, {"secret": data})
        targets = {"withdraw": grant, "revoke-program": digest}
        target = targets.get(action, parse_envelope(ticket.proposal).digest)
        by = {"withdraw": "hospital", "veto": "s4", "cancel": "engineer"}.get(action, "s3")

        async def when(state: str) -> None:
            if state == "RUNNING":
                await live.stop(by, action, target)
                stopped.append(time.monotonic())

        return await live.watch(await live.submit(ticket), when)

    stopped: list[float] = []
    outcome = running(story())
    assert outcome.state in ("STOPPED", "FAILED")
    assert outcome.reason in ("STOPPED", "VETOED", "GRANT_WITHDRAWN")
    assert (
        time.monotonic() - stopped[0] < 2.5
    )  # pushed; the first renewal would have come after three
    released = [entry for entry in running(live.entries()) if b'"kind":"release"' in entry]
    assert not any(outcome.job.encode() in entry for entry in released)


def test_a_veto_that_is_only_a_ballot_stops_a_running_job_too(running: Any, secret: Any) -> None:
    live = running.live

    async def story() -> Any:
        digest = await live.program("import time\ndef main(job): time.sleep(30)")
        ticket = live.council.ticket(digest, {"secret": secret})

        async def when(state: str) -> None:
            if state == "RUNNING":
                [ballot] = live.council.ballots(ticket.proposal, ("s4",), "non placet")
                request = governance_pb2.DocumentRequest(envelope=ballot)
                await live.governance.Vote(request, metadata=(("placet-wire", "1"),))

        return await live.watch(await live.submit(ticket), when)

    outcome = running(asyncio.wait_for(story(), 8))
    assert outcome.reason == "VETOED"


def test_a_blob_that_the_host_changed_is_refused(running: Any) -> None:
    live = running.live

    async def story(change: Any) -> Any:
        data, _ = await live.provision(bytes(200_000))
        for part in (live.folder / "host" / "blobs").rglob("*"):
            if part.is_file() and data.id in str(part) and part.stat().st_size > 100_000:
                content = change(bytearray(part.read_bytes()))
                part.chmod(0o600)
                part.write_bytes(content)
        program = "def main(job): job.output('out').write(b'x')"
        return await live.run(program, {"data": data})

    def flip(content: bytearray) -> bytearray:
        content[150_000] ^= 1
        return content

    def reorder(content: bytearray) -> bytearray:
        content[65536:131072], content[131072:196608] = (
            content[131072:196608],
            content[65536:131072],
        )
        return content

    for change in (flip, reorder):
        outcome = running(story(change))
        assert outcome.state == "FAILED"
        assert outcome.reason == "OBJECT_ROOT_MISMATCH"


def test_redelivery_of_a_result_repeats_the_last_step_only(running: Any, secret: Any) -> None:
    live = running.live
    program = "def main(job): job.output('out').write(b'again')"
    outcome = running(live.run(program, {"secret": secret}))
    before = len(running(live.entries()))
    for _ in range(2):
        again = running(live.result(outcome))
        assert again.results == {"out": b"again"}
    assert len(running(live.entries())) == before


def test_no_plaintext_lies_on_disk(running: Any) -> None:
    live = running.live
    data, _ = running(live.provision(b"never-on-disk-5f1e" * 5000))
    program = """
def main(job):
    content = job.inputs["data"].read()
    with job.inputs["data"].open() as source:
        assert source.read(18) == content[:18]
    job.output("out").write(content[:90])
"""
    outcome = running(live.run(program, {"data": data}))
    assert outcome.results["out"] == b"never-on-disk-5f1e" * 5
    for path in live.folder.rglob("*"):
        if path.is_file():
            assert b"never-on-disk-5f1e" not in path.read_bytes(), path
