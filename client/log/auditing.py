# SPDX-License-Identifier: Apache-2.0
"""Auditing a log from a host: every decision is made again from the documents that the host gives
out.

What the host does not give is listed as not checked. That nothing was done without an entry, no
replay can show.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from placet.attestation import (
    Claims,
    Expected,
    Genuine,
    Identity,
    Policy,
    verify_genuine,
)
from placet.auditing.entry_form import has_form, named_documents
from placet.governance.codec import Json, parse_object
from placet.governance.ledger import missing_document
from placet.governance.log import MAX_ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class GivenDocuments:
    """Documents by digest, as somebody gave them; the audit checks that they have it."""

    documents: dict[str, bytes]

    def envelope(self, digest: str) -> bytes:
        """Raises `DocumentNotFound`."""
        if digest not in self.documents:
            raise missing_document(digest)
        return self.documents[digest]


@dataclass(frozen=True, slots=True)
class _Found:
    """A genuine enclave, and policies as an audit has them."""

    genuine: Genuine

    def appraise(self, policy: Json, *, now: int) -> "_Wanted":
        return _Wanted(self.genuine.appraise(Policy.from_dict(policy), now=now).genuine)


@dataclass(frozen=True, slots=True)
class _Wanted(_Found):
    """A genuine enclave that a policy wants: a further one gets what that made of its claims."""

    @property
    def identity(self) -> Identity:
        return self.genuine.identity

    @property
    def claims(self) -> Claims:
        return self.genuine.claims


def attest(
    identity: bytes,
    evidence: bytes,
    *,
    role: str,
    log: str,
    charter: str,
    nonce: bytes,
    at: int,
) -> _Found:
    """Verify evidence as the authority did when it made the entry. Raises as
    `verify_genuine`."""
    expected = Expected(role, log, charter, nonce)
    return _Found(verify_genuine(identity, evidence, expected, at=at))


def digests_in(entries: Iterable[bytes]) -> tuple[str, ...]:
    """The digest of every document that the audit of these entries takes, each once.

    Of an entry that has not the form of its kind it takes none: the audit ends there.
    """
    parsed = (parse_object(entry, MAX_ENTRY_BYTES) for entry in entries)
    named = (named_documents(entry) for entry in parsed if has_form(entry))
    return tuple(dict.fromkeys(chain.from_iterable(named)))
