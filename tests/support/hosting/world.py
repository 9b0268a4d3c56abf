# SPDX-License-Identifier: Apache-2.0
"""A council, its documents, and a host on a folder that the council founds."""

import asyncio
import hashlib
import io
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from placet.attestation import Identity
from placet.client.connection.channel import pin_of
from placet.governance import contexts
from placet.governance.codec import parse_object
from placet.governance.documents import (
    Card,
    Federate,
    Header,
    Input,
    Layout,
    Output,
    Party,
    Proposal,
    Recipient,
    Roster,
    Rule,
    Serve,
    Tensor,
    Update,
    When,
)
from placet.governance.envelope import digest_of, inspect, parse_envelope, sign
from placet.governance.judgements.rounds import SealedUpdate
from placet.governance.keys import SigningKey
from placet.host import Host, HostConfig
from placet.proto.v1 import common_pb2, federations_pb2, keys_pb2, log_pb2
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    StreamKey,
    seal_envelope,
    seal_stream,
)
from tests.support import documents
from tests.support.council import ORIGIN, Council, Sealed
from tests.support.hosting.client import METADATA, Client, Sent, lease_in, put_requests
from tests.support.hosting.launcher import ScriptedLauncher
from tests.support.login import Visitor

MAIN = Path(__file__).parent / "host_main.py"
ROSTER = ("ada", "ben", "cleo")
LAYOUT = Layout((Tensor("w", (4,)),), "float32", 16384)


