# SPDX-License-Identifier: Apache-2.0
"""A council, its log and everything that is signed for it, with real keys that are the same in
every run."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from placet.governance.account import Times
from placet.governance.codec import Json, encode
from placet.governance.documents import (
    Amendment,
    Ballot,
    Charter,
    Constitution,
    Evidence,
    Exactly,
    Grant,
    Header,
    Input,
    Job,
    Lease,
    Organisation,
    Output,
    Party,
    Proposal,
    Receipt,
    Recipient,
    Release,
    Rule,
    Seat,
    Seen,
    Stop,
    When,
)
from placet.governance.documents.grant import Between
from placet.governance.documents.lease import answer_header, output_id
from placet.governance.entries.kind import Entry
from placet.governance.envelope import (
    Document,
    digest_of,
    inspect,
    parse_envelope,
    sign,
    verify_signed,
)
from placet.governance.evaluate import InForce, Ticket
from placet.governance.jobs import job_name
from placet.governance.judgements.admission import (
    Admission,
    admit,
    enter_ballot,
    enter_proposal,
    judge_amendment,
    judge_charter,
    judge_document,
    judge_grant,
)
from placet.governance.judgements.leasing import (
    judge_boot,
    judge_close,
    judge_join,
    judge_lease,
    judge_renewal,
    latest_deadline,
    next_attempt,
)
from placet.governance.judgements.receipts import receipt_for
from placet.governance.judgements.releases import judge_release
from placet.governance.keys import SigningKey
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import Checkpoint, NoteSigner, Tree, leaf_hash, sign_checkpoint
from placet.governance.rules import (
    Approvals,
    Demand,
    Independence,
    Lifetime,
    Organisations,
    Rationale,
    Role,
    Uses,
    Veto,
)
from placet.refusals import EvidenceInvalid
from placet.sealing import HPKEPrivateKey, ObjectDescriptor, padded_length
from tests.support import documents
from tests.support.machines.hardware import Claimed, Genuine, genuine, key_of, private, quoted

T0 = 1_800_000_000
DAY = 86400
PROGRAM = "sha256:" + "ab" * 32
MEASUREMENT = "cd" * 32


_RECIPIENT = HPKEPrivateKey.generate("X25519").public.to_text()


class World:
    """A log from nothing, and whoever writes to it. `add` appends what a judge_... function
    returned."""

    def __init__(self) -> None:
        self.signer = NoteSigner("council.example/log", bytes(range(32)))
        self.log = self.signer.verifier_key.to_text()
        self.log_key = SigningKey(private(self.signer.to_bytes()))
        self.store: dict[str, bytes] = {}
        self.ledger = Ledger(self)
        self.entries: list[bytes] = []
        self.times = Times(T0, T0)
        self.constitution = self.make_constitution()
        self._nonces = 0
        self._enclaves: dict[str, SigningKey] = {}

    # What is signed.

    def envelope(self, digest: str) -> bytes:
        if digest not in self.store:
            raise missing_document(digest)
        return self.store[digest]

    def key(self, name: str) -> SigningKey:
        return key_of(name)

    def nonce(self) -> str:
        self._nonces += 1
        return hashlib.sha256(b"nonce %d" % self._nonces).hexdigest()[:32]

    def header(self, **changes: Any) -> Header:
        size, root = self.ledger.head()
        return replace(Header(self.nonce(), self.name, Seen(size, root)), **changes)

    def make_constitution(self, **changes: Any) -> Constitution:
        fields: dict[str, Any] = {
            "nonce": "00" * 16,
            "name": "The council of four",
            "organisations": tuple(
                Organisation(f"org-{x}", f"Organisation {x.upper()}") for x in "abcd"
            ),
            "seats": (
                Seat(id_, "org-" + id_[-1], role, keys, T0 - DAY, T0 + 365 * DAY)
                for id_, role, keys in (
                    ("chair-a", "chair", (key_of("chair-a").public, key_of("chair-a/2").public)),
                    ("data-b", "dpo", (key_of("data-b").public,)),
                    ("ethics-c", "ethics", (key_of("ethics-c").public,)),
                    ("second-a", "chair", (key_of("second-a").public,)),
                )
            ),
            "parties": (
                Party("owner-b", "org-b", (key_of("owner-b").public,)),
                Party("lab", "org-d", (key_of("lab").public,)),
            ),
            "labels": ("health", "public"),
            "rules": (HEALTH, AMEND),
            "evidence": Evidence(_policy("authority"), _policy("worker")),
        }
        return documents.constitution(**{**fields, **changes})

    @property
    def charter(self) -> Charter:
        return Charter("c4" * 16, self.log, self.digest if not self.entries else self.genesis)

    @property
    def name(self) -> str:
        """The digest of the charter, by which documents name the council."""
        return digest_of(encode(self.charter))

    @property
    def genesis(self) -> str:
        return self.ledger.state.constitutions[0]

    @property
    def digest(self) -> str:
        return digest_of(encode(self.constitution))

    def in_force(self, constitution: Constitution | None = None) -> InForce:
        found = constitution or self.constitution
        return InForce(found, digest_of(encode(found)), self.name)

    @staticmethod
    def varied(rule: Rule, *demands: Demand, without: tuple[type, ...] = ()) -> Rule:
        """A rule with these demands in place of those of their names, and without some kinds."""
        new = {demand.name: demand for demand in demands}
        kept = [new.pop(d.name, d) for d in rule.demands if not isinstance(d, without)]
        return replace(rule, demands=(*kept, *new.values()))

    def descriptor(
        self,
        name: str = "data",
        labels: tuple[str, ...] = ("health",),
        length: int = 1000,
        kind: str = "dataset",
    ) -> ObjectDescriptor:
        return documents.descriptor(name, labels, length, kind)

    def job(self, **changes: Any) -> Job:
        fields: dict[str, Any] = {
            "inputs": {"train": Input(self.descriptor(), "owner-b")},
            "parameters": {"epochs": 3, "model": "linear"},
            "outputs": {"weights": Output(5000)},
            "deadline_seconds": 600,
            **changes,
        }
        return documents.job(Recipient("lab", _RECIPIENT), **fields)

    def proposal(self, **changes: Any) -> Proposal:
        fields: dict[str, Any] = {
            "header": self.header(),
            "constitution": self.digest,
            "proposer": "lab",
            "not_before": T0 - 10,
            "not_after": T0 + DAY,
            "now": T0,
        }
        if "body" not in changes:
            fields["body"] = self.job()
        return documents.proposal(**{**fields, **changes})

    def ballot(self, seat: str, proposal: str, vote: str = "placet", **changes: Any) -> Ballot:
        fields: dict[str, Any] = {"header": self.header(), "constitution": self.digest, **changes}
        return documents.ballot(seat=seat, proposal=proposal, now=T0, vote=vote, **fields)

    def grant(self, **changes: Any) -> Grant:
        fields: dict[str, Any] = {
            "header": self.header(),
            "owner": "owner-b",
            "object": self.descriptor(),
            "purposes": ("research",),
            "programs": (PROGRAM,),
            "parameters": {"epochs": Between(1, 10), "model": Exactly("linear")},
            "recipients": (_RECIPIENT,),
            "combine_with": (),
            "evidence": Evidence(_policy("authority"), _policy("worker")),
            "approvals": ("data-b",),
            "uses": 5,
            "expires": T0 + 30 * DAY,
        }
        return documents.grant(**{**fields, **changes})

    def stop(self, by: str, action: str, target: str, **changes: Any) -> Stop:
        return replace(documents.stop(self.header(), by, action, target), **changes)

    def signed(self, document: Document, *names: str) -> bytes:
        return sign(document, *(self.key(name) for name in names))

    def vote(self, *seats: str, proposal: str) -> tuple[bytes, ...]:
        return tuple(self.signed(self.ballot(seat, proposal), seat) for seat in seats)

    def ticket(
        self,
        proposal: Proposal | None = None,
        seats: tuple[str, ...] = ("chair-a", "data-b", "ethics-c"),
    ) -> Ticket:
        proposal = proposal or self.proposal()
        envelope = self.signed(proposal, proposal.proposer)
        return Ticket(envelope, self.vote(*seats, proposal=digest_of(encode(proposal))))

    # What is appended.

    def add(self, entry: Entry, *documents: bytes) -> Entry:
        """Append an entry and keep its documents: envelopes by payload, anything else by itself."""
        for document in documents:
            self.store[kept_as(document)] = document
        self.entries.append(self.ledger.append(entry))
        return entry

    def found(self) -> "World":
        seats = [seat.id for seat in self.constitution.seats]
        constitution = self.signed(self.constitution, *seats)
        charter = self.signed(self.charter, *seats)
        entry = judge_charter(self.ledger, constitution, charter, self.log, self.times)
        self.add(entry, constitution, charter)
        return self

    def boot(self, name: str = "boot 1") -> Entry:
        claimed, identity, evidence, nonce = self.enclave("authority", name, "")
        entry = judge_boot(
            claimed.boot, digest_of(identity), digest_of(evidence), nonce, self.times
        )
        return self.add(entry, identity, evidence)

    def join(self, name: str = "worker 1", program: str = PROGRAM) -> str:
        claimed, identity, evidence, nonce = self.enclave("worker", name, program)
        worker = digest_of(identity)
        entry = judge_join(self.ledger, worker, claimed, digest_of(evidence), nonce, self.times)
        self.add(entry, identity, evidence)
        return worker

    def record(self, document: Document, *names: str) -> Entry:
        envelope = self.signed(document, *names)
        return self.add(judge_document(self.ledger, envelope, self.times), envelope)

    def give(self, **changes: Any) -> Entry:
        grant = self.grant(**changes)
        envelope = self.signed(grant, grant.owner)
        return self.add(judge_grant(self.ledger, envelope, self.times), envelope)

    def enter(self, admission: Admission) -> None:
        proposal = admission.ticket.proposal
        if admission.new_proposal:
            self.add(enter_proposal(self.ledger, proposal, self.times), proposal.envelope)
        for ballot in admission.new_ballots:
            self.add(enter_ballot(self.ledger, ballot, self.times), ballot.envelope)

    def amendment(self, successor: Constitution) -> Amendment:
        return Amendment(digest_of(encode(successor)))

    def forget(self) -> None:
        """Start again from the log, with no document at hand."""
        self.ledger = Ledger(self)
        self.ledger.replay_all(self.entries, self.head())

    def head(self) -> Checkpoint:
        tree = Tree(map(leaf_hash, self.entries))
        return Checkpoint(self.signer.verifier_key.name, tree.size, tree.root())

    def amend(self, **changes: Any) -> Entry:
        """Put a constitution into force that differs in these fields from the one that is."""
        successor = replace(
            self.constitution,
            version=self.constitution.version + 1,
            predecessor=self.digest,
            **changes,
        )
        envelope = self.signed(successor, "chair-a")
        body = self.amendment(successor)
        proposal = self.proposal(proposer="chair-a", action="amend", purpose="order", body=body)
        ticket = self.ticket(proposal)
        self.enter(admit(self.ledger, ticket, "amend", self.times))
        admission = admit(self.ledger, ticket, "amend", self.times)
        entry = judge_amendment(self.ledger, admission, envelope, self.times)
        self.constitution = successor
        return self.add(entry, envelope)

    def end_proposals(self) -> Entry:
        """An amendment that ends every proposal of the lab, and suspends no grant: the lab is of
        another organisation."""
        listed = self.constitution.parties
        moved = (replace(one, organisation="org-a") if one.id == "lab" else one for one in listed)
        return self.amend(parties=tuple(moved))

    def admitted(self, ticket: Ticket, job: str = "job-1") -> Admission:
        """Admit a ticket and enter what of it the log does not have."""
        admission = admit(self.ledger, ticket, job, self.times)
        self.enter(admission)
        return admission

    def lease(self, ticket: Ticket, worker: str, job: str = "job-1", **changes: Any) -> Entry:
        """Admit a ticket and lease it to a worker, as an authority does; for a job of the ticket's
        proposal."""
        job = self.job_of(ticket, job)
        return self.lease_admitted(self.admitted(ticket, job), worker, job, **changes)

    def job_of(self, ticket: Ticket, own: str) -> str:
        """The name of a job of a ticket's proposal."""
        proposal = parse_envelope(ticket.proposal).digest
        return own if own.startswith(proposal[7:47]) else job_name(proposal, own)

    def lease_admitted(self, admission: Admission, worker: str, job: str, **changes: Any) -> Entry:
        proposal = admission.ticket.proposal
        lease = Lease(
            header=self.header(),
            boot=self.ledger.state.boot,
            proposal=proposal.digest,
            constitution=self.ledger.state.constitution,
            job=job,
            attempt=next_attempt(self.ledger, proposal.digest, job),
            worker=worker,
            deadline=latest_deadline(self.ledger, proposal, self.times),
        )
        lease = replace(lease, **changes)
        envelope = sign(lease, self._enclaves[self.ledger.state.boot])
        digest = digest_of(encode(lease))
        entry = judge_lease(self.ledger, admission, lease, digest, self.appraise, self.times)
        return self.add(entry, envelope)

    def renew(self, lease: str) -> Entry:
        return self.add(judge_renewal(self.ledger, lease, self.appraise, self.times))

    def release(
        self,
        lease: str,
        *,
        worker: str = "",
        signer: str = "",
        receipt: Callable[[Receipt], Receipt] = lambda receipt: receipt,
        **changes: Any,
    ) -> Entry:
        """Release a lease's outputs; `changes` are of the release document, `receipt` changes the
        receipt."""
        worker = worker or self.ledger.state.leases[lease].worker
        output = self.output(lease, "weights", padded_length(5000))
        header = self.answer_header(lease)
        release = replace(Release(header, lease, worker, {"weights": output}, {}), **changes)
        key = self._enclaves[signer or worker]
        signed = verify_signed(sign(release, key), Release, lambda _: [key.public])
        said = receipt(receipt_for(self.ledger, signed, "test", self.header(), self.times))
        digest = digest_of(encode(said))
        entry = judge_release(self.ledger, signed, digest, self.appraise, self.times)
        return self.add(entry, signed.envelope, sign(said, self.log_key))

    def output(self, lease: str, name: str, length: int) -> ObjectDescriptor:
        """The descriptor of an output as a worker makes it."""
        made: ObjectDescriptor = self.descriptor(name, (), length, "result")
        return replace(made, id=output_id(lease, name, made.commitment))

    def answer_header(self, lease: str) -> Header:
        """The header of a release as a worker makes it."""
        document = inspect(self.store[lease], Lease)
        return answer_header(document, lease, Release.KIND)

    def close(self, lease: str, why: str = "lost") -> Entry:
        return self.add(judge_close(self.ledger, lease, why, self.times))

    def checkpoint(self) -> bytes:
        return sign_checkpoint(self.head(), self.signer)

    # Attestation: a quote is a signature of "the hardware" over what real evidence would bind.

    def enclave(
        self, role: str, name: str, launched_for: str
    ) -> tuple[Claimed, bytes, bytes, bytes]:
        boot, key = hashlib.sha256(name.encode()).hexdigest()[:32], key_of(name)
        nonce = hashlib.sha256(b"nonce for " + name.encode()).digest()
        fields = {
            "role": role,
            "log": self.log,
            "charter": self.name,
            "boot": boot,
            "signing": key.public.text,
        }
        identity = encode(fields)
        self._enclaves[boot] = self._enclaves[digest_of(identity)] = key
        claims = {"kind": "test", "measurement": MEASUREMENT, "launched_for": launched_for}
        message = quoted(identity, nonce, claims)
        evidence = encode({**claims, "quote": key_of("hardware").sign(message).hex()})
        return Claimed(**fields, **claims), identity, evidence, nonce

    def enclave_key(self, enclave: str) -> SigningKey:
        """The key of a worker by its digest, or of a boot."""
        return self._enclaves[enclave]

    def attest(
        self,
        identity: bytes,
        evidence: bytes,
        *,
        role: str,
        log: str,
        charter: str,
        nonce: bytes,
        at: int,
    ) -> Genuine:
        found = genuine(identity, evidence, nonce)
        if (found.role, found.log, found.charter) != (role, log, charter):
            raise EvidenceInvalid("the identity is another's")
        return Genuine(found, at)

    def appraise(self, worker: str, policy: Json) -> None:
        if MEASUREMENT not in policy["measurements"]:
            raise EvidenceInvalid("the measurement is not wanted")


def _policy(role: str) -> Json:
    return {"kinds": ["test"], "measurements": [MEASUREMENT], "role": role}


def kept_as(document: bytes) -> str:
    value = json.loads(document)
    if "payload" not in value:
        return digest_of(document)
    return digest_of(base64.b64decode(value["payload"]))


HEALTH = Rule(
    "health",
    "Work on health data",
    When(("job",), ("research",), ("health",)),
    (
        Approvals(2),
        Organisations(2),
        Role("ethics", 1),
        Veto("dpo"),
        Independence("submitter"),
        Rationale(),
        Lifetime(7 * DAY),
        Uses(3),
    ),
)
AMEND = Rule(
    "amend",
    "Changing this constitution",
    When(("amend",), "any", "any"),
    (
        Approvals(3),
        Organisations(3),
        Lifetime(30 * DAY),
        Uses(1),
    ),
)
