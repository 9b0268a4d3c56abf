# SPDX-License-Identifier: Apache-2.0
"""A small council; a real host with real enclave processes; and a host in memory that can be told
to cheat."""

import asyncio
import concurrent.futures
import fcntl
import hashlib
import io
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import venv
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar, cast

import grpc
import grpc.aio
import pytest

from placet.attestation import Identity, SimulatedAttester
from placet.enclave.authority.main import run_authority
from placet.enclave.connection import METADATA, Connection
from placet.governance import contexts
from placet.governance.codec import encode
from placet.governance.documents import (
    Ballot,
    Charter,
    Constitution,
    Evidence,
    Grant,
    Header,
    Input,
    Job,
    Limits,
    Organisation,
    Output,
    Party,
    Proposal,
    Receipt,
    Recipient,
    Rule,
    Seat,
    Seen,
    Stop,
    When,
    new_header,
)
from placet.governance.envelope import digest_of, inspect, parse_envelope, sign
from placet.governance.keys import SigningKey
from placet.governance.log import EMPTY_ROOT
from placet.governance.rules import Approvals, Independence, Lifetime, Organisations, Uses, Veto
from placet.host import Host, HostConfig
from placet.host.calls.tls import load_certificate, utc_now
from placet.host.simulation.service import SimulatedQuotingService
from placet.proto.frames import Link
from placet.proto.limits import GRPC_OPTIONS, WIRE_VERSION
from placet.proto.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    common_pb2,
    enclaves_pb2,
    enclaves_pb2_grpc,
    governance_pb2,
    governance_pb2_grpc,
    inference_pb2,
    jobs_pb2,
    jobs_pb2_grpc,
    keys_pb2,
    keys_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
)
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    ObjectDescriptor,
    StreamKey,
    open_envelope,
    open_stream,
    seal_envelope,
    seal_stream,
    unpad_into,
)
from tests.support.policies import simulated

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "enclave" / "requirements.txt"
ONNX_LOCK = ROOT / "enclave" / "requirements-onnx.txt"
COMPONENTS = ("attestation", "enclave", "governance", "proto", "sealing")
ORIGIN = "council.test/log"
EMPTY = Seen(0, "sha256:" + EMPTY_ROOT.hex())
FOREVER = 10**6


@dataclass(frozen=True)
class Sealed:
    """A sealed object, as its owner has it."""

    descriptor: ObjectDescriptor
    key: StreamKey
    data: bytes


