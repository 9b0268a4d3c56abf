# SPDX-License-Identifier: Apache-2.0
"""A small council under real signatures, and objects that its owner has sealed."""

import hashlib
import io
import secrets
import tarfile
import time
from dataclasses import dataclass
from typing import Any

from placet.governance import contexts
from placet.governance.codec import encode
from placet.governance.documents import (
    Charter,
    Evidence,
    Header,
    Input,
    Limits,
    Output,
    Party,
    Recipient,
    Rule,
    Seat,
    Seen,
    When,
    new_header,
)
from placet.governance.envelope import digest_of, parse_envelope, sign
from placet.governance.keys import SigningKey
from placet.governance.log import EMPTY_ROOT
from placet.governance.rules import Approvals, Independence, Lifetime, Organisations, Uses, Veto
from placet.proto.v1 import (
    common_pb2,
    governance_pb2,
    keys_pb2,
)
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    ObjectDescriptor,
    StreamKey,
    seal_envelope,
    seal_stream,
)
from tests.support import documents
from tests.support.policies import simulated

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
        self.clients: dict[str, SigningKey] = {}  # of federations
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
        seats = (
            Seat(
                seat,
                f"o{n}",
                "member" if n < 4 else "patients",
                (key.public,),
                now - 100,
                now + FOREVER,
            )
            for n, (seat, key) in enumerate(self.seats.items())
        )
        parties = (
            Party("engineer", "o5", (self.submitter.public,)),
            Party("hospital", "o0", (self.owner.public,)),
        )
        self.constitution = documents.constitution(
            seats,
            parties,
            nonce=secrets.token_hex(16),
            rules=(Rule("r1", "Health data", When(("job",), "any", ("health",)), demands),),
            evidence=self.evidence,
            limits=Limits(lease_seconds, join_seconds),
        )
        self._nonce = secrets.token_hex(16)

    @property
    def digest(self) -> str:
        """The digest of the constitution."""
        return digest_of(encode(self.constitution))

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
        fields: dict[str, Any] = {"owner": "hospital", "evidence": self.evidence, **bounds}
        return sign(documents.grant(self.header(), object=descriptor, **fields), self.owner)

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
        job = documents.job(
            Recipient("engineer", self.recipient.public.to_text()),
            program=program,
            inputs={name: Input(descriptor, "hospital") for name, descriptor in inputs.items()},
            parameters=parameters or {},
            outputs={name: Output(size) for name, size in (outputs or {"out": 100}).items()},
            attempts=attempts,
            deadline_seconds=seconds,
        )
        return self.propose(job, uses=uses)

    def propose(self, body: Any, **changed: Any) -> bytes:
        """The submitter's proposal of some work."""
        now = int(time.time())
        made = documents.proposal(self.header(), self.digest, "engineer", body, now, **changed)
        return sign(made, self.submitter)

    def ballots(
        self,
        proposal: bytes,
        seats: tuple[str, ...] = ("s0", "s1", "s2"),
        vote: Any = "placet",
        sequence: int = 1,
    ) -> list[bytes]:
        digest, now = parse_envelope(proposal).digest, int(time.time())
        changed: dict[str, Any] = {"vote": vote, "sequence": sequence}
        return [
            sign(
                documents.ballot(self.header(), self.digest, seat, digest, now, **changed),
                self.seats[seat],
            )
            for seat in seats
        ]

    def ticket(self, *arguments: Any, **terms: Any) -> common_pb2.Ticket:
        proposal = self.proposal(*arguments, **terms)
        return common_pb2.Ticket(proposal=proposal, ballots=self.ballots(proposal))

    def stop(self, by: str, action: Any, target: str) -> bytes:
        key = {"hospital": self.owner, "engineer": self.submitter}.get(by) or self.seats[by]
        return sign(documents.stop(self.header(), by, action, target), key)

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
