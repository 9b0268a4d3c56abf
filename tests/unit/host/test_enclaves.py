# SPDX-License-Identifier: Apache-2.0
"""Who may attach, what they may send, and how enclaves are started."""

import asyncio
import errno
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from placet.governance.envelope import digest_of
from placet.host import EnclaveProcess, LaunchOrder, NativeLauncher
from placet.host.documents import TicketFacts
from placet.host.enclaves.last_words import last_words, length_of
from placet.host.log.log import Log
from placet.host.placement.backoff import Backoff
from placet.host.placement.tickets import Tickets
from placet.proto.frames import Link, LinkClosed
from placet.proto.limits import TOKEN_KEY, WIRE_VERSION
from placet.proto.v1 import common_pb2, enclaves_pb2, enclaves_pb2_grpc, runs_pb2
from placet.refusals import Refused
from tests.support.login import Visitor

K = enclaves_pb2


@asynccontextmanager
async def attached(world: Any, channel: Any, token: str) -> AsyncGenerator[Link, None]:
    """A link on a stream that has not said hello."""

    async def handle(frame: enclaves_pb2.Frame) -> None:
        return None

    link = Link(handle)
    stub: Any = enclaves_pb2_grpc.EnclavesStub(channel)
    call = stub.Attach(link.outgoing(), metadata=(*world.metadata, (TOKEN_KEY, token)))

    async def read() -> None:
        async for message in call:
            link.receive(message)
        link.close()

    reader = asyncio.ensure_future(read())
    try:
        yield link
    finally:
        link.close()
        await reader


def hello(role: str, version: int = WIRE_VERSION) -> enclaves_pb2.Hello:
    return enclaves_pb2.Hello(wire_version=version, role=role)


@asynccontextmanager
async def local(host: Any) -> AsyncGenerator[Any, None]:
    """A channel to the listener for enclaves."""
    certificate = host._certificates.own.certificate_pem
    async with Visitor(host._local, certificate).channel as channel:
        yield channel


async def no_stream(world: Any, channel: Any, *tokens: str) -> None:
    """A stream with such tokens ends before anything was said."""
    link = Link(lambda frame: asyncio.sleep(0))
    stub: Any = enclaves_pb2_grpc.EnclavesStub(channel)
    given = [(TOKEN_KEY, token) for token in tokens]
    call = stub.Attach(link.outgoing(), metadata=(*world.metadata, *given))
    assert (await call.code()).name == "FAILED_PRECONDITION"
    link.close()


async def denied(link: Link, kind: Any, message: Any, reason: str, peer: str = "") -> None:
    with pytest.raises(Refused) as caught:
        await link.request(kind, message, peer=peer)
    assert caught.value.reason == reason


def test_only_a_process_that_was_launched_may_attach(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, _), local(host) as channel:
            token = host._tokens.admit("worker")
            async with attached(world, channel, token) as link:
                await denied(link, K.KIND_COMMIT, b"", "FRAME_UNEXPECTED")
                await denied(link, K.KIND_HELLO, b"\xff", "REQUEST_MALFORMED")
                await denied(link, K.KIND_HELLO, hello("worker", 9), "WIRE_VERSION")
                reply = await link.request(K.KIND_HELLO, hello("worker"))
                welcome = enclaves_pb2.Welcome.FromString(reply)
                assert welcome.enclave_id
            await no_stream(world, channel, token)  # a token is good once
            for stranger in ((), ("",), ("x",), ("x", "y")):
                await no_stream(world, channel, *stranger)
            token = host._tokens.admit("worker")
            async with attached(world, channel, token) as link:  # a role is what was launched
                await denied(link, K.KIND_HELLO, hello("authority"), "FRAME_UNEXPECTED")

    run(body())


