# SPDX-License-Identifier: Apache-2.0
"""A stranger looks at the log and sends a signed stop; all else takes a login, and a login is good
for its host, its council, its connection, once."""

import os
from collections.abc import Generator
from typing import Any

import grpc
import pytest

from placet.client import Client, Home, Keys
from placet.governance.documents import Ballot, Stop
from placet.governance.documents.login import Login
from placet.governance.envelope import sign
from placet.host.callers.methods import METHODS, Who
from placet.proto.limits import GRPC_OPTIONS
from placet.proto.v1 import (
    access_pb2,
    access_pb2_grpc,
    governance_pb2,
    keys_pb2,
    log_pb2,
    runs_pb2,
)
from tests.conftest import Stubs

PRINCIPALS = sorted(name for name, who in METHODS.items() if who is Who.PRINCIPAL)


class Stranger(Stubs):
    """Every service, over a connection of its own without a login."""

    def __init__(self, world: Any) -> None:
        certificate = (world.folder / "host" / "tls" / "cert.pem").read_bytes()
        credentials = grpc.ssl_channel_credentials(certificate)
        options = (*GRPC_OPTIONS, ("grpc.use_local_subchannel_pool", 1))
        self.channel = grpc.secure_channel(world.address, credentials, options=options)
        super().__init__(self.channel)
        self.access: Any = access_pb2_grpc.AccessStub(self.channel)
        self._metadata = world.metadata

    def challenge(self) -> str:
        request = access_pb2.ChallengeRequest()
        return str(self.access.Challenge(request, metadata=self._metadata).challenge)

    def login(self, document: Login, keys: Keys) -> str:
        request = access_pb2.LoginRequest(envelope=sign(document, keys.signing))
        return str(self.access.Login(request, metadata=self._metadata).token)


@pytest.fixture
def stranger(world: Any) -> Generator[Stranger]:
    made = Stranger(world)
    yield made
    made.channel.close()


@pytest.mark.parametrize("method", PRINCIPALS)
def test_a_stranger_is_refused(world: Any, stranger: Stranger, method: str) -> None:
    service, _, name = method.partition(".")
    # Whatever a method takes and gives: nothing of a stranger's message is read.
    channel: Any = stranger.channel
    call = channel.stream_stream(f"/placet.v1.{service}/{name}")
    answers = call(iter([b"\x0a\x01x"]), metadata=world.metadata)
    world.refused(lambda: list(answers), "LOGIN_REQUIRED")


def test_a_stranger_looks_at_the_log(world: Any, stranger: Stranger) -> None:
    log, metadata = stranger.log, world.metadata
    note = log.GetCheckpoint(log_pb2.GetCheckpointRequest(), metadata=metadata).note
    assert note == world.memory.note or note
    batches = log.GetEntries(log_pb2.GetEntriesRequest(), metadata=metadata)
    entries = [entry for batch in batches for entry in batch.entries]
    assert len(entries) == len(world.entries())
    for digest in (world.memory.charter, world.newest):
        request = log_pb2.GetDocumentRequest(digest=digest)
        assert log.GetDocument(request, metadata=metadata).document
    evidence = keys_pb2.EvidenceRequest(nonce=os.urandom(32))
    assert stranger.keys.GetEvidence(evidence, metadata=metadata).evidence
    proposal = world.propose(world.job(world.bundle(world.copy).digest, {"data": world.data()}))
    request = log_pb2.GetDocumentRequest(digest=proposal)
    world.refused(lambda: log.GetDocument(request, metadata=metadata), "LOGIN_REQUIRED")


def test_a_signed_stop_takes_no_login(world: Any, stranger: Stranger) -> None:
    proposal = world.propose(world.job(world.bundle(world.copy).digest, {"data": world.data()}))
    stop = Stop(world.header(), "cleo", "veto", proposal, "No.")
    for keys, reason in ((world.seats["ada"], "SIGNATURE_INVALID"), (world.seats["cleo"], "")):
        request = governance_pb2.DocumentRequest(envelope=sign(stop, keys.signing))
        if reason:
            world.refused(
                lambda r=request: stranger.governance.Stop(r, metadata=world.metadata), reason
            )
        else:
            stranger.governance.Stop(request, metadata=world.metadata)
    assert world.client.log.ledger().state.proposals[proposal].stopped == "veto"


def test_the_way_of_stops_takes_no_other_document(world: Any, stranger: Stranger) -> None:
    job = world.job(world.bundle(world.copy).digest, {"data": world.data()})
    proposal = world.propose(job)
    ballot = Ballot(
        world.header(), "ada", proposal, world.newest, 1, "non placet", "none", "No.", None
    )
    request = governance_pb2.DocumentRequest(envelope=sign(ballot, world.seats["ada"].signing))
    call = lambda: stranger.governance.Stop(request, metadata=world.metadata)
    world.refused(call, "PAYLOAD_TYPE", "claim", "expected", "actual")
    assert not world.client.log.ledger().state.proposals[proposal].ballots