class Council:
    """Five seats, of which three organisations must agree; an owner, a submitter, a recipient."""

    def __init__(self, *, lease_seconds: int = 10, join_seconds: int = 600) -> None:
        now = int(time.time())
        self.seats = {f"s{n}": SigningKey.generate() for n in range(5)}
        self.submitter, self.owner = SigningKey.generate(), SigningKey.generate()
        self.recipient = HPKEPrivateKey.generate()
        self.log = ""
        self.evidence = Evidence(simulated("authority"), simulated("worker"))
        demands = (
            Approvals(3),
            Organisations(3),
            Veto("patients"),
            Independence("submitter"),
            Lifetime(10**6),
            Uses(100),
        )
        self.constitution = Constitution(
            nonce=secrets.token_hex(16),
            version=1,
            predecessor=None,
            name="a small council",
            organisations=tuple(Organisation(f"o{n}", f"Organisation {n}") for n in range(6)),
            seats=tuple(
                Seat(
                    seat,
                    f"o{n}",
                    "member" if n < 4 else "patients",
                    (key.public,),
                    now - 100,
                    now + FOREVER,
                )
                for n, (seat, key) in enumerate(self.seats.items())
            ),
            parties=(
                Party("engineer", "o5", (self.submitter.public,)),
                Party("hospital", "o0", (self.owner.public,)),
            ),
            labels=("health",),
            rules=(Rule("r1", "Health data", When(("job",), "any", ("health",)), demands),),
            evidence=self.evidence,
            limits=Limits(lease_seconds, join_seconds),
            witnesses="none",
            recovery="none",
        )
        self.digest = digest_of(encode(self.constitution))
        self._nonce = secrets.token_hex(16)

    @property
    def charter(self) -> Charter:
        return Charter(self._nonce, self.log, self.digest)

    @property
    def name(self) -> str:
        """The digest of the charter, by which documents name the council."""
        return digest_of(encode(self.charter))

    def header(self) -> Header:
        return new_header(self.name, EMPTY)

    def founding(self) -> governance_pb2.FoundRequest:
        return governance_pb2.FoundRequest(
            constitution=sign(self.constitution, *self.seats.values()),
            charter=sign(self.charter, *self.seats.values()),
        )

    def grant(self, descriptor: ObjectDescriptor, **bounds: Any) -> bytes:
        fields: dict[str, Any] = dict.fromkeys(
            ("purposes", "programs", "parameters", "recipients", "combine_with"), "any"
        )
        fields |= {"witnesses": "any", "approvals": (), "privacy": "any", "uses": "any"}
        fields |= {"expires": int(time.time()) + FOREVER, "recoverable": False}
        fields |= {"evidence": self.evidence, **bounds}
        return sign(Grant(self.header(), "hospital", descriptor, **fields), self.owner)

    def proposal(
        self,
        program: str,
        inputs: dict[str, ObjectDescriptor],
        *,
        outputs: dict[str, int] | None = None,
        parameters: dict[str, Any] | None = None,
        attempts: int = 1,
        seconds: int = 60,
        uses: int = 3,
    ) -> bytes:
        now = int(time.time())
        job = Job(
            program,
            {name: Input(descriptor, "hospital") for name, descriptor in inputs.items()},
            parameters or {},
            {name: Output(size) for name, size in (outputs or {"out": 100}).items()},
            (Recipient("engineer", self.recipient.public.to_text()),),
            None,
            attempts,
            seconds,
        )
        return sign(
            Proposal(
                self.header(),
                self.digest,
                "engineer",
                "job",
                "research",
                "please",
                now - 10,
                now + 10**4,
                uses,
                job,
            ),
            self.submitter,
        )

    def ballots(
        self,
        proposal: bytes,
        seats: tuple[str, ...] = ("s0", "s1", "s2"),
        vote: Any = "placet",
        sequence: int = 1,
    ) -> list[bytes]:
        digest = parse_envelope(proposal).digest
        expires = int(time.time()) + 10**4 if vote == "placet" else None
        return [
            sign(
                Ballot(self.header(), s, digest, self.digest, sequence, vote, "none", "", expires),
                self.seats[s],
            )
            for s in seats
        ]

    def ticket(self, *arguments: Any, **terms: Any) -> common_pb2.Ticket:
        proposal = self.proposal(*arguments, **terms)
        return common_pb2.Ticket(proposal=proposal, ballots=self.ballots(proposal))

    def stop(self, by: str, action: Any, target: str) -> bytes:
        key = {"hospital": self.owner, "engineer": self.submitter}.get(by) or self.seats[by]
        return sign(Stop(self.header(), by, action, target, "enough"), key)

    def provision(self, sealed: Sealed, authority: str, **bounds: Any) -> keys_pb2.ProvisionRequest:
        grant = self.grant(sealed.descriptor, **bounds)
        info = contexts.provision_info(parse_envelope(grant).digest)
        key = seal_envelope(sealed.key.to_bytes(), HPKEPublicKey.from_text(authority), info)
        return keys_pb2.ProvisionRequest(grant=grant, key_envelope=key)


def seal(plain: bytes) -> Sealed:
    key, sink = StreamKey.generate(), io.BytesIO()
    descriptor = seal_stream(io.BytesIO(plain), sink, key, kind="dataset", labels=("health",))
    return Sealed(descriptor, key, sink.getvalue())