def test_what_a_worker_may_not_send(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, client), local(host) as channel:
            await client.until_health("placet.v1.Keys", serving=True)
            async with attached(world, channel, host._tokens.admit("worker")) as link:
                await link.request(K.KIND_HELLO, hello("worker"))
                for kind in (K.KIND_COMMIT, K.KIND_FETCH_SECRET, K.KIND_HELLO, K.KIND_ASSIGN):
                    await denied(link, kind, b"", "FRAME_UNEXPECTED")
                for kind in (K.KIND_COMMIT, K.KIND_STOPPED, K.KIND_RESULT):
                    await denied(link, kind, b"", "FRAME_UNEXPECTED", peer="authority")
                await denied(link, K.KIND_JOIN, b"", "FRAME_UNEXPECTED", peer="0" * 16)
                # Relayed, there and back.
                nonce = enclaves_pb2.JoinHello(nonce=b"n" * 32)
                reply = await link.request(K.KIND_JOIN_HELLO, nonce, peer="authority")
                offer = enclaves_pb2.JoinOffer.FromString(reply)
                (boot,) = await world.entries("boot")
                assert boot["identity"] == digest_of(offer.identity)
                # A worker without a job speaks for none.
                link.send(K.KIND_PROGRESS, enclaves_pb2.Progress(lease="x", percent=9))
                refusal = common_pb2.Refusal(reason=common_pb2.REASON_INTERNAL)
                link.send(K.KIND_ENDED, enclaves_pb2.Ended(lease="x", refusal=refusal))

    run(body())


def test_strangers_take_no_worker_s_place(world: Any, run: Any) -> None:
    """However many streams they open, and keep silent on."""

    async def body() -> None:
        async with world.host() as (host, client), local(host) as channel:
            silent = [no_stream(world, channel) for _ in range(100)]
            job, *_ = await asyncio.gather(client.run(world.ticket("release")), *silent)
            assert job.state == runs_pb2.RUN_STATE_FINISHED

    run(body())


def instead(world: Any, launch_worker: Any) -> None:
    """Workers are launched in this way."""
    launch = world.launcher.launch

    async def either(order: LaunchOrder) -> Any:
        return await (launch(order) if order.role != "worker" else launch_worker(order))

    world.launcher.launch = either


@pytest.mark.parametrize("reason", ["PROGRAM_MALFORMED", "APPRAISAL_REFUSED"])
def test_a_program_that_cannot_start_fails_its_jobs_and_says_so(
    world: Any, run: Any, reason: str
) -> None:
    words = f"refused reason={reason} So it is."
    started = list[float]()

    async def refuse(order: LaunchOrder) -> Any:
        started.append(asyncio.get_running_loop().time())
        code = f"echo some line >&2; echo '{words}' >&2; exit 78"
        return await EnclaveProcess.start(["/bin/sh", "-c", code], order)

    async def body() -> None:
        instead(world, refuse)
        async with world.host(max_workers=4) as (_, client):
            jobs = [await client.submit(world.ticket("release")) for _ in range(4)]
            for job in [(await client.watch(job.id))[-1] for job in jobs]:
                assert job.state == runs_pb2.RUN_STATE_FAILED
                assert common_pb2.Reason.Name(job.refusal.reason) == f"REASON_{reason}"
                assert job.refusal.message.endswith("So it is.")
        assert started[-1] - started[0] > 1  # not for what was started together
        assert f"start-failed program={world.program} reason=REASON_{reason} own=3" in log(world)
        assert f' code=78 reason={reason} said="So it is."' in log(world)

    run(body())


def log(world: Any) -> str:
    text: str = (world.folder / "state" / "logs" / "host.log").read_text()
    return text


async def killed(order: LaunchOrder) -> EnclaveProcess:
    process = await EnclaveProcess.start(["/bin/sleep", "60"], order)
    asyncio.get_running_loop().call_later(0.05, process.kill)
    return process


async def out_of_descriptors(order: LaunchOrder) -> EnclaveProcess:
    raise OSError(errno.EMFILE, "Too many open files")


async def turned_away(order: LaunchOrder) -> EnclaveProcess:
    code = "echo 'refused reason=QUEUE_FULL Too many.' >&2; exit 78"
    return await EnclaveProcess.start(["/bin/sh", "-c", code], order)


