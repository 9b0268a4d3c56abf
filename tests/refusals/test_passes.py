# SPDX-License-Identifier: Apache-2.0
"""A pass lets another key call in its signer's name: for its scope, its proposals and its time, and
no longer than its signer has the key that signed it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from placet.client import Client, FileRefused, Home, Keys, UsageRefused, sign_pass
from placet.client.data.blobs import Blob
from placet.governance.documents import Recipient
from placet.governance.documents.login import Login
from placet.governance.documents.passes import Pass, Scope
from placet.governance.envelope import inspect, parse_envelope, sign
from placet.host.callers.methods import METHODS, SCOPES, Who
from placet.proto.limits import GRPC_OPTIONS
from placet.proto.v1 import access_pb2, access_pb2_grpc, log_pb2, log_pb2_grpc
from placet.refusals import DocumentMalformed
from tests.support import documents

CI = Keys.generate("ci")
OTHER = "sha256:" + "cd" * 32
TAKING = sorted(name for name, who in METHODS.items() if who is not Who.ANYONE)


def signed(
    world: Any, *scopes: Scope, proposals: tuple[str, ...] = (), keys: Keys | None = None
) -> bytes:
    """A pass of the analyst's for CI."""
    by = keys or world.analyst
    return sign_pass(by, CI.public, world.memory.charter, scopes=scopes, proposals=proposals)


@contextmanager
def under(world: Any, pass_: bytes, keys: Keys = CI) -> Generator[Client]:
    """A client that has the pass."""
    with Client.connect(
        world.address, world.pin, memory=world.memory, keys=keys, pass_=pass_
    ) as client:
        yield client


def digests(*tickets: Any) -> list[str]:
    """Of the tickets' proposals."""
    return [parse_envelope(ticket.proposal).digest for ticket in tickets]