def bundle_of(files: dict[str, str | bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- an interpreter as enclaves have it
# --------------------------------------------------------------------------------


def _build(folder: Path, lock: Path) -> None:
    """A venv with a lock, by hash, and nothing else: pip itself goes as well."""
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--require-hashes", "--no-deps", "-r", str(lock)], check=True)
    subprocess.run([*pip, "uninstall", "--yes", "setuptools", "pip"], check=True)


@pytest.fixture(scope="session")
def python() -> str:
    """The python of a venv that holds the enclave's lock, and Placet's trusted components as they
    are now."""
    return _interpreter(LOCK)


@pytest.fixture(scope="session")
def onnx_python() -> str:
    """The same with the lock of workers that serve models."""
    return _interpreter(ONNX_LOCK)


def _interpreter(requirements: Path) -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    key = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:16]
    folder = ROOT / "build" / f"enclave-venv-{key}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "enclave-venv.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _build(folder, requirements)
            (folder / "complete").touch()
        major = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        _install(folder / "lib" / major / "site-packages" / "placet")
    return str(folder / "bin" / "python")


def _install(target: Path) -> None:
    """The files of the trusted components, as a wheel would lay them out."""
    shutil.rmtree(target, ignore_errors=True)
    for name in COMPONENTS:
        spec = find_spec(f"placet.{name}")
        assert spec is not None
        assert spec.submodule_search_locations
        source = Path(next(iter(spec.submodule_search_locations)))
        shutil.copytree(
            source, target / name, ignore=shutil.ignore_patterns("__pycache__", "kernel", "*.c")
        )


# --- a real host
# --------------------------------------------------------------------------------------------------


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.start(work).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Outcome:
    """How a job ended, and what was seen on the way."""

    state: str
    reason: str
    message: str
    states: list[str]
    progress: list[tuple[float, int]]
    job: str = ""
    results: dict[str, bytes] = field(default_factory=lambda: dict[str, bytes]())


class Live:
    """A founded council on a real host."""

    def __init__(self, host: Host, council: Council, folder: Path) -> None:
        self.host, self.council, self.folder = host, council, folder
        credentials = grpc.ssl_channel_credentials(host.certificate_pem)
        options = (*GRPC_OPTIONS, ("grpc.ssl_target_name_override", "localhost"))
        self.channel = grpc.aio.secure_channel(host.address, credentials, options=options)
        self.jobs: Any = jobs_pb2_grpc.JobsStub(self.channel)
        self.governance: Any = governance_pb2_grpc.GovernanceStub(self.channel)
        self.keys: Any = keys_pb2_grpc.KeysStub(self.channel)
        self.blobs: Any = blobs_pb2_grpc.BlobsStub(self.channel)
        self.log: Any = log_pb2_grpc.LogStub(self.channel)
        self.authority = ""

    async def found(self) -> None:
        request = keys_pb2.EvidenceRequest(nonce=os.urandom(32), constitution=self.council.digest)
        async with asyncio.timeout(20):
            while True:
                try:
                    evidence = await self.keys.GetEvidence(request, metadata=METADATA)
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.02)
        identity = Identity.from_bytes(evidence.identity)
        self.council.log, self.authority = identity.log, identity.hpke
        await self.governance.Found(self.council.founding(), metadata=METADATA)

    async def put(self, blob: str, data: bytes) -> None:
        async def requests() -> AsyncIterator[blobs_pb2.PutRequest]:
            digest = hashlib.sha256(data).digest()
            header = blobs_pb2.PutHeader(id=blob, length=len(data), sha256=digest)
            yield blobs_pb2.PutRequest(header=header)
            for start in range(0, len(data), 1 << 20):
                yield blobs_pb2.PutRequest(chunk=data[start : start + (1 << 20)])

        await self.blobs.Put(requests(), metadata=METADATA)

    async def get(self, blob: str) -> bytes:
        request = blobs_pb2.GetBlobRequest(id=blob)
        return b"".join([c.data async for c in self.blobs.Get(request, metadata=METADATA)])

    async def provision(self, plain: bytes, **bounds: Any) -> tuple[ObjectDescriptor, str]:
        """Seal, store and grant; returns the descriptor and the grant's digest."""
        sealed = seal(plain)
        await self.put(sealed.descriptor.id, sealed.data)
        request = self.council.provision(sealed, self.authority, **bounds)
        await self.keys.Provision(request, metadata=METADATA)
        return sealed.descriptor, parse_envelope(request.grant).digest

    async def program(self, files: dict[str, str | bytes] | str) -> str:
        data = bundle_of({"main.py": files} if isinstance(files, str) else files)
        digest = sha256(data)
        await self.put(digest[7:39], data)
        return digest

    async def submit(self, ticket: common_pb2.Ticket) -> str:
        request = jobs_pb2.SubmitRequest(ticket=ticket, request_id=os.urandom(16))
        return cast("str", (await self.jobs.Submit(request, metadata=METADATA)).id)

    async def watch(
        self, job: str, when: Callable[[str], Awaitable[None]] | None = None
    ) -> Outcome:
        """Follow a job to its end; `when` is awaited with every new state."""
        outcome = Outcome("", "", "", [], [], job)
        async for seen in self.jobs.Watch(jobs_pb2.WatchRequest(id=job), metadata=METADATA):
            outcome.state = jobs_pb2.JobState.Name(seen.state).removeprefix("JOB_STATE_")
            if outcome.states[-1:] != [outcome.state]:
                outcome.states.append(outcome.state)
                if when is not None:
                    await when(outcome.state)
            outcome.progress.append((time.monotonic(), seen.progress))
            outcome.reason = common_pb2.Reason.Name(seen.refusal.reason).removeprefix("REASON_")
            outcome.message = seen.refusal.message
        return outcome

    async def result(self, outcome: Outcome) -> Outcome:
        """With the released outputs opened, if there was a release."""
        if outcome.state == "RELEASED":
            request = jobs_pb2.ResultRequest(id=outcome.job, recipient="engineer")
            result = await self.jobs.Result(request, metadata=METADATA)
            info = contexts.result_info(parse_envelope(result.receipt).digest, "engineer")
            key = StreamKey(open_envelope(result.key_envelope, self.council.recipient, info))
            for name, descriptor in inspect(result.receipt, Receipt).predicate.outputs.items():
                source, sink = io.BytesIO(await self.get(descriptor.id)), io.BytesIO()
                with open_stream(source, key, descriptor, leaf_hashes=None) as reader:
                    unpad_into(reader, sink, descriptor.length)
                outcome.results[name] = sink.getvalue()
        return outcome

    async def run(
        self,
        program: dict[str, str | bytes] | str,
        inputs: dict[str, ObjectDescriptor],
        when: Callable[[str], Awaitable[None]] | None = None,
        **terms: Any,
    ) -> Outcome:
        """Put a program, submit a job for it, follow it to its end, open its results."""
        ticket = self.council.ticket(await self.program(program), inputs, **terms)
        return await self.result(await self.watch(await self.submit(ticket), when))

    async def stop(self, by: str, action: str, target: str) -> None:
        envelope = self.council.stop(by, action, target)
        request = governance_pb2.DocumentRequest(envelope=envelope)
        await self.governance.Stop(request, metadata=METADATA)

    async def entries(self) -> list[bytes]:
        request = log_pb2.GetEntriesRequest()
        return [e async for b in self.log.GetEntries(request, metadata=METADATA) for e in b.entries]

    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "host" / "logs").glob("*"))