@pytest.mark.parametrize("accident", [killed, out_of_descriptors, turned_away])
def test_no_job_ends_because_workers_could_not_be_started(
    world: Any, run: Any, accident: Any
) -> None:
    """Three times over, four workers at once."""
    launch = world.launcher.launch
    befallen = list[str]()

    async def later(order: LaunchOrder) -> Any:
        if len(befallen) < 12:
            befallen.append(order.token)
            return await accident(order)
        return await launch(order)

    async def body() -> None:
        instead(world, later)
        async with world.host(max_workers=4) as (_, client):
            jobs = [await client.submit(world.ticket("release", uses=9)) for _ in range(6)]
            told = [await client.watch(job.id) for job in jobs]
            for job in [runs[-1] for runs in told]:
                assert (job.state, job.job.attempt) == (runs_pb2.RUN_STATE_FINISHED, 1)
            # Who watches is told why the job waits, and only while it does.
            held = [job for job in told[0] if job.HasField("refusal")]
            assert held
            for job in held:
                assert job.state == runs_pb2.RUN_STATE_QUEUED
                assert "it is tried again" in job.refusal.message
        assert len(befallen) == 12
        if accident is out_of_descriptors:
            assert "launch-failed kind=OSError errno=EMFILE" in log(world)

    run(body())


def test_failures_of_the_same_moment_are_one(run: Any) -> None:
    async def body() -> None:
        free = asyncio.Event()
        backoff = Backoff(free.set)
        assert [backoff.failed("p", own=True) for _ in range(4)] == [1] * 4
        assert backoff.blocked == {"p"}
        await free.wait()
        assert (backoff.blocked, backoff.failed("p")) == (set(), 1)  # this one is not its own
        backoff.joined("p")
        assert (backoff.blocked, backoff.failed("p", own=True)) == (set(), 1)
        backoff.keep(set())

    run(body())


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("", None, ""),
        ("ts=1 from=placet.worker joined\n", None, ""),
        ("x\nrefused reason=KEY_UNWRAP_REFUSED No.\n", "KEY_UNWRAP_REFUSED", "No."),
        ("refused reason=MADE_UP No.\n", "INTERNAL", "No."),
        ("fault kind=OSError at=a.py:1\nlater\n", "INTERNAL", "fault kind=OSError at=a.py:1"),
        ("refused reason=VETOED\n" + "x" * 9000, None, ""),
        ("refused reason=VETOED " + "x" * 900, "VETOED", "x" * 500),
    ],
)
def test_the_last_words_of_an_enclave(
    tmp_path: Path, text: str, reason: str | None, message: str
) -> None:
    file = tmp_path / "log"
    assert last_words(file) is None
    file.write_text("refused reason=STOPPED A former life.\n")
    before = length_of(file)
    with file.open("a") as log:
        log.write(text)
    said = last_words(file, before)
    if reason is None:
        assert said is None
    else:
        assert said is not None
        assert common_pb2.Reason.Name(said.reason) == f"REASON_{reason}"
        assert said.message == message


class Echo:
    """A quoting service that answers once and remembers for whom."""

    def __init__(self) -> None:
        self.served: list[tuple[str, str]] = []

    def serve(self, enclave: str, launched_for: str, reader: BinaryIO, writer: BinaryIO) -> None:
        self.served.append((enclave, launched_for))
        while data := reader.read(64):
            writer.write(data)


def order(world: Any, role: str) -> LaunchOrder:
    return LaunchOrder(
        role=role,
        token="t",
        address="127.0.0.1:1",
        certificate=world.folder / "cert.pem",
        origin="o",
        log=world.folder / "logs" / "x.log",
        launched_for=world.program,
        bundle=world.folder / "bundle",
        scratch=world.folder / "scratch",
    )