class Raw:
    """A connection that logs in under a pass as no client would."""

    def __init__(self, world: Any) -> None:
        self.world = world
        certificate = (world.folder / "host" / "tls" / "cert.pem").read_bytes()
        options = (*GRPC_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        credentials = grpc.ssl_channel_credentials(certificate)
        self.channel: Any = grpc.secure_channel(world.address, credentials, options=options)
        self._access: Any = access_pb2_grpc.AccessStub(self.channel)
        self._log: Any = log_pb2_grpc.LogStub(self.channel)

    def login(self, pass_: bytes, by: str = "analyst", keys: Keys = CI) -> Any:
        metadata = self.world.metadata
        asked = self._access.Challenge(access_pb2.ChallengeRequest(), metadata=metadata)
        login = Login(self.world.memory.charter, by, self.world.pin, asked.challenge)
        request = access_pb2.LoginRequest(envelope=sign(login, keys.signing), pass_envelope=pass_)
        return self._access.Login(request, metadata=metadata)

    def call(self, method: str, token: str) -> Any:
        service, _, name = method.partition(".")
        bearing = (*self.world.metadata, ("authorization", f"Bearer {token}"))
        call = self.channel.stream_stream(f"/placet.v1.{service}/{name}")
        return lambda: list(call(iter([b"\x0a\x01x"]), metadata=bearing))

    def document(self, digest: str, token: str) -> Any:
        bearing = (*self.world.metadata, ("authorization", f"Bearer {token}"))
        request = log_pb2.GetDocumentRequest(digest=digest)
        return self._log.GetDocument(request, metadata=bearing).document

    def knows(self, token: str) -> bool:
        """Whether a token is good for what its pass has."""
        try:
            self.call("Runs.List", token)()
        except grpc.RpcError:
            refusal = self.world.refusal_of(self.call("Runs.List", token))
            assert refusal.reason == "LOGIN_REQUIRED", refusal
            return False
        return True


@pytest.fixture
def raw(world: Any) -> Generator[Raw]:
    made = Raw(world)
    yield made
    made.channel.close()


@pytest.mark.parametrize("scope", SCOPES)
def test_a_pass_calls_what_its_scope_has_and_nothing_else(
    world: Any, raw: Raw, scope: Scope
) -> None:
    token = raw.login(signed(world, scope)).token
    for method in sorted(set(TAKING) - SCOPES[scope]):
        refusal = world.refusal_of(raw.call(method, token))
        world.check_refusal(refusal, "NOT_PERMITTED", "expected", claim="scope", actual=scope)
    for method in SCOPES[scope]:
        try:
            raw.call(method, token)()
        except grpc.RpcError:  # the message means nothing to the method
            assert world.refusal_of(raw.call(method, token)).reason != "NOT_PERMITTED", method


def test_work_is_started_followed_and_fetched_under_a_pass(world: Any, tmp_path: Path) -> None:
    reader = Recipient("ci", CI.public.hpke.to_text())
    job = world.job(world.bundle(world.copy).digest, {"data": world.data()})
    own, other = world.ticket(replace(job, recipients=(reader,))), world.ticket(job)
    proposal, not_mine = digests(own, other)
    with under(world, signed(world, "run", proposals=(proposal,))) as ci:
        assert ci.council.ticket(proposal) == own
        done = ci.runs.wait(ci.runs.start(own).id)
        assert done.state == "finished" and ci.runs.list(proposal=proposal) == (done,)
        found = ci.jobs.result(done.id, CI, tmp_path / "out")
        assert found.outputs["out"].stat().st_size == 100
        for call in (
            lambda: ci.runs.start(other),
            lambda: ci.runs.get(not_mine),
            lambda: ci.runs.get(not_mine[7:47] + "-1"),
            lambda: list(ci.runs.watch(not_mine)),
            lambda: ci.runs.list(),
            lambda: ci.runs.list(proposal=not_mine),
        ):
            world.refused(call, "NOT_PERMITTED", claim="proposals")
        assert ci.status().runs is None


def test_a_pass_shows_the_documents_of_its_proposals_alone(world: Any, raw: Raw) -> None:
    job = world.job(world.bundle(world.copy).digest, {"data": world.data()})
    own, other = digests(world.ticket(job), world.ticket(job))
    shown = {own, *(ballot.digest for ballot in world.client.council.ballots(own))}
    hidden = {other, *(ballot.digest for ballot in world.client.council.ballots(other))}
    for pass_, seen in (
        (signed(world, "run"), shown | hidden),
        (signed(world, "run", proposals=(own,)), shown),
        (signed(world, "put"), set[str]()),
    ):
        token = raw.login(pass_).token
        for digest in shown | hidden:
            if digest in seen:
                assert raw.document(digest, token)
            else:
                refusal = world.refusal_of(lambda d=digest, t=token: raw.document(d, t))
                world.check_refusal(refusal, "NOT_PERMITTED", claim="proposals")


def test_a_pass_for_blobs_puts_them(world: Any, tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(os.urandom(1000))
    with under(world, signed(world, "put")) as ci:
        put: Blob = ci.blobs.put("ab" * 16, file, owner=CI.public.signing)
        assert put.complete
        world.refused(lambda: ci.runs.list(), "NOT_PERMITTED", claim="scope", expected="run")
        propose = lambda: ci.council.propose(CI, documents.job(), **world.window())
        assert world.refusal_of(propose)


def test_a_run_is_started_by_whom_it_names_whoever_has_a_pass(world: Any) -> None:
    ticket = world.ticket(world.job(world.bundle(world.copy).digest, {"data": world.data()}))
    with under(world, signed(world, "run", keys=world.seats["ada"])) as ci:
        world.refused(lambda: ci.runs.start(ticket), "NOT_PERMITTED", actual="ada")


def test_a_pass_is_for_its_holder_signer_council_and_time(world: Any, raw: Raw) -> None:
    refused, analyst = world.refused, world.analyst
    good = inspect(signed(world, "run"), Pass)
    now = int(time.time())

    def passes(keys: Keys = analyst, **changed: Any) -> bytes:
        return sign(replace(good, **changed), keys.signing)

    refused(lambda: raw.login(passes(), keys=world.owner), "SIGNATURE_INVALID")
    refused(lambda: raw.login(passes(), keys=analyst), "SIGNATURE_INVALID")
    refused(lambda: raw.login(passes(world.owner)), "SIGNATURE_INVALID")
    refused(lambda: raw.login(passes(CI)), "SIGNATURE_INVALID")
    refused(lambda: raw.login(passes(by="owner")), "NOT_PERMITTED", claim="pass")
    refused(lambda: raw.login(passes(), by="owner"), "SIGNATURE_INVALID")
    refused(lambda: raw.login(passes(charter=OTHER)), "OTHER_LOG", claim="charter")
    refused(lambda: raw.login(passes(not_after=now - 1)), "NOT_PERMITTED", claim="pass")
    refused(lambda: raw.login(passes(not_before=now + 60)), "NOT_PERMITTED", claim="pass")
    refused(lambda: raw.login(b"{}"), "DOCUMENT_MALFORMED")
    assert raw.login(passes()).seconds == 600
    ending = raw.login(passes(not_after=int(time.time()) + 3))
    assert 0 < ending.seconds <= 3
    assert raw.knows(ending.token)
    world.until(lambda: not raw.knows(ending.token))


def test_a_pass_ends_with_the_seat_that_signed_it(new_world: Any) -> None:
    world = new_world().start()
    with under(world, signed(world, "run", keys=world.seats["ben"])) as ci:
        assert ci.runs.list() == ()
        world.client.council.stop(world.seats["ada"], "revoke-seat", "ben", reason="Lost.")
        world.refused(lambda: ci.runs.list(), "SEAT_UNKNOWN")


def test_whoever_has_a_pass_logs_its_signer_out_of_nothing(new_world: Any) -> None:
    world = new_world(flags=("--stranger-rate", "10000")).start()
    raw = Raw(world)
    token, pass_ = raw.login(b"", keys=world.analyst).token, signed(world, "run")
    for _ in range(260):
        raw.login(pass_)
    assert raw.knows(token)
    raw.channel.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"scopes": ()},
        {"scopes": ("run", "run")},
        {"scopes": ("put",), "proposals": (OTHER,)},
        {"proposals": ()},
        {"proposals": ("ab",)},
        {"proposals": tuple(f"sha256:{number:064x}" for number in range(65))},
        {"not_after": 0},
        {"not_after": 2_000_000_000 + 91 * 86400},
    ],
)
def test_a_pass_says_what_it_is_for_and_lasts_90_days_at_most(changed: dict[str, Any]) -> None:
    holder, start = CI.public.signing, 2_000_000_000
    good = Pass(OTHER, "ada", holder, ("run",), "any", start, start + 90 * 86400)
    with pytest.raises(DocumentMalformed):
        replace(good, **changed)