class World:
    """Documents, keys, and a host on a folder. Documents are of the log that the first host
    founds."""

    bundle = b"the bundle of a program"
    program = "sha256:" + hashlib.sha256(bundle).hexdigest()
    blob = program.removeprefix("sha256:")[:32]
    origin = ORIGIN
    metadata = METADATA
    put_requests = staticmethod(put_requests)
    lease_in = staticmethod(lease_in)

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launcher = ScriptedLauncher()
        self.council = new_council()
        self.key = SigningKey.generate()  # a stranger's
        self.model = sealed_model()
        self._founded = False
        self._client: Client  # of the newest host

    def config(self, **settings: Any) -> HostConfig:
        """The configuration of a host on the folder."""
        settings = {"drain_seconds": 1.0, **settings}
        return HostConfig(self.folder / "state", self.folder / "cpu", ORIGIN, **settings)

    @asynccontextmanager
    async def host(self, **settings: Any) -> AsyncGenerator[tuple[Host, Client], None]:
        """A founded host, and a client with the bundle put."""
        async with (
            Host(self.config(**settings), self.launcher) as host,
            self.client(host.address, host.certificate_pem) as client,
        ):
            yield host, client

    @asynccontextmanager
    async def process(
        self,
    ) -> AsyncGenerator[tuple[asyncio.subprocess.Process, Client], None]:
        """A host in a process of its own, and a client of it; killed at the end if it still
        runs."""
        state, cpu = self.folder / "state", self.folder / "cpu"
        argv = ["-I", str(MAIN), str(state), str(cpu), ORIGIN]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            line = (await process.stdout.readline()).decode()
            address = re.fullmatch(r"address (\S+)\n", line)
            assert address is not None
            assert (await process.stdout.readline()).startswith(b"pin sha256:")
            certificate = (state / "tls" / "cert.pem").read_bytes()
            async with self.client(address[1], certificate) as client:
                yield process, client
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def client(self, address: str, certificate: bytes) -> AsyncGenerator[Client, None]:
        """A client of a host, which founds the log if nobody has."""
        visitor, council = Visitor(address, certificate), self.council
        async with visitor.channel as channel:
            self._client = client = Client(channel)
            pin = pin_of(certificate.decode())
            identity = None if self._founded else await self._found(client)
            await visitor.log_in(council.name, "engineer", pin, council.submitter)
            if identity is not None:
                provision = council.provision(self.model, identity.hpke)
                await client.keys.Provision(provision, metadata=METADATA)
                await client.put(self.bundle, self.blob)
                self._founded = True
            yield client

    async def _found(self, client: Client) -> Identity:
        """The council's log, and a model that its owner lets everybody have served."""
        council = self.council
        request = keys_pb2.EvidenceRequest(nonce=os.urandom(32), constitution=council.digest)
        evidence = await client.keys.GetEvidence(request, metadata=METADATA)
        identity = Identity.from_bytes(evidence.identity)
        council.log = identity.log
        await client.governance.Found(council.founding(), metadata=METADATA)
        return identity

    async def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """The log's entries, or those of a kind."""
        call = self._client.log.GetEntries(log_pb2.GetEntriesRequest(), metadata=METADATA)
        found = [parse_object(entry) async for batch in call for entry in batch.entries]
        return [entry for entry in found if kind in ("", entry["kind"])]

    def header(self) -> Header:
        """A header for the log of the tests."""
        return self.council.header()

    def ticket(
        self, act: str, *, attempts: int = 2, uses: int = 5, **changed: Any
    ) -> common_pb2.Ticket:
        """A ticket for a job that does `act`."""
        job = documents.job(
            Recipient("engineer", self.council.recipient.public.to_text()),
            program=self.program,
            parameters={"act": act},
            outputs={"out": Output(1024)},
            attempts=attempts,
        )
        return self._ticket(job, uses=uses, **changed)

    def federation(
        self, acts: str, *, rounds: int = 1, round_seconds: int = 600, **changed: Any
    ) -> common_pb2.Ticket:
        """A ticket for a federation of three clients, two of them enough, whose workers do
        `acts`."""
        federate = documents.federate(
            ROSTER, layout=LAYOUT, labels=(), rounds=rounds, round_seconds=round_seconds
        )
        return self._ticket(federate, **{"uses": rounds, "reason": acts, **changed})

    def service(
        self, acts: str = "serve", *, uses: int = 5, title: str = "A model", **changed: Any
    ) -> common_pb2.Ticket:
        """A ticket for a service whose workers do `acts`, one after the other. `title` alone makes
        other terms."""
        card = Card(title, (), "", None, documents.FAR)
        serve = documents.serve(
            Input(self.model.descriptor, "hospital"),
            Roster("roster", ("ada",)),
            card=card,
            largest_request=16,
        )
        return self._ticket(serve, uses=uses, reason=acts, **changed)

    async def until_open(self, ticket: common_pb2.Ticket, number: int) -> None:
        """Watch until a round is open, and its entry can be read: a run may show the round a moment
        before the entry is durable."""
        federation = self.digest(ticket.proposal)
        await self._client.until_round(federation, number)
        while (federation, number) not in {
            (entry["proposal"], entry["round"]) for entry in await self.entries("open-round")
        }:
            await asyncio.sleep(0.01)

    async def update(self, ticket: common_pb2.Ticket, number: int, client: str) -> Sent:
        """A client's update of zeros for a round; sealed to nobody's key while that is not open."""
        federation = self.digest(ticket.proposal)
        keys = {(e["proposal"], e["round"]): e["key"] for e in await self.entries("open-round")}
        key = keys.get((federation, number)) or HPKEPrivateKey.generate().public.to_text()
        stream, sink = StreamKey.generate(), io.BytesIO()
        plain, size = io.BytesIO(bytes(LAYOUT.update_bytes)), LAYOUT.segment_bytes
        made = seal_stream(plain, sink, stream, kind="update", labels=(), segment_size=size)
        inner = SealedUpdate(stream.to_bytes(), 0.0, 1.0, 1).pack()
        info = contexts.update_info(federation, number, client, made.id)
        sealed = seal_envelope(inner, HPKEPublicKey.from_text(key), info)
        update = Update(
            header=self.header(),
            federation=federation,
            round=number,
            client=client,
            layout=LAYOUT.digest,
            object=made.id,
            commitment=made.commitment,
            sealed=digest_of(sealed),
            epsilon="any",
            delta="any",
        )
        envelope = sign(update, self.council.clients[client])
        request = federations_pb2.UpdateRequest(update=envelope, sealed=sealed)
        return Sent(request, made.id, sink.getvalue())

    def _ticket(self, body: Any, **changed: Any) -> common_pb2.Ticket:
        proposal = self.council.propose(body, **changed)
        return common_pb2.Ticket(proposal=proposal, ballots=self.council.ballots(proposal))

    def unsigned(self, envelope: bytes) -> bytes:
        """The same document with an empty signature."""
        value = json.loads(envelope)
        value["signatures"][0]["sig"] = ""
        return json.dumps(value).encode()

    def ballot(self, ticket: common_pb2.Ticket) -> bytes:
        """One more vote for a ticket's proposal."""
        (ballot,) = self.council.ballots(ticket.proposal, ("s3",))
        return ballot

    def veto(self, ticket: common_pb2.Ticket) -> bytes:
        """A veto of a ticket's proposal."""
        return self.council.stop("s4", "veto", self.digest(ticket.proposal))

    def launched_for(self, ticket: common_pb2.Ticket) -> str:
        """What the workers of a federation or a service are launched for."""
        body = inspect(ticket.proposal, Proposal).body
        assert isinstance(body, Federate | Serve)
        return body.launch_digest

    def digest(self, envelope: bytes) -> str:
        """The digest of a document."""
        return parse_envelope(envelope).digest


def new_council() -> Council:
    """One whose rule lets everything be that three seats want, with the clients of federations as
    parties."""
    council = Council(lease_seconds=60)
    council.log = ORIGIN  # until the authority says which key it has
    council.clients = {name: SigningKey.generate() for name in ROSTER}
    old = council.constitution
    parties = (
        Party(client, f"o{number}", (key.public,))
        for number, (client, key) in enumerate(council.clients.items())
    )
    rule = Rule("all", "Everything", When("any", "any", "any"), old.rules[0].demands)
    council.constitution = replace(old, parties=(*old.parties, *parties), rules=(rule,))
    return council


def sealed_model() -> Sealed:
    """A model that nobody loads."""
    key, sink = StreamKey.generate(), io.BytesIO()
    descriptor = seal_stream(io.BytesIO(b"any model"), sink, key, kind="model", labels=())
    return Sealed(descriptor, key, sink.getvalue())
