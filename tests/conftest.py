# SPDX-License-Identifier: Apache-2.0
"""A small council on a real host process, for the tests that go from end to end.

Two votes of three seats let a job through; the third seat has a veto; one owner, one analyst.
Everything is asked through the SDK, the command line or gRPC. `kill` is SIGKILL; `start` begins
again on the same folder.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import (  # pyright: ignore[reportMissingTypeStubs]
    error_details_pb2,
    status_pb2,
)

from placet.client import (
    Bundle,
    Client,
    CouncilMemory,
    GrantTerms,
    Keys,
    SealedObject,
    build_bundle,
)
from placet.client.data.objects import seal_file
from placet.governance.documents import (
    Ballot,
    Constitution,
    Header,
    Input,
    Job,
    Limits,
    Party,
    Proposal,
    Recipient,
    Rule,
    Seat,
    Seen,
    When,
    new_header,
)
from placet.governance.documents.login import Login
from placet.governance.envelope import parse_envelope
from placet.governance.evaluate import Ticket
from placet.governance.rules import Approvals, Lifetime, Organisations, Uses, Veto
from placet.proto.limits import VERSION_KEY, WIRE_VERSION
from placet.proto.v1 import (
    blobs_pb2_grpc,
    governance_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2_grpc,
    runs_pb2_grpc,
)
from placet.refusals import Refusal, Refused
from tests.support import documents
from tests.support.login import Regular
from tests.support.processes import processes

YEAR = 366 * 86400
METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)
SEATS = ("ada", "ben", "cleo", "former")  # cleo may veto; former's term is over
COPY = """
def main(job):
    with job.output("out") as sink:
        sink.write(job.inputs["data"].read()[:100])
"""


@dataclass(frozen=True, slots=True)
class Data:
    """A sealed object that the host has, and the owner's grant that the authority has."""

    object: SealedObject
    sealed: Path
    grant: str


class Stubs:
    """Every service, for requests that the SDK would not make."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.blobs: Any = blobs_pb2_grpc.BlobsStub(channel)
        self.governance: Any = governance_pb2_grpc.GovernanceStub(channel)
        self.jobs: Any = jobs_pb2_grpc.JobsStub(channel)
        self.runs: Any = runs_pb2_grpc.RunsStub(channel)
        self.keys: Any = keys_pb2_grpc.KeysStub(channel)
        self.log: Any = log_pb2_grpc.LogStub(channel)


def _refusal_of(call: Callable[[], Any]) -> Exception:
    """What a call is refused with, whether the SDK or a stub made it."""
    try:
        got = call()
        if hasattr(got, "__next__"):
            got = list(got)
    except grpc.RpcError as error:
        return _from_wire(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, its reason is looked at
        return error
    raise AssertionError(f"not refused: {got!r}")


def _from_wire(error: Any) -> Refused:
    """Reason, message and details of a refused call, as any client reads them."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    assert "grpc-status-details-bin" in trailers, error
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "placet.dev"
    return Refused(info.reason, status.message, dict(info.metadata))


def _check_refusal(refusal: Exception, reason: str, *details: str, **expected: str) -> None:
    """A reason, a sentence, no details but those of the contract, and at least these."""
    found: dict[str, str] = getattr(refusal, "details", {})
    assert getattr(refusal, "reason", repr(refusal)) == reason, (str(refusal), found)
    assert str(refusal)[:1].isalnum(), str(refusal)
    # Sealing says it in half-sentences: they are put into others'.
    assert str(refusal).endswith(".") or str(refusal)[:1].islower(), str(refusal)
    assert set(found) <= {"claim", "expected", "actual", "rule", "remedy"}
    assert set(details) <= set(found), (str(refusal), found)
    assert {**found, **expected} == found