def test_a_login_is_for_one_council_host_connection_and_once(
    world: Any, stranger: Stranger
) -> None:
    charter, pin, other = world.memory.charter, world.pin, "sha256:" + "0" * 64
    analyst, refused = world.analyst, world.refused

    def login(charter: str, by: str, pin: str, challenge: str, keys: Keys = analyst) -> Any:
        return lambda: stranger.login(Login(charter, by, pin, challenge), keys)

    fresh = stranger.challenge
    refused(login(other, "analyst", pin, fresh()), "OTHER_LOG", claim="charter")
    refused(login(charter, "analyst", other, fresh()), "LOGIN_REQUIRED", claim="pin")
    refused(login(charter, "analyst", pin, "0" * 112), "LOGIN_REQUIRED", claim="challenge")
    refused(login(charter, "ada", pin, fresh()), "SIGNATURE_INVALID")
    refused(login(charter, "nobody", pin, fresh()), "SIGNER_UNKNOWN")
    elsewhere = Stranger(world)
    refused(login(charter, "analyst", pin, elsewhere.challenge()), "LOGIN_REQUIRED")
    elsewhere.channel.close()
    challenge = fresh()
    token = login(charter, "analyst", pin, challenge)()
    refused(login(charter, "analyst", pin, challenge), "DOCUMENT_REPLAYED")
    bearing = (*world.metadata, ("authorization", f"Bearer {token}"))
    assert stranger.runs.List(runs_pb2.ListRunsRequest(), metadata=bearing) is not None
    wrong = (*world.metadata, ("authorization", "Bearer " + "0" * 64))
    list_runs = stranger.runs.List
    refused(lambda: list_runs(runs_pb2.ListRunsRequest(), metadata=wrong), "LOGIN_REQUIRED")


def test_a_revoked_seat_is_logged_out(new_world: Any) -> None:
    world = new_world().start()
    with Client.connect(
        world.address, world.pin, memory=world.memory, keys=world.seats["ben"]
    ) as ben:
        assert ben.runs.list() == ()
        world.client.council.stop(world.seats["ada"], "revoke-seat", "ben", reason="Lost.")
        world.refused(lambda: ben.runs.list(), "SEAT_UNKNOWN")


def test_a_ticket_is_started_by_whom_it_names(world: Any) -> None:
    ticket = world.ticket(world.job(world.bundle(world.copy).digest, {"data": world.data()}))
    with Client.connect(
        world.address, world.pin, memory=world.memory, keys=world.seats["ada"]
    ) as ada:
        world.refused(lambda: ada.runs.start(ticket), "NOT_PERMITTED", actual="ada")
    with Client.connect(world.address, world.pin, memory=world.memory, keys=world.owner) as owner:
        assert owner.runs.wait(owner.runs.start(ticket).id).state == "finished"


def test_a_home_keeps_its_login_and_shows_it_to_no_other_host(world: Any) -> None:
    home = Home(world.folder / "owner-home")
    home.configure(world.address, world.pin, world.memory.charter)
    with Client.at_home(home, keys=world.owner) as client:
        client.runs.list()
    kept = home.folder / "login.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    token, _ = home.login().load("owner", world.pin)
    assert token
    assert home.login().load("analyst", world.pin) == ("", 0.0)
    assert home.login().load("owner", "sha256:" + "0" * 64) == ("", 0.0)
    before = kept.read_bytes()
    with Client.at_home(home, keys=world.owner) as client:
        client.runs.list()
    assert kept.read_bytes() == before


def test_a_client_without_keys_says_what_is_missing(world: Any) -> None:
    with Client.connect(world.address, world.pin, memory=world.memory) as client:
        refusal = world.refusal_of(client.runs.list)
        assert refusal.reason == "LOGIN_REQUIRED"
        assert client.status().runs is None


def test_after_a_restart_a_client_logs_in_again(new_world: Any) -> None:
    world = new_world().start()
    with Client.connect(world.address, world.pin, memory=world.memory, keys=world.owner) as client:
        client.runs.list()
        world.kill()
        world.start()
        assert world.until_answered(client.runs.list) == ()


def test_enclaves_come_in_by_a_listener_of_their_own(world: Any, stranger: Stranger) -> None:
    channel: Any = stranger.channel
    attach = channel.stream_stream("/placet.v1.Enclaves/Attach")
    with pytest.raises(grpc.RpcError) as caught:
        list(attach(iter([b""]), metadata=world.metadata))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