def test_a_client_finds_a_pass_that_is_not_for_it(world: Any) -> None:
    with (
        under(world, signed(world, "run"), world.owner) as client,
        pytest.raises(UsageRefused, match="for another key"),
    ):
        client.runs.list()
    with pytest.raises(FileRefused, match="no pass"), under(world, b"{}"):
        pass
    with pytest.raises(UsageRefused, match="no such pass"):
        sign_pass(world.analyst, CI.public, OTHER, scopes=("run",), days=91)


class Builder:
    """A folder with a home, the analyst's key, and those that `placet` writes there."""

    def __init__(self, world: Any, folder: Path) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        self.home.configure(world.address, world.pin, world.client.log.charter)
        world.analyst.save(folder / "analyst.key")

    def run(self, line: str, env: Mapping[str, str], code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "placet.client", *line.split(), "--json"],
            cwd=self.folder,
            env={**os.environ, "PLACET_HOME": "home", **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout or done.stderr


def test_the_commands_of_a_build_server(world: Any, tmp_path: Path) -> None:
    builder = Builder(world, tmp_path)
    job = world.job(world.bundle(world.copy).digest, {"data": world.data()})
    (proposal,) = digests(world.ticket(job))
    builder.run("keygen ci", {})
    line = f"pass ci.pub.json --scope run --proposal {proposal} --days 1 -k analyst.key -o ci.pass"
    assert json.loads(builder.run(line, {}))["by"] == "analyst"
    ci, analyst = {"PLACET_KEY": "ci.key", "PLACET_PASS": "ci.pass"}, {"PLACET_KEY": "analyst.key"}
    assert json.loads(builder.run(f"start {proposal} --watch", ci))["state"] == "finished"
    refused = json.loads(builder.run("runs", ci, 1))["error"]
    assert refused["reason"] == "NOT_PERMITTED"
    # A home keeps the login of a pass apart from its principal's.
    assert builder.run("runs", analyst)
    assert json.loads(builder.run("runs", ci, 1))["error"]["reason"] == "NOT_PERMITTED"
    refused = json.loads(builder.run("runs", {**ci, **analyst}, 2))
    assert "another key" in refused["error"]["message"]
    for wrong in ("--scope vote", "--scope put --proposal " + proposal):
        builder.run(f"pass ci.pub.json {wrong} -k analyst.key -o no.pass", {}, 2)
    assert not (tmp_path / "no.pass").exists()
    found = {each["setting"]: each for each in json.loads(builder.run("config", ci))}
    assert found["pass"]["whence"] == "PLACET_PASS" and found["key"]["value"] == "ci.key"