class World:
    """A folder with a host, everybody's keys, and a client of the analyst."""

    metadata = METADATA
    copy = COPY
    refusal_of = staticmethod(_refusal_of)
    check_refusal = staticmethod(_check_refusal)

    def __init__(
        self,
        folder: Path,
        *,
        max_workers: int = 2,
        flags: tuple[str, ...] = (),
        certificate: bytes = b"",
    ) -> None:
        self.folder = folder
        self.flags = flags  # of the host, besides those of every test
        self.certificate = certificate  # the clients', where the host asks for one
        self.max_workers = max_workers
        self.seats = {name: Keys.generate(name) for name in SEATS}
        self.owner = Keys.generate("owner")
        self.analyst = Keys.generate("analyst")
        self.keys = {**self.seats, "owner": self.owner, "analyst": self.analyst}
        self.memory = CouncilMemory(folder / "home")
        self.address, self.pin = "", ""
        self.process: subprocess.Popen[str]
        self.client: Client
        self.channel: grpc.Channel
        self.stubs: Stubs
        self._made = 0

    # The host as a process.

    def start(self, *, founding: bool = True) -> "World":
        """Start a host on the folder, connect, and wait until its authority answers; found the
        council once."""
        command = [sys.executable, "-m", "placet.host", "--listen", self.address or "127.0.0.1:0"]
        command += ["--state", str(self.folder / "host"), "--cpu", str(self.folder / "cpu")]
        command += ["--origin", "refusals.test/log", "--max-workers", str(self.max_workers)]
        command += self.flags
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        said = dict(line.split() for line in (self.process.stdout.readline() for _ in range(2)))
        self.address, self.pin = said["address"], said["pin"]
        self.client = Client.connect(
            self.address,
            self.pin,
            memory=self.memory,
            simulated=True,
            keys=self.analyst,
            certificate=self.certificate,
        )
        certificate = (self.folder / "host" / "tls" / "cert.pem").read_bytes()
        regular = Regular(
            self.address, certificate, self._login, self.analyst.signing, self.certificate
        )
        self.channel = regular.channel
        self.stubs = Stubs(self.channel)
        self.until_answered(lambda: self.client.authority.evidence("sha256:" + "00" * 32))
        if founding and not self.memory.log:
            self.found(self.constitution())
        return self

    def _login(self, challenge: str) -> Login | None:
        charter = self.memory.charter
        return Login(charter, "analyst", self.pin, challenge) if charter else None

    def kill(self) -> None:
        """SIGKILL to the host; its enclaves end because it has."""
        self.process.kill()
        self._gone()

    def stop(self) -> None:
        """Ask the host to end."""
        self.process.send_signal(signal.SIGTERM)
        self._gone()

    def _gone(self) -> None:
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.client.close()
        self.channel.close()

    def until_answered(self, call: Callable[[], Any], patience: float = 30.0) -> Any:
        """Ask until the host and its authority are there."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return call()
            except Refusal as error:
                known = error.reason in ("AUTHORITY_UNAVAILABLE", "HOST_UNREACHABLE")
                if not known or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def until(self, holds: Callable[[], bool], patience: float = 10.0) -> None:
        """Look again and again until something holds."""
        deadline = time.monotonic() + patience
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def enclaves(self, role: str) -> list[int]:
        """Process ids of the host's enclaves of a role, oldest first."""
        host = self.process.pid
        running = processes()
        preloaded = {pid for pid, one in running.items() if one.forks and one.parent == host}
        return sorted(
            pid
            for pid, one in running.items()
            if one.parent in {host, *preloaded} and role.encode() in one.arguments
        )

    def host_log(self) -> str:
        """The operator's log so far."""
        return (self.folder / "host" / "logs" / "host.log").read_text()

    # The council.

    def constitution(self, **changed: Any) -> Constitution:
        """Two approvals; a veto for cleo; leases of three seconds."""
        now = int(time.time())
        seats = tuple(
            Seat(
                id=name,
                organisation=name,
                role="patients" if name == "cleo" else "member",
                keys=(keys.public.signing,),
                term_start=now - 3600,
                term_end=now - 60 if name == "former" else now + YEAR,
            )
            for name, keys in self.seats.items()
        )
        demands = (
            Approvals(2),
            Organisations(2),
            Veto("patients"),
            Lifetime(YEAR),
            Uses(1000),
        )
        parties = (
            Party("owner", "clinic", (self.owner.public.signing,)),
            Party("analyst", "university", (self.analyst.public.signing,)),
        )
        fields: dict[str, Any] = {
            "nonce": os.urandom(16).hex(),
            "rules": (
                Rule("research", "Research", When(("job",), ("research",), ("health",)), demands),
                Rule("amend", "Amending", When(("amend",), "any", "any"), demands),
            ),
            "limits": Limits(lease_seconds=3, join_seconds=600),
        }
        return documents.constitution(seats, parties, **{**fields, **changed})

    def found(self, constitution: Constitution) -> None:
        """Every seat signs."""
        draft = self.client.founding.draft(constitution)
        for keys in self.seats.values():
            draft = self.client.founding.sign(draft, keys)
        self.client.founding.found(draft)

    def header(self) -> Header:
        """A fresh header for a document of this log."""
        seen = self.client.log.checkpoint()
        return new_header(self.client.log.charter, Seen(seen.size, "sha256:" + seen.root.hex()))

    def seal(self, content: bytes = b"patients" * 40_000) -> SealedObject:
        """An object sealed at home; its sealed bytes lie beside it in the folder `data`."""
        self._made += 1
        folder = self.folder / "data"
        folder.mkdir(exist_ok=True)
        plain = folder / f"{self._made}"
        plain.write_bytes(content)
        hpke = self.owner.hpke.public
        made = seal_file(
            plain, self.sealed(made=self._made), hpke, kind="dataset", labels=("health",)
        )
        return made

    def sealed(self, made: int = 0) -> Path:
        """Where the newest sealed object lies."""
        return self.folder / "data" / f"{made or self._made}.sealed"

    def terms(self, **changed: Any) -> GrantTerms:
        """A grant that allows everything but what was changed."""
        fields: dict[str, Any] = {
            "purposes": "any",
            "programs": "any",
            "parameters": "any",
            "recipients": "any",
            "combine_with": "any",
            "evidence": None,
            "witnesses": "any",
            "approvals": (),
            "privacy": "any",
            "uses": "any",
            "expires": int(time.time()) + 86400,
            "recoverable": False,
        }
        return GrantTerms(**{**fields, **changed})

    def data(self, content: bytes = b"patients" * 40_000, **terms: Any) -> Data:
        """An object that was sealed, put, granted and provisioned."""
        made, sealed = self.seal(content), self.sealed()
        self.client.blobs.put(made.descriptor.id, sealed, owner=self.owner.public.signing)
        grant = self.client.grants.sign(self.owner, made.descriptor, self.terms(**terms))
        self.client.grants.provision(self.owner, grant, made.open_key(self.owner.hpke))
        return Data(made, sealed, parse_envelope(grant).digest)

    def bundle(self, source: str, *, put: bool = True) -> Bundle:
        """A program of one file."""
        self._made += 1
        path = self.folder / f"program-{self._made}.py"
        path.write_text(source)
        bundle = build_bundle(path)
        if put:
            self.client.blobs.put(bundle.blob, bundle.data, owner=self.analyst.public.signing)
        return bundle

    def job(self, program: str, inputs: Mapping[str, Data], **changed: Any) -> Job:
        """What a proposal asks for: one output "out" of at most 1000 bytes, for the analyst."""
        found = {n: Input(d.object.descriptor, "owner") for n, d in inputs.items()}
        reader = Recipient("analyst", self.analyst.public.hpke.to_text())
        fields: dict[str, Any] = {"program": program, "inputs": found, "attempts": 3, **changed}
        return documents.job(reader, **fields)

    def window(self, **changed: int) -> dict[str, Any]:
        """The fields of a proposal beside its body."""
        now = int(time.time())
        fields = {"not_before": now - 60, "not_after": now + 3600, "uses": 1, **changed}
        return {"purpose": "research", "reason": "To learn.", **fields}

    def propose(self, job: Job, **changed: int) -> str:
        """A proposal in the log; its digest."""
        return self.client.council.propose(self.analyst, job, **self.window(**changed)).digest

    def vote(self, proposal: str, *names: str, vote: Any = "placet") -> None:
        """Ballots in the log."""
        for name in names:
            self.client.council.vote(self.seats[name], proposal, vote)

    def ticket(self, job: Job, **changed: int) -> Ticket:
        """A proposal with the two votes that it takes."""
        proposal = self.propose(job, **changed)
        self.vote(proposal, "ada", "ben")
        return self.client.council.ticket(proposal)

    def ballot(self, seat: str, proposal: str, **changed: Any) -> Ballot:
        """A ballot that nobody has signed yet."""
        fields: dict[str, Any] = {"header": self.header(), "constitution": self.newest, **changed}
        return documents.ballot(seat=seat, proposal=proposal, now=int(time.time()), **fields)

    def draft(self, job: Job, **changed: Any) -> Proposal:
        """A proposal that nobody has signed yet."""
        fields: dict[str, Any] = {
            "header": self.header(),
            "constitution": self.newest,
            "proposer": "analyst",
            "body": job,
            "now": int(time.time()),
        }
        return documents.proposal(**{**fields, **changed})

    @property
    def newest(self) -> str:
        """The digest of the constitution in force."""
        return self.client.council.verify().newest.digest

    # What is so, and what was refused.

    def entries(self) -> list[dict[str, Any]]:
        """The log."""
        self.client.log.checkpoint()
        return [json.loads(entry) for entry in self.memory.entries()]

    def entries_of(self, job: str) -> list[str]:
        """The kinds of the entries of a job, in order, renewals left out."""
        return [entry["kind"] for entry in self.entries() if entry.get("job") == job]

    def snapshot(self) -> tuple[Any, ...]:
        """Checkpoint and jobs. The uses of tickets and grants are a fold of the log: one root, the
        same uses."""
        jobs = tuple((job.id, job.state, job.work) for job in self.client.runs.list(1000))
        return self.client.log.checkpoint(), jobs

    @contextlib.contextmanager
    def unchanged(self) -> Generator[None]:
        """Whatever is tried in the block, log, jobs and uses stay as they are."""
        checkpoint, jobs = self.snapshot()
        yield
        now, then = self.snapshot()
        assert then == jobs
        if now == checkpoint:
            return
        # A spare may have been warmed up meanwhile: it joins, whoever asks for what.
        assert {entry["kind"] for entry in self.entries()[checkpoint.size :]} <= {"join"}

    def refused(
        self, call: Callable[[], Any], reason: str, *details: str, **expected: str
    ) -> Exception:
        """The call is refused for a reason, in a sentence, with these details, and changes
        nothing."""
        with self.unchanged():
            refusal = self.refusal_of(call)
        self.check_refusal(refusal, reason, *details, **expected)
        return refusal

    def failed(self, ticket: Ticket, reason: str, *, state: str = "failed") -> Any:
        """The job is submitted, and ends with this refusal: one lease at most, no release, nothing
        to fetch."""
        size = self.client.log.checkpoint().size
        job = self.client.runs.wait(self.client.runs.start(ticket).id)
        assert (job.state, job.refusal and job.refusal.reason) == (state, reason)
        assert job.refusal is not None
        self.check_refusal(job.refusal, reason)
        # The attempt is closed behind the job's end.
        self.until(lambda: self.entries_of(job.id)[-1:] == ["close"])
        self.refused(
            lambda: self.client.jobs.result(job.id, self.analyst, self.folder / "never"),
            "NOT_RELEASED",
        )
        kinds = [entry["kind"] for entry in self.entries()[size:] if entry.get("job") == job.id]
        assert kinds == ["lease", "close"]
        assert not (self.folder / "never").exists()
        return job

    def output(self, job: str) -> bytes:
        """What a job released, verified and opened."""
        self._made += 1
        folder = self.folder / "results" / str(self._made)
        return self.client.jobs.result(job, self.analyst, folder).outputs["out"].read_bytes()


@pytest.fixture(scope="module")
def new_world(tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[..., World]]:
    """Makes worlds; each is ended, however, when the module is."""
    made: list[World] = []

    def make(**settings: Any) -> World:
        made.append(World(tmp_path_factory.mktemp("world"), **settings))
        return made[-1]

    yield make
    for world in made:
        if hasattr(world, "process") and world.process.poll() is None:
            world.stop()


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    """One founded council for a module."""
    return new_world().start()
