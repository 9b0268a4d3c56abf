# SPDX-License-Identifier: Apache-2.0
"""Is this worker the one that the council approved? From the log's key down to the key that
questions are sealed to.

1. proposal    the service asked for, signed by its proposer; its ballots signed by their seats
2. authority   its boot is in the log; identity and evidence are those that the entry names; the
               evidence is genuine, bound to the entry's nonce, and what the constitution wants
3. lease       signed by the key of that boot, in the log, for this service
4. ticket      valid on paper when the lease was given, under the lease's constitution, to which it
               was carried; its window is still open
5. worker      its join is in the log, before the lease; identity and evidence as above; launched
               for the proposal's terms
6. offer       signed by the worker's joined key, for this lease, with the outputs that the terms
               show

A host may show an older boot or lease than there is. That does not help it: whoever answers under
the offer's key holds the keys of an enclave that ends when its lease does. That the checkpoints
extend what was seen before is for the caller.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from placet.attestation import Attested, Check, Expected, Identity, verify_genuine
from placet.client.trust.verify import VerifiedCouncil
from placet.governance.account import Times
from placet.governance.codec import Json, parse_object
from placet.governance.documents import Lease, Offer, Proposal
from placet.governance.documents.lease import answer_header
from placet.governance.documents.work.serve import Serve
from placet.governance.envelope import (
    Signed,
    check_layout,
    digest_of,
    parse_envelope,
    verify_signed,
)
from placet.governance.evaluate import Ticket, judge_ticket
from placet.governance.judgements.carried import check_carried, verify_papers
from placet.governance.keys import PublicKey
from placet.governance.log import MAX_ENTRY_BYTES, LogProof, VerifierKey, leaf_hash, verify_proof
from placet.proto.v1 import inference_pb2
from placet.refusals import LogEntryInvalid, OfferInvalid, Refusal


class OfferRefused(OfferInvalid):
    """`claim` is the step that does not hold; `checks` are those that had held before."""

    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedWorker:
    """A worker that was verified for a service, and its newest offer. Made by `verify_worker` and
    `verify_renewed` alone."""

    proposal: Signed[Proposal]
    lease: Signed[Lease]
    offer: Signed[Offer]
    authority: Attested
    worker: Attested
    key: PublicKey = field(repr=False)  # the worker's joined key
    notes: tuple[bytes, ...] = field(repr=False)  # the checkpoints of the proofs
    checks: tuple[Check, ...] = field(repr=False)

    @property
    def service(self) -> str:
        """The digest of the proposal."""
        return self.proposal.digest

    @property
    def terms(self) -> Serve:
        """What the council approved."""
        return self.proposal.document.serve

    @property
    def simulated(self) -> bool:
        """Whether no hardware vouches for it."""
        return self.authority.simulated or self.worker.simulated


def verify_worker(
    given: inference_pb2.Description, council: VerifiedCouncil, service: str, *, now: int
) -> ServedWorker:
    """Verify what a host tells of a worker. Raises `OfferRefused`, which says at which step."""
    return _Chain(given, council, service, now).verified()


def verify_renewed(given: inference_pb2.Description, known: ServedWorker) -> ServedWorker:
    """The newer offer of a worker that was verified before. Raises `OfferRefused`.

    Its lease, key and terms are those that were verified; only the offer is new.
    """
    with _step("offer"):
        if parse_envelope(given.lease).digest != known.lease.digest:
            raise _differs("lease", known.lease.digest, "another lease")
        offer = _verify_offer(given.offer, known.key, known.lease, known.terms)
        if offer.document.number < known.offer.document.number:
            number = known.offer.document.number
            raise _differs("number", f"at least {number}", str(offer.document.number))
    return replace(known, offer=offer)


class _Chain:
    """One verification; `checks` grows with what has held."""

    def __init__(
        self, given: inference_pb2.Description, council: VerifiedCouncil, service: str, now: int
    ) -> None:
        self._given = given
        self._council = council
        self._service = service
        self._now = now
        self._key = VerifierKey.from_text(council.log)
        self._notes: list[bytes] = []
        self.checks: list[Check] = []

    def verified(self) -> ServedWorker:
        try:
            return self._verified()
        except OfferRefused as refused:
            refused.checks = tuple(self.checks)
            raise

    def _verified(self) -> ServedWorker:
        given = self._given
        with _step("proposal"):
            proposal, judged = self._proposal()  # 1
            launched_for = proposal.document.work.launch_digest
        with _step("authority"):
            boot = self._entry(given.boot, "boot")
            authority = self._enclave(
                "authority", boot, "identity", given.authority_identity, given.authority_evidence
            )  # 2
            self._same("authority boot", boot["boot"], authority.identity.boot)
        with _step("lease"):
            lease, leased = self._lease(authority.identity)  # 3
        with _step("ticket"):
            judged(lease.document.constitution, Times(*leased["at"]))  # 4
            self._window(proposal.document)
        with _step("worker"):
            joined = self._entry(given.join, "join", before=given.lease_entry)
            self._same("worker identity", lease.document.worker, joined["worker"])
            self._same("worker launched_for in the log", launched_for, joined["launched_for"])
            worker = self._enclave(
                "worker",
                joined,
                "worker",
                given.worker_identity,
                given.worker_evidence,
                launched_for,
            )  # 5
        with _step("offer"):
            key = PublicKey(worker.identity.signing)
            offer = _verify_offer(given.offer, key, lease, proposal.document.serve)  # 6
            self._held("offer", "signed by the worker", f"offer {offer.document.number}")
        return ServedWorker(
            proposal=proposal,
            lease=lease,
            offer=offer,
            authority=authority,
            worker=worker,
            key=key,
            notes=tuple(dict.fromkeys(self._notes)),
            checks=tuple(self.checks),
        )

    def _proposal(self) -> tuple[Signed[Proposal], Callable[[str, Times], object]]:
        """The proposal, and how it is judged with its ballots under a constitution."""
        given, council = self._given.ticket, self._council
        self._same("proposal", self._service, parse_envelope(given.proposal).digest)
        ticket = Ticket(given.proposal, tuple(given.ballots))
        proposal, ballots = verify_papers(ticket, council.chain, council.charter.digest)
        self._held("proposer", proposal.document.proposer, "signed")
        self._same("action", "serve", proposal.document.action)

        def judged(constitution: str, times: Times) -> None:
            in_force = council.under(constitution)
            check_carried(council.chain, constitution, proposal, ballots)
            account = judge_ticket(proposal, ballots, in_force, times, None).account
            rules = ", ".join(rule.rule for rule in account.rules) or "no rule"
            self._held("ticket", rules, f"{len(ballots)} ballot(s)")

        return proposal, judged

    def _lease(self, authority: Identity) -> tuple[Signed[Lease], Json]:
        given, charter = self._given, self._council.charter.digest
        entry = self._entry(given.lease_entry, "lease")
        key = PublicKey(authority.signing)
        lease = verify_signed(given.lease, Lease, lambda _: [key])
        said = lease.document
        for claim, expected, found in (
            ("lease in the log", lease.digest, entry["lease"]),
            ("lease charter", charter, said.header.charter),
            ("lease boot", authority.boot, said.boot),
            ("lease proposal", self._service, said.proposal),
            ("lease proposal in the log", self._service, entry["proposal"]),
            ("lease worker in the log", said.worker, entry["worker"]),
        ):
            self._same(claim, expected, found)
        if LogProof.from_bytes(given.boot.proof).index >= self._index(given.lease_entry):
            raise _differs("boot", "an entry before the lease", "a later one")
        return lease, entry

    def _enclave(
        self,
        role: str,
        entry: Json,
        name: str,
        identity: bytes,
        evidence: bytes,
        launched_for: str | None = None,
    ) -> Attested:
        """An enclave that an entry names: genuine when the authority verified it, wanted now."""
        self._same(f"{role} identity", entry[name], digest_of(identity))
        self._same(f"{role} evidence", entry["evidence"], digest_of(evidence))
        council, nonce = self._council, bytes.fromhex(entry["nonce"])
        expected = Expected(role, council.log, council.charter.digest, nonce)
        found = verify_genuine(identity, evidence, expected, at=Times(*entry["at"]).at_most)
        attested = found.appraise(council.policy(role), now=self._now, launched_for=launched_for)
        self.checks += (replace(c, name=f"{role} {c.name}") for c in attested.checks)
        return attested

    def _window(self, proposal: Proposal) -> None:
        if self._now > proposal.not_after:
            raise _differs("window", f"until {proposal.not_after}", str(self._now))

    def _entry(
        self,
        given: inference_pb2.LoggedEntry,
        kind: str,
        before: inference_pb2.LoggedEntry | None = None,
    ) -> Json:
        """An entry that the log has, of this kind, and where it is asked for before another."""
        if len(given.entry) > MAX_ENTRY_BYTES:
            raise _differs(f"{kind} entry", f"at most {MAX_ENTRY_BYTES} bytes", "more")
        verify_proof(given.proof, leaf_hash(given.entry), self._key)
        proof, index = LogProof.from_bytes(given.proof), self._index(given)
        if before is not None and index >= self._index(before):
            raise _differs(f"{kind} entry", "an entry before the lease", "a later one")
        entry = parse_object(given.entry, MAX_ENTRY_BYTES)
        self._same(f"{kind} entry", kind, str(entry.get("kind")))
        self._held(f"{kind} in the log", "signed by the log's key", f"entry {index}")
        self._notes.append(proof.checkpoint)
        return entry

    def _index(self, given: inference_pb2.LoggedEntry) -> int:
        return LogProof.from_bytes(given.proof).index

    def _same(self, claim: str, expected: str, found: str) -> None:
        if expected != found:
            raise _differs(claim, expected, found)
        self._held(claim, expected, found)

    def _held(self, name: str, expected: str, found: str) -> None:
        self.checks.append(Check(name, expected, found, passed=True))


def _verify_offer(
    envelope: bytes, key: PublicKey, lease: Signed[Lease], terms: Serve
) -> Signed[Offer]:
    offer = verify_signed(envelope, Offer, lambda _: [key])
    check_layout(offer)
    said = offer.document
    header = answer_header(lease.document, lease.digest, Offer.KIND, said.number)
    shown = sorted(answer.name for answer in said.answers)
    for claim, expected, found in (
        ("charter", lease.document.header.charter, said.header.charter),
        ("header", str(header), str(said.header)),
        ("lease", lease.digest, said.lease),
        ("worker", lease.document.worker, said.worker),
        ("answers", ", ".join(sorted(terms.answers)), ", ".join(shown)),
    ):
        if expected != found:
            raise _differs(claim, expected, found)
    return offer


@contextmanager
def _step(name: str) -> Generator[None]:
    """Whatever does not hold in this block is an `OfferRefused` of this step."""
    try:
        yield
    except (Refusal, KeyError, ValueError) as error:
        told, details = "It is not of that form.", dict[str, str]()
        if isinstance(error, Refusal):
            told, details = str(error), error.details
        compared = {k: v for k, v in details.items() if k in ("expected", "actual")}
        raise OfferRefused(
            f"The worker is not to be believed, by its {name}: {told} Nothing was sent to it; "
            "report the host.",
            claim=name,
            **compared,
        ) from None


def _differs(claim: str, expected: str, found: str) -> LogEntryInvalid:
    """Two values that had to be one; `_step` says of which step."""
    return LogEntryInvalid(f"{claim} is not what it has to be.", expected=expected, actual=found)
