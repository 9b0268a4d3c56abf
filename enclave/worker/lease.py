# SPDX-License-Identifier: Apache-2.0
"""Believing a lease: everything is verified before a key is opened, and the ticket is judged here a second time."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Self

from placet.enclave.errors import LeaseInvalid
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
from placet.governance.errors import LeaseExpired
from placet.governance.evaluate import InForce, Ticket, check_log, verify_ticket
from placet.governance.log import leaf_hash, verify_proof
from placet.proto.v1 import enclaves_pb2
from placet.sealing import StreamKey, open_envelope, seal_envelope


@dataclass(frozen=True, slots=True)
class OpenedLease:
    """A lease that was verified, the proposal it is for, and the keys of its inputs: open within a `with` block."""

    lease: Signed[Lease]
    proposal: Signed[Proposal]
    keys: dict[str, StreamKey]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for key in self.keys.values():
            key.wipe()


def open_lease(
    package: enclaves_pb2.LeasePackage, member: Membership, program: str, now: int
) -> OpenedLease:
    """Verify a lease and open its keys.

    1. the lease is signed by the boot key of the authority that we joined, for this boot, this log, and us;
    2. its deadline has not passed;
    3. its entry is in the log, under a checkpoint of the log's key;
    4. the ticket is valid on paper under the constitution it names, and is the one that the lease is for;
    5. the proposal's program is the one that we are bound to;
    6. only then are the keys opened; each is the one that its descriptor commits to.
    """
    lease = verify_signed(package.lease, Lease, lambda _: [member.authority.signing])
    _check_names(lease.document, member, now)
    _check_logged(package, lease.digest, member)
    proposal = _second_opinion(package, lease.document, member, now)
    if proposal.document.job.program != program:
        raise _invalid("program", program, proposal.document.job.program)
    return OpenedLease(lease, proposal, _open_keys(package, lease.digest, proposal, member))


def rehearse(member: Membership) -> None:
    """Do once, on what is our own, what a lease will need: a worker has one lease, and first uses are slow."""
    prepare(Lease, Proposal, Ballot)
    signed = sign_payload(b"{}", "rehearsal", member.keys.signing)
    verified_signers(parse_envelope(signed), [member.keys.signing.public])
    sealed = seal_envelope(bytes(32), member.keys.hpke.public, b"rehearsal")
    open_envelope(sealed, member.keys.hpke, b"rehearsal")


def _check_names(lease: Lease, member: Membership, now: int) -> None:
    """Steps 1 and 2."""
    check_log(lease.header.log, member.log.to_text())
    if lease.boot != member.authority.identity.boot:
        raise _invalid("boot", member.authority.identity.boot, lease.boot)
    if lease.worker != member.keys.identity.digest:
        raise _invalid("worker", member.keys.identity.digest, lease.worker)
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
        raise _invalid("entry", f"a lease entry of {digest}", str(entry.get("kind")))


def _second_opinion(
    package: enclaves_pb2.LeasePackage, lease: Lease, member: Membership, now: int
) -> Signed[Proposal]:
    """Step 4. Stops, uses and grants are the authority's to judge: they are not on paper."""
    # The newest that we hold: whoever joined before an amendment gets no lease after it.
    newest = list(member.constitutions)[-1]
    if lease.constitution != newest:
        raise _invalid("constitution", newest, lease.constitution)
    in_force = InForce(member.constitutions[newest], newest, member.log.to_text())
    ticket = Ticket(package.ticket.proposal, tuple(package.ticket.ballots))
    valid = verify_ticket(ticket, in_force, Times(now, now))
    if valid.proposal.digest != lease.proposal:
        raise _invalid("proposal", lease.proposal, valid.proposal.digest)
    return valid.proposal


def _open_keys(
    package: enclaves_pb2.LeasePackage, digest: str, proposal: Signed[Proposal], member: Membership
) -> dict[str, StreamKey]:
    """Step 6."""
    plain = open_envelope(package.key_envelope, member.keys.hpke, lease_info(digest))
    try:
        keys = {
            name: StreamKey(base64.b64decode(text, validate=True))
            for name, text in json.loads(plain).items()
        }
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise _invalid("key_envelope", "one key an input", "other bytes") from None
    inputs = proposal.document.job.inputs
    if keys.keys() != inputs.keys():
        raise _invalid("key_envelope", "one key an input", "other inputs")
    for name, key in keys.items():
        key.verify_commitment(inputs[name].object.commitment)
    return keys


def _invalid(claim: str, expected: str, actual: str) -> LeaseInvalid:
    return LeaseInvalid(
        f"The lease does not hold together at {claim}.",
        claim=claim,
        expected=expected,
        actual=actual,
    )
