# SPDX-License-Identifier: Apache-2.0
"""The fake host of fake_host.py, served over real gRPC and TLS; a council; and people with keys."""

import importlib.util
import inspect
import io
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # pyright: ignore[reportMissingTypeStubs]

from placet.attestation import SimulatedAttester
from placet.client import Client, Home, Keys
from placet.client.connection.channel import pin_of
from placet.client.portal import Portal
from placet.governance.documents import (
    Card,
    Constitution,
    Evidence,
    Job,
    Limits,
    Output,
    Party,
    Recipient,
    Rule,
    Seat,
    Serve,
    When,
)
from placet.governance.documents.serving import Rations, Raw, Roster
from placet.governance.documents.work.parts import Input
from placet.governance.rules import Approvals, Lifetime, Organisations, Role, Uses, Veto
from placet.host.simulation.service import SimulatedQuotingService
from placet.proto.limits import GRPC_OPTIONS, VERSION_KEY
from placet.proto.refusals import reason_name, refusal_of
from placet.proto.v1 import (
    blobs_pb2_grpc,
    federations_pb2_grpc,
    governance_pb2_grpc,
    inference_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2_grpc,
    runs_pb2_grpc,
)
from placet.refusals import Refusal
from placet.sealing import StreamKey, seal_stream
from tests.support import documents
from tests.support.policies import simulated

DAY = 86400


