# SPDX-License-Identifier: Apache-2.0
"""Believing a lease: everything is verified before a key is opened, and the ticket is judged here a
second time.

Whose signatures a ticket has depends on its bytes alone, so the one that the host expects is read
while the worker is idle (`read_ticket`). Whether it is valid is judged when the lease is here; a
lease for another ticket has that one read first.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Self

from placet.enclave.worker.joining import Membership
from placet.governance.account import Times
from placet.governance.codec import parse_object, prepare
from placet.governance.contexts import lease_info
from placet.governance.documents import Ballot, Lease, Proposal
from placet.governance.envelope import (
    Signed,
    parse_envelope,
    sign_payload,
    verified_signers,
    verify_signed,
)
from placet.governance.evaluate import (
    InForce,
    Ticket,
    check_charter,
    judge_ticket,
)
from placet.governance.judgements.carried import check_carried, verify_papers
from placet.governance.log import leaf_hash, verify_proof
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import LeaseExpired, LeaseInvalid
from placet.sealing import StreamKey, open_envelope, seal_envelope


@dataclass(frozen=True, slots=True)
class VerifiedLease:
    """A lease that was verified, and the proposal it is for. Its keys have not been opened."""

    lease: Signed[Lease]
    proposal: Signed[Proposal]


@dataclass(frozen=True, slots=True)
class OpenedLease:
    """A lease of a job or service that was verified, its proposal, and the keys of its inputs: open
    within a `with` block."""

    lease: Signed[Lease]
    proposal: Signed[Proposal]
    keys: dict[str, StreamKey]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in self.keys.values():
            key.wipe()


@dataclass(frozen=True, slots=True)
class ReadTicket:
    """A ticket, and its documents, verified under the constitutions that the worker holds."""

    ticket: Ticket
    proposal: Signed[Proposal]
    ballots: tuple[Signed[Ballot], ...]


def read_ticket(message: common_pb2.Ticket, member: Membership) -> ReadTicket:
    """Verify the documents of a ticket. Raises as `verify_papers`."""
    ticket = _ticket(message)
    return ReadTicket(ticket, *verify_papers(ticket, member.constitutions, member.charter))


def verify_lease(
    package: enclaves_pb2.LeasePackage,
    member: Membership,
    launched_for: str,
    now: int,
    expected: ReadTicket | None = None,
) -> VerifiedLease:
    """Verify a lease. `launched_for` is what we were launched for; `expected` saves reading its
    ticket, if it is the one.

    1. the lease is signed by the boot key of the authority that we joined, for this boot, this
       council, and us;
    2. its deadline has not passed;
    3. its entry is in the log, under a checkpoint of the log's key;
    4. the ticket is valid on paper under the newest constitution, to which it was carried, and is
       the one that the lease is for;
    5. what the proposal asks to be launched for is what we are bound to.
    Only then may the keys be opened, by the caller.
    """
    lease = verify_signed(package.lease, Lease, lambda _: [member.authority.signing])
    _check_names(lease.document, member, now)
    _check_logged(package, lease.digest, member)
    proposal = _second_opinion(package.ticket, lease.document, member, now, expected)
    if proposal.document.work.launch_digest != launched_for:
        raise lease_invalid("program", launched_for, proposal.document.work.launch_digest)
    return VerifiedLease(lease, proposal)


def open_lease(
    package: enclaves_pb2.LeasePackage,
    member: Membership,
    program: str,
    now: int,
    expected: ReadTicket | None = None,
) -> OpenedLease:
    """Verify a lease of a job or service and open its keys, each the one that its input's
    descriptor commits to."""
    verified = verify_lease(package, member, program, now, expected)
    return OpenedLease(verified.lease, verified.proposal, _open_keys(package, verified, member))


def open_key_envelope(
    package: enclaves_pb2.LeasePackage, verified: VerifiedLease, member: Membership
) -> bytes:
    """The secret that came sealed to us with a lease that was verified. Raises what `open_envelope`
    raises."""
    info = lease_info(verified.lease.digest)
    return open_envelope(package.key_envelope, member.keys.hpke, info)


def rehearse(member: Membership) -> None:
    """Do once, on what is our own, what a lease will need: a worker has one lease, and first uses
    are slow."""
    prepare(Lease, Proposal, Ballot)
    signed = sign_payload(b"{}", "rehearsal", member.keys.signing)
    verified_signers(parse_envelope(signed), [member.keys.signing.public])
    sealed = seal_envelope(bytes(32), member.keys.hpke.public, b"rehearsal")
    open_envelope(sealed, member.keys.hpke, b"rehearsal")


def _check_names(lease: Lease, member: Membership, now: int) -> None:
    """Steps 1 and 2."""
    check_charter(lease.header.charter, member.charter)
    if lease.boot != member.authority.attested.identity.boot:
        raise lease_invalid("boot", member.authority.attested.identity.boot, lease.boot)
    if lease.worker != member.keys.identity.digest:
        raise lease_invalid("worker", member.keys.identity.digest, lease.worker)
    if now > lease.deadline:
        raise LeaseExpired(
            "The lease's deadline has passed. The job needs another attempt.",
            claim="deadline",
            expected=f"at or after {now}",
            actual=str(lease.deadline),
        )


def _check_logged(package: enclaves_pb2.LeasePackage, digest: str, member: Membership) -> None:
    """Step 3."""
    verify_proof(package.proof, leaf_hash(package.entry), member.log)
    entry = parse_object(package.entry)
    if (entry.get("kind"), entry.get("lease")) != ("lease", digest):
        raise lease_invalid("entry", f"a lease entry of {digest}", str(entry.get("kind")))


def _second_opinion(
    ticket: common_pb2.Ticket,
    lease: Lease,
    member: Membership,
    now: int,
    read: ReadTicket | None,
) -> Signed[Proposal]:
    """Step 4, on paper. The authority judges what only the log shows: stops, uses, grants, and the
    demands that the account names as not judged."""
    in_force = _in_force(member)
    if lease.constitution != in_force.digest:
        raise lease_invalid("constitution", in_force.digest, lease.constitution)
    if read is None or read.ticket != _ticket(ticket):
        read = read_ticket(ticket, member)
    check_carried(member.constitutions, in_force.digest, read.proposal, read.ballots)
    valid = judge_ticket(read.proposal, read.ballots, in_force, Times(now, now), None)
    if valid.proposal.digest != lease.proposal:
        raise lease_invalid("proposal", lease.proposal, valid.proposal.digest)
    return valid.proposal


def _in_force(member: Membership) -> InForce:
    """The newest constitution that we hold: whoever joined before an amendment gets no lease after
    it."""
    newest = list(member.constitutions)[-1]
    return InForce(member.constitutions[newest], newest, member.charter)


def _ticket(message: common_pb2.Ticket) -> Ticket:
    return Ticket(message.proposal, tuple(message.ballots))


def _open_keys(
    package: enclaves_pb2.LeasePackage, verified: VerifiedLease, member: Membership
) -> dict[str, StreamKey]:
    plain = open_key_envelope(package, verified, member)
    try:
        keys = {
            name: StreamKey(base64.b64decode(text, validate=True))
            for name, text in json.loads(plain).items()
        }
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise lease_invalid("key_envelope", "one key an input", "other bytes") from None
    inputs = verified.proposal.document.work.inputs
    if keys.keys() != inputs.keys():
        raise lease_invalid("key_envelope", "one key an input", "other inputs")
    for name, key in keys.items():
        key.verify_commitment(inputs[name].object.commitment)
    return keys


def lease_invalid(claim: str, expected: str, actual: str) -> LeaseInvalid:
    """The refusal of a lease by the part of it that is not as it has to be."""
    return LeaseInvalid(
        f"The lease does not hold together at {claim}.",
        claim=claim,
        expected=expected,
        actual=actual,
    )