@asynccontextmanager
async def live_host(folder: Path, council: Council, **settings: Any) -> AsyncGenerator[Live, None]:
    settings = {"spares": 0, "drain_seconds": 0.1, **settings}
    config = HostConfig(state=folder / "host", cpu=folder / "cpu", origin=ORIGIN, **settings)
    async with Host(config) as host:
        live = Live(host, council, folder)
        try:
            await live.found()
            yield live
        finally:
            await live.channel.close()


class Running:
    """A live host and the loop it runs in."""

    def __init__(self, loop: Loop, live: Live) -> None:
        self.loop, self.live = loop, live

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Starts hosts that live as long as the module."""
    loop, stacks = Loop(), list[Any]()

    def begin(council: Council | None = None, **settings: Any) -> Running:
        folder = tmp_path_factory.mktemp("live")
        manager = live_host(folder, council or Council(), **settings)
        live = loop.run(manager.__aenter__())
        stacks.append(manager)
        return Running(loop, live)

    yield begin
    for manager in stacks:
        loop.run(manager.__aexit__(None, None, None))
    loop.close()


@pytest.fixture(scope="module")
def running(start: Callable[..., Running]) -> Running:
    """One founded host for the module."""
    return start()


# --- a host in memory, which can cheat
# --------------------------------------------------------------------------------


class MemoryHost(
    enclaves_pb2_grpc.EnclavesServicer, log_pb2_grpc.LogServicer, blobs_pb2_grpc.BlobsServicer
):
    """Relays and stores like a host. Tests change what it has stored, or replace `on_commit`."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.documents: dict[str, bytes] = {}
        self.secrets: dict[str, bytes] = {}
        self.checkpoint = b""
        self.commits: list[enclaves_pb2.Commit] = []
        self.links: dict[str, Link] = {}
        self.stopped: list[tuple[str, enclaves_pb2.Stopped]] = []
        self.progress: dict[str, list[int]] = {}  # by lease
        self.ended: dict[str, common_pb2.Refusal] = {}  # by lease
        self.offers: dict[str, list[bytes]] = {}  # by lease
        self.answers: dict[int, inference_pb2.Answer] = {}  # by id
        self.blobs: dict[str, bytes] = {}
        self.on_get: Callable[[Any, Any], Awaitable[None]] | None = None
        self.address = ""
        self.certificate = b""

    async def on_commit(self, commit: enclaves_pb2.Commit) -> None:
        """What happens before a step is stored."""

    async def Attach(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        name = ""

        async def handle(frame: enclaves_pb2.Frame) -> Any:
            nonlocal name
            match frame.kind:
                case enclaves_pb2.KIND_HELLO:
                    hello = enclaves_pb2.Hello.FromString(frame.payload)
                    name = "authority" if hello.role == "authority" else hello.token
                    self.links[name] = link
                    return enclaves_pb2.Welcome(enclave_id=name, wire_version=WIRE_VERSION)
                case enclaves_pb2.KIND_COMMIT:
                    return await self._commit(enclaves_pb2.Commit.FromString(frame.payload))
                case enclaves_pb2.KIND_FETCH_SECRET:
                    secret = enclaves_pb2.FetchSecret.FromString(frame.payload).name
                    if secret not in self.secrets:
                        raise _NotFound
                    return enclaves_pb2.Secret(name=secret, wrapped=self.secrets[secret])
                case enclaves_pb2.KIND_STOPPED:
                    message = enclaves_pb2.Stopped.FromString(frame.payload)
                    self.stopped.append((frame.peer, message))
                    return None
                case enclaves_pb2.KIND_PROGRESS:
                    progress = enclaves_pb2.Progress.FromString(frame.payload)
                    self.progress.setdefault(progress.lease, []).append(progress.percent)
                    return None
                case enclaves_pb2.KIND_ENDED:
                    ended = enclaves_pb2.Ended.FromString(frame.payload)
                    self.ended[ended.lease] = ended.refusal
                    return None
                case enclaves_pb2.KIND_OFFER:
                    offered = enclaves_pb2.Offered.FromString(frame.payload)
                    self.offers.setdefault(offered.lease, []).append(offered.offer)
                    return None
                case enclaves_pb2.KIND_ANSWERS:
                    for answer in inference_pb2.Answers.FromString(frame.payload).answers:
                        assert answer.id not in self.answers
                        self.answers[answer.id] = answer
                    return None
                case _:
                    return await self.ask(frame.kind, frame.payload, peer=name)

        link = Link(handle)

        async def read() -> None:
            async for message in request_iterator:
                link.receive(message)
            link.close()

        reader = asyncio.create_task(read())
        try:
            async for message in link.outgoing():
                yield message
        finally:
            link.close()
            reader.cancel()

    async def _commit(self, commit: enclaves_pb2.Commit) -> bytes:
        await self.on_commit(commit)
        assert not commit.entries or commit.first_index == len(self.entries)
        self.commits.append(commit)
        self.entries.extend(commit.entries)
        self.documents |= {d.digest: d.document for d in commit.documents}
        self.secrets |= {s.name: s.wrapped for s in commit.secrets}
        self.checkpoint = commit.checkpoint or self.checkpoint
        return b""

    async def ask(self, kind: Any, message: Any, *, peer: str = "") -> bytes:
        """Ask the authority, in whoever's name."""
        return await self.links["authority"].request(kind, message, peer=peer, timeout=10)

    async def GetCheckpoint(self, request: Any, context: Any) -> log_pb2.CheckpointResponse:
        return log_pb2.CheckpointResponse(note=self.checkpoint)

    async def GetEntries(self, request: Any, context: Any) -> AsyncIterator[Any]:
        yield log_pb2.EntriesResponse(entries=self.entries[request.start : request.end or None])

    async def GetDocument(self, request: Any, context: Any) -> log_pb2.DocumentResponse:
        if request.digest not in self.documents:
            await context.abort(grpc.StatusCode.NOT_FOUND, "")
        return log_pb2.DocumentResponse(document=self.documents[request.digest])

    async def Get(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if self.on_get is not None:
            await self.on_get(request, context)
        if request.id not in self.blobs:
            await context.abort(grpc.StatusCode.NOT_FOUND, "")
        data = self.blobs[request.id]
        for start in range(0, len(data), 1 << 16):
            yield blobs_pb2.BlobChunk(data=data[start : start + (1 << 16)])

    async def _unused(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")

    GetInclusionProof = GetConsistencyProof = GetTile = Stat = Delete = _unused

    async def Put(self, request_iterator: Any, context: Any) -> Any:
        header, data = None, b""
        async for request in request_iterator:
            header = header or request.header
            data += request.chunk
        assert header is not None and header.length == len(data)
        self.blobs[header.id] = data
        return blobs_pb2.BlobInfo()


class _NotFound(Exception):
    reason = "DOCUMENT_NOT_FOUND"
    details: ClassVar[dict[str, str]] = {}


@asynccontextmanager
async def memory_host(folder: Path) -> AsyncGenerator[MemoryHost, None]:
    host = MemoryHost()
    certificate = load_certificate(folder / "tls", ("localhost",), utc_now())
    server = grpc.aio.server(options=GRPC_OPTIONS)
    enclaves_pb2_grpc.add_EnclavesServicer_to_server(host, server)
    log_pb2_grpc.add_LogServicer_to_server(host, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(host, server)
    credentials = grpc.ssl_server_credentials([(certificate.key_pem, certificate.certificate_pem)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    host.address, host.certificate = f"127.0.0.1:{port}", certificate.certificate_pem
    await server.start()
    try:
        yield host
    finally:
        await server.stop(0)


class Machine:
    """A simulated processor for enclaves in this process."""

    def __init__(self, secret: bytes = b"m" * 32) -> None:
        self._secret = secret
        self._service = SimulatedQuotingService(secret)
        self._files: list[BinaryIO] = []
        self._threads: list[threading.Thread] = []

    def update(self, *tcbs: int) -> None:
        """Another microcode, with the sealing keys of these TCBs, the present one first."""
        self._service = SimulatedQuotingService(self._secret, tcbs=tcbs)

    def attester(self, role: str, bound_to: str = "") -> SimulatedAttester:
        there, here = os.pipe(), os.pipe()
        ends = [
            os.fdopen(fd, mode, buffering=0)
            for fd, mode in zip((*there, *here), ("rb", "wb") * 2, strict=True)
        ]
        files = cast("list[BinaryIO]", ends)
        serve = threading.Thread(
            target=self._service.serve, args=(role, bound_to, files[0], files[3]), daemon=True
        )
        serve.start()
        self._files += [files[1], files[3], files[2], files[0]]
        self._threads.append(serve)
        return SimulatedAttester(files[2], files[1])

    def serve(self, role: str, bound_to: str, reader: BinaryIO, writer: BinaryIO) -> None:
        """Be the processor of an enclave in another process, until that closes its end."""
        self._service.serve(role, bound_to, reader, writer)

    def close(self) -> None:
        for writer in self._files[0::4]:
            writer.close()
        for thread in self._threads:
            thread.join()
        for file in self._files:
            file.close()


class Scene:
    """An authority in this process, on a host in memory, with its council."""

    def __init__(self, host: MemoryHost, machine: Machine, council: Council) -> None:
        self.host, self.machine, self.council = host, machine, council
        self.authority = ""
        self.connections: list[Connection] = []
        self._life: asyncio.Task[None] | None = None

    async def boot(self) -> None:
        """Start the authority, and wait until it answers."""
        self.host.links.pop("authority", None)
        attester = self.machine.attester("authority")
        self._life = asyncio.create_task(
            run_authority(self.host.address, self.host.certificate, "token", ORIGIN, attester)
        )
        while "authority" not in self.host.links:
            await asyncio.sleep(0.002)
        request = keys_pb2.EvidenceRequest(nonce=os.urandom(32), constitution=self.council.digest)
        asked = asyncio.ensure_future(self.host.ask(enclaves_pb2.KIND_EVIDENCE, request))
        await asyncio.wait([asked])
        if asked.exception() is not None:
            await self.ended()  # raises why
        evidence = keys_pb2.EvidenceResponse.FromString(asked.result())
        identity = Identity.from_bytes(evidence.identity)
        self.council.log, self.authority = identity.log, identity.hpke

    async def end(self) -> None:
        """End the authority as a host does, by closing its stream."""
        if self._life is not None:
            if "authority" in self.host.links:
                self.host.links["authority"].close()
            await asyncio.wait([self._life])

    async def ended(self) -> None:
        """Wait until the authority has ended by itself; raises what ended it."""
        assert self._life is not None
        async with asyncio.timeout(10):
            await self._life

    async def found(self) -> None:
        await self.boot()
        await self.host.ask(enclaves_pb2.KIND_FOUND, self.council.founding())

    async def provision(self, sealed: Sealed, **bounds: Any) -> str:
        request = self.council.provision(sealed, self.authority, **bounds)
        await self.host.ask(enclaves_pb2.KIND_PROVISION, request)
        return parse_envelope(request.grant).digest

    async def record(self, envelope: bytes) -> None:
        request = governance_pb2.DocumentRequest(envelope=envelope)
        await self.host.ask(enclaves_pb2.KIND_RECORD, request)

    async def connect(self, name: str, handle: Any = None) -> Connection:
        """A worker's stream."""

        async def ignore(frame: enclaves_pb2.Frame) -> None:
            return None

        connection = Connection(self.host.address, self.host.certificate, handle or ignore)
        await connection.attach("worker", name)
        self.connections.append(connection)
        return connection


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., None]:
    """Runs a story with a founded council: `scene(story)`."""

    def play(
        story: Callable[[Scene], Coroutine[Any, Any, None]],
        council: Council | None = None,
        found: bool = True,
    ) -> None:
        async def run() -> None:
            machine = Machine()
            try:
                async with memory_host(tmp_path) as host:
                    stage = Scene(host, machine, council or Council())
                    if found:
                        await stage.found()
                    await story(stage)
                    for connection in stage.connections:
                        await connection.close()
                    await stage.end()
            finally:
                machine.close()

        asyncio.run(asyncio.wait_for(run(), 30))

    return play


class Kit:
    """What tests take from here: under --import-mode=importlib this file cannot be imported."""

    def __init__(self) -> None:
        self.Council, self.Machine, self.Sealed = Council, Machine, Sealed
        self.Scene, self.memory_host = Scene, memory_host
        self.seal, self.bundle_of = seal, bundle_of


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