def _beside(name: str) -> Any:
    """A module beside this one, by its path: test folders are no packages."""
    path = Path(__file__).with_name(name)
    spec = importlib.util.spec_from_file_location("placet_tests_" + path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fake = _beside("fake_host.py")
fake_federations = _beside("fake_federations.py")
fake_services = _beside("fake_services.py")
fake_runs = _beside("fake_runs.py")


class Late:
    """The methods of a host as gRPC calls them, looked up at each call: a test may have put another
    in their place."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            try:
                async for answer in getattr(self._host, name)(request, context):
                    yield answer
            except Refusal as error:
                await leave(context, error)

        async def unary(request: Any, context: Any) -> Any:
            assert (VERSION_KEY, "1") in [tuple(pair) for pair in context.invocation_metadata()]
            try:
                return await getattr(self._host, name)(request, context)
            except Refusal as error:
                await leave(context, error)

        return stream if inspect.isasyncgenfunction(getattr(self._host, name)) else unary


class Counted(grpc.aio.ServerInterceptor):
    """Writes down which methods are called, at the channel."""

    def __init__(self, host: Any) -> None:
        self._host = host

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self._host.called.append(handler_call_details.method.rpartition("/")[2])
        return await continuation(handler_call_details)


async def leave(context: Any, error: Exception) -> NoReturn:
    """Let a refusal leave as google.rpc.Status, as the host does."""
    refusal = refusal_of(error)
    info = error_details_pb2.ErrorInfo(
        reason=reason_name(refusal.reason), domain="placet.dev", metadata=dict(refusal.details)
    )
    packed = any_pb2.Any()
    packed.Pack(info)
    status = status_pb2.Status(code=9, message=str(error), details=[packed])
    trailer = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error), trailer)
    raise AssertionError


def start_server(host: Any, key_pem: bytes, certificate_pem: bytes) -> Any:
    """Serve it on a free port; returns the server and its address. Runs in an event loop."""

    async def start() -> tuple[grpc.aio.Server, str]:
        server = grpc.aio.server(options=GRPC_OPTIONS, interceptors=[Counted(host)])
        services = cast("Any", Late(host))
        blobs_pb2_grpc.add_BlobsServicer_to_server(services, server)
        federations = cast("Any", Late(host.federations))
        federations_pb2_grpc.add_FederationsServicer_to_server(federations, server)
        inference = cast("Any", Late(host.services))
        inference_pb2_grpc.add_InferenceServicer_to_server(inference, server)
        governance_pb2_grpc.add_GovernanceServicer_to_server(services, server)
        jobs_pb2_grpc.add_JobsServicer_to_server(services, server)
        runs_pb2_grpc.add_RunsServicer_to_server(cast("Any", Late(host.runs)), server)
        keys_pb2_grpc.add_KeysServicer_to_server(services, server)
        log_pb2_grpc.add_LogServicer_to_server(services, server)
        credentials = grpc.ssl_server_credentials([(key_pem, certificate_pem)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        return server, f"127.0.0.1:{port}"

    return start()


def make_certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate for localhost: key and certificate in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {os.urandom(4).hex()}")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def attester() -> Iterator[SimulatedAttester]:
    """The authority's attester on a simulated machine."""
    service = SimulatedQuotingService(os.urandom(32), measurer=fake.MEASUREMENTS.__getitem__)
    with ExitStack() as stack:
        ends: list[BinaryIO] = []
        for _ in range(2):
            read, write = os.pipe()
            for end in (os.fdopen(read, "rb"), os.fdopen(write, "wb")):
                stack.callback(end.close)
                ends.append(cast("BinaryIO", end))
        requests, to_service, answers, to_enclave = ends
        thread = threading.Thread(
            target=service.serve, args=("authority", "", requests, to_enclave)
        )
        thread.start()
        stack.callback(thread.join, timeout=30)
        stack.callback(to_service.close)
        yield SimulatedAttester(answers, to_service)


@pytest.fixture
def host(attester: SimulatedAttester) -> Any:
    """The host that `served` serves."""
    made = fake.FakeHost(attester)
    made.federations = fake_federations.FakeFederations(made)
    made.services = fake_services.FakeServices(made)
    made.runs = fake_runs.FakeRuns(made)
    return made


@pytest.fixture
def served(host: Any) -> Iterator[tuple[str, str]]:
    """Address and pin of the host, served in a thread."""
    key_pem, certificate_pem = make_certificate()
    portal = Portal()
    server, address = portal.run(start_server(host, key_pem, certificate_pem))
    yield address, pin_of(certificate_pem.decode())
    portal.run(server.stop(0))
    portal.close()


@pytest.fixture
def home(tmp_path: Path, served: tuple[str, str]) -> Home:
    """A home folder configured for the host."""
    found = Home(tmp_path / "home")
    found.configure(*served)
    return found


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    """A client of that home."""
    with Client.at_home(home, simulated=True) as connected:
        yield connected


@pytest.fixture(scope="session")
def people() -> dict[str, Keys]:
    """Keys by principal."""
    return {id: Keys.generate(id) for id in ("alice", "bob", "analyst", "owner")}


@pytest.fixture
def constitution(people: dict[str, Keys]) -> Constitution:
    """Two seats of two organisations, an owner and an analyst; a job takes both seats."""
    start, end = int(time.time()) - DAY, int(time.time()) + 365 * DAY
    seats = tuple(
        Seat(id, organisation, role, (people[id].signing.public,), start, end)
        for id, organisation, role in (("alice", "north", "member"), ("bob", "south", "guardian"))
    )
    parties = tuple(Party(id, "north", (people[id].signing.public,)) for id in ("analyst", "owner"))
    demands = (
        Approvals(2),
        Organisations(2),
        Role("guardian", 1),
        Veto("guardian"),
        Lifetime(30 * DAY),
        Uses(10),
    )
    return documents.constitution(
        seats,
        parties,
        rules=(Rule("all", "Everything", When("any", "any", "any"), demands),),
        evidence=Evidence(
            simulated("authority", measurements=[fake.MEASUREMENTS["authority"]]),
            simulated("worker", measurements=[fake.MEASUREMENTS["worker"]]),
        ),
        limits=Limits(60, 600),
    )


@pytest.fixture
def founded(client: Client, constitution: Constitution, people: dict[str, Keys]) -> Client:
    """The client, once the council has been founded with it."""
    draft = client.founding.draft(constitution)
    for seat in ("alice", "bob"):
        draft = client.founding.sign(draft, people[seat])
    client.founding.found(draft)
    return client


@pytest.fixture
def job(people: dict[str, Keys]) -> Job:
    """A job without inputs for the analyst."""
    return documents.job(
        Recipient("analyst", people["analyst"].hpke.public.to_text()),
        parameters={"epochs": 5, "shuffle": True},
        outputs={"model": Output(2_000_000), "report": Output(100)},
        attempts=1,
    )


@pytest.fixture
def propose(founded: Client, people: dict[str, Keys], job: Job) -> Callable[[], str]:
    """Propose the job; returns the proposal's digest."""

    def run() -> str:
        now = int(time.time())
        return founded.council.propose(
            people["analyst"],
            job,
            purpose="research",
            reason="To learn.",
            not_before=now - 10,
            not_after=now + DAY,
            uses=3,
        ).digest

    return run


@pytest.fixture
def released(
    founded: Client, host: Any, people: dict[str, Keys], propose: Callable[[], str]
) -> str:
    """The id of a job that was approved, submitted and released."""
    digest = propose()
    for seat in ("alice", "bob"):
        founded.council.vote(people[seat], digest, "placet")
    submitted = founded.runs.start(founded.council.ticket(digest))
    recipient = Recipient("analyst", people["analyst"].hpke.public.to_text())
    contents = {"model": bytes(range(256)) * 5000, "report": b"fine"}
    host.release(submitted.id, recipient, contents)
    return submitted.id


@pytest.fixture
def terms() -> Serve:
    """A model of four numbers a row, for the analyst and the owner."""
    return service_terms(int(time.time()))


@pytest.fixture
def serve(founded: Client, people: dict[str, Keys], terms: Serve) -> Callable[..., str]:
    """Propose a service, vote, and serve with one worker; returns its id."""

    def run(votes: tuple[str, ...] = ("alice", "bob"), **changes: Any) -> str:
        now = int(time.time())
        digest = founded.council.propose(
            people["owner"],
            replace(terms, **changes),
            purpose="care",
            reason="To answer.",
            not_before=now - 10,
            not_after=now + DAY,
            uses=10,
        ).digest
        for seat in votes:
            founded.council.vote(people[seat], digest, "placet")
        founded.runs.start(founded.council.ticket(digest))
        return digest

    return run


def service_terms(now: int) -> Serve:
    sealed = io.BytesIO()
    descriptor = seal_stream(
        io.BytesIO(b"a model"), sealed, StreamKey.generate(), kind="model", labels=()
    )
    return documents.serve(
        Input(descriptor, "owner"),
        Roster("roster", ("analyst", "owner")),
        card=Card("Triage", ("health",), "", None, now + 30 * DAY),
        rations=Rations(10_000, 100_000, 10_000, 100),
        answers={"probabilities": Raw("raw")},
        largest_request=4,
        review=now + 10 * DAY,
        deadline_seconds=DAY,
    )
