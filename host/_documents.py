# SPDX-License-Identifier: Apache-2.0
"""The little that the host reads in documents, so that it can queue, warm up and delete.

Nothing here decides whether a job may run: that is the authority's. Only the deletion of a blob is
the host's own affair, so only there a signature is checked.
"""

import functools
from dataclasses import dataclass

from placet.governance.documents import Charter, Delete, Proposal
from placet.governance.envelope import inspect, parse_envelope, verify_signed
from placet.governance.keys import PublicKey
from placet.host.errors import NotPermitted
from placet.proto.v1 import common_pb2


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What the host plans by. `proposal` and `program` are digests; `not_after` is in Unix seconds."""

    proposal: str
    program: str
    uses: int
    not_after: int

    @property
    def bundle(self) -> str:
        """Id of the blob that holds the program's bundle."""
        return self.program.removeprefix("sha256:")[:32]


def read_ticket(ticket: common_pb2.Ticket) -> TicketFacts:
    """What a ticket asks for. Raises governance's typed refusals if it is no proposal of a job."""
    return _read_proposal(ticket.proposal)


@functools.lru_cache(maxsize=64)  # a ticket of many uses is submitted as often
def _read_proposal(envelope: bytes) -> TicketFacts:
    proposal = inspect(envelope, Proposal)
    digest = parse_envelope(envelope).digest
    return TicketFacts(digest, proposal.job.program, proposal.uses, proposal.not_after)


def verify_deletion(envelope: bytes, *, blob: str, owner: str, charter: bytes | None) -> str:
    """The digest of a document by which the owner of a blob has it deleted.

    `charter` is the log's charter: the document must be for that log. Raises `NotPermitted` or
    governance's typed refusals.
    """
    if not owner:
        raise NotPermitted("The blob was put without an owner; only the operator can delete it.")
    signed = verify_signed(envelope, Delete, lambda _: (PublicKey(owner),))
    if signed.document.blob != blob:
        raise NotPermitted("The document is about another blob.", claim="blob", expected=blob)
    if charter is not None:
        log = inspect(charter, Charter).header.log
        if signed.document.header.log != log:
            raise NotPermitted("The document is for another log.", claim="log", expected=log)
    return signed.digest


def check_owner(owner: str) -> None:
    """Refuse an owner that is no public key in its text form; empty is allowed."""
    if owner:
        PublicKey(owner)