def test_a_process_has_the_cpu_on_its_channel_and_little_else(
    world: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        monkeypatch.setenv("PLACET_TEST", "not for enclaves")
        code = 'printf hi; read -n 2 x; echo "$x ${PLACET_TEST-none}" >&2; cat; exit 3'
        echo = Echo()
        argv = ["/bin/bash", "-c", code]
        process = await EnclaveProcess.start(argv, order(world, "worker"), echo)
        log = world.folder / "logs" / "x.log"
        while log.read_text() != "hi none\n":
            await asyncio.sleep(0.01)
        process.end()  # `cat` sees the end of its input
        assert await process.wait() == 3
        assert echo.served == [("worker", world.program)]

    run(body())


def stand_in(environment: Path, script: str) -> None:
    """A shell script where a build of the enclaves has an interpreter."""
    python = environment / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o700)


def test_a_worker_of_models_is_known_as_one_and_has_an_interpreter_of_its_own(
    world: Any, run: Any
) -> None:
    async def body() -> None:
        for name in ("venv", "venv-onnx"):
            stand_in(world.folder / name, f'echo {name} "$4" "$5" >&2')
        serving = replace(order(world, "worker"), variant="onnx")
        echo = Echo()
        launcher = NativeLauncher(world.folder, echo)
        for launched in (serving, order(world, "worker")):
            assert await (await launcher.launch(launched)).wait() == 0
        lines = (world.folder / "logs" / "x.log").read_text().splitlines()
        assert lines == [f"{one} placet.enclave worker" for one in ("venv-onnx", "venv")]
        named = ["worker[onnx]", "worker"]
        assert echo.served == [(enclave, world.program) for enclave in named]

    run(body())


def test_the_command_line_of_an_enclave(world: Any, run: Any) -> None:
    async def body() -> None:
        stand_in(world.folder / "venv", 'echo "$@" >&2')
        launcher = NativeLauncher(world.folder, Echo())
        for role in ("authority", "worker"):
            assert await (await launcher.launch(order(world, role))).wait() == 0
        first, second = (world.folder / "logs" / "x.log").read_text().splitlines()
        cert = world.folder / "cert.pem"
        start = f"--host 127.0.0.1:1 --cert {cert} --token t"
        assert first == f"-I -B -m placet.enclave authority {start} --origin o --simulated"
        rest = (
            f"--bundle {world.folder / 'bundle'} --scratch {world.folder / 'scratch'} --simulated"
        )
        assert second == f"-I -B -m placet.enclave worker {start} {rest}"
        # On hardware nothing says that anything is simulated.
        launcher = NativeLauncher(world.folder, None, Path("/collateral.json"))
        assert await (await launcher.launch(order(world, "authority"))).wait() == 0
        third = (world.folder / "logs" / "x.log").read_text().splitlines()[2]
        assert (
            third
            == f"-I -B -m placet.enclave authority {start} --origin o --collateral /collateral.json"
        )

    run(body())


def test_spares_follow_the_uses_that_are_left() -> None:
    tickets = Tickets(Log(), spares=1, max_programs=2)
    for number, program in enumerate("abcab"):
        tickets.note(TicketFacts(f"p{number}", program, uses=1, not_after=100), None)
    assert tickets.spares(now=99) == {"b": 1, "a": 1}
    tickets.leased("p4", attempt=1)
    tickets.leased("p1", attempt=1)
    tickets.leased("p0", attempt=2)
    assert tickets.spares(now=99) == {"a": 1, "c": 1}
    assert tickets.spares(now=100) == {}
    for number in range(100):
        tickets.note(TicketFacts(f"q{number}", "z", uses=1, not_after=100), None)
        tickets.leased(f"q{number}", attempt=1)
    assert tickets.spares(now=99) == {}


def test_a_closed_link_refuses(run: Any) -> None:
    async def body() -> None:
        link = Link(lambda frame: asyncio.sleep(0))
        link.close()
        with pytest.raises(LinkClosed):
            await link.request(K.KIND_COMMIT, b"")

    run(body())
