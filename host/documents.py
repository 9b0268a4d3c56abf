# SPDX-License-Identifier: Apache-2.0
"""The little that the host reads in documents, so that it can queue, warm up and delete.

Nothing here decides whether a job may run: that is the authority's. Only the deletion of a blob is
the host's own affair, so only there a signature is checked.
"""

import functools
from dataclasses import dataclass, field

from placet.governance.documents import (
    Action,
    Ballot,
    Bearers,
    Delete,
    Federate,
    Layout,
    Proposal,
    Serve,
    Stop,
    Update,
)
from placet.governance.envelope import inspect, parse_envelope, payload_type, verify_signed
from placet.governance.keys import PublicKey
from placet.governance.state import State
from placet.governance.text import brief
from placet.proto.v1 import common_pb2
from placet.refusals import NotPermitted, PayloadType, Refusal
from placet.sealing import sealed_length, segment_count


@dataclass(frozen=True, slots=True)
class FederationFacts:
    """Of a federation: how many rounds, who may send updates, and the length of an update's sealed
    stream."""

    rounds: int
    roster: tuple[str, ...]
    sealed_bytes: int


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What the host plans by. `proposal` and `program` are digests; `not_after` is in Unix seconds.

    `named` are the principals that may start it: its proposer, and whom its body names. `bearers`
    says whether a service is for whoever holds a token. `terms` are those of a federation or a
    service in canonical JSON, b"" of a job. Its workers are launched for them, so their digest is
    its program; two proposals of the same terms have one program, as two jobs may.
    """

    proposal: str
    program: str
    uses: int
    not_after: int
    named: frozenset[str] = frozenset()
    bearers: bool = False
    action: Action = "job"
    terms: bytes = field(default=b"", repr=False)
    federation: FederationFacts | None = None

    @property
    def serves(self) -> bool:
        """Whether it is of a service."""
        return self.action == "serve"

    @property
    def bundle(self) -> str:
        """Id of the blob that holds the program's bundle, or the terms."""
        return bundle_of(self.program)


def bundle_of(program: str) -> str:
    """Id of the blob that holds what the workers of a program are launched with."""
    return program.removeprefix("sha256:")[:32]


def read_ticket(ticket: common_pb2.Ticket) -> TicketFacts:
    """What a ticket asks for. Raises governance's typed refusals if it is no proposal of work."""
    return _read_proposal(ticket.proposal)


def read_stored(ticket: bytes) -> TicketFacts | None:
    """What a stored ticket asks for; None if this version of governance reads it no more."""
    try:
        return read_ticket(common_pb2.Ticket.FromString(ticket))
    except Exception:  # noqa: BLE001
        return None


def is_for_bearers(envelope: bytes) -> bool:
    """Whether a document is the proposal of a service for bearers of tokens, who log in
    nowhere."""
    try:
        return _read_proposal(envelope).bearers
    except Refusal:
        return False


def is_public(state: State, digest: str, document: bytes) -> bool:
    """Whether strangers are given a document: charter, constitutions, and proposals of services for
    bearers of tokens."""
    return digest in (state.charter, *state.constitutions) or is_for_bearers(document)


def proposal_of(envelope: bytes) -> str:
    """The proposal that a ballot is for; of any other document its own digest."""
    raw = parse_envelope(envelope)
    is_ballot = raw.payload_type == payload_type(Ballot)
    return inspect(envelope, Ballot).proposal if is_ballot else raw.digest


@functools.lru_cache(maxsize=64)  # a ticket of many uses is submitted as often
def _read_proposal(envelope: bytes) -> TicketFacts:
    proposal = inspect(envelope, Proposal)
    work, federation = proposal.work, None
    if isinstance(work, Federate):
        federation = FederationFacts(work.rounds, work.roster, _sealed_bytes(work.layout))
    return TicketFacts(
        proposal=parse_envelope(envelope).digest,
        program=work.launch_digest,
        uses=proposal.uses,
        not_after=proposal.not_after,
        named=_named(proposal),
        bearers=isinstance(work, Serve) and isinstance(work.users, Bearers),
        action=proposal.action,
        terms=work.terms,
        federation=federation,
    )


def _named(proposal: Proposal) -> frozenset[str]:
    work = proposal.work
    recipients = (recipient.id for recipient in work.recipients)
    return frozenset((proposal.proposer, *work.touched_owners, *work.audience, *recipients))


def _sealed_bytes(layout: Layout) -> int:
    segments = segment_count(layout.update_bytes, layout.segment_bytes)
    return sealed_length(layout.update_bytes, segments)


@dataclass(frozen=True, slots=True)
class UpdateFacts:
    """Which federation an update is for, and the blob that holds its sealed stream."""

    federation: str
    blob: str


def read_update(envelope: bytes) -> UpdateFacts:
    """What an update names. Raises governance's typed refusals if it is none."""
    update = inspect(envelope, Update)
    return UpdateFacts(update.federation, update.object)


def check_stop(envelope: bytes) -> None:
    """Refuse what does not say that it is a stop. Raises `PayloadType` or `DocumentMalformed`."""
    found = parse_envelope(envelope).payload_type
    if found != payload_type(Stop):
        raise PayloadType(
            "A stop was expected. Log in, and send other documents by their own calls.",
            claim="payloadType",
            expected=payload_type(Stop),
            actual=brief(found, 80),
        )


def verify_deletion(envelope: bytes, *, blob: str, owner: str, charter: str) -> str:
    """The digest of a document by which the owner of a blob has it deleted.

    `charter` is the digest of the log's, or "": the document must be for that council. Raises
    `NotPermitted` or governance's typed refusals.
    """
    if not owner:
        raise NotPermitted("The blob was put without an owner; only the operator can delete it.")
    signed = verify_signed(envelope, Delete, lambda _: (PublicKey(owner),))
    if signed.document.blob != blob:
        raise NotPermitted("The document is about another blob.", claim="blob", expected=blob)
    if charter and signed.document.header.charter != charter:
        raise NotPermitted(
            "The document is for another council.", claim="charter", expected=charter
        )
    return signed.digest


def check_owner(owner: str) -> None:
    """Refuse an owner that is no public key in its text form; empty is allowed."""
    if owner:
        PublicKey(owner)
