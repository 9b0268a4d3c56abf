# SPDX-License-Identifier: Apache-2.0
"""Auditing a log from a host: every decision is made again from the documents that the host gives
out.

What the host does not give is listed as not checked. That nothing was done without an entry, no
replay can show.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from placet.attestation import (
    Attested,
    Expected,
    Genuine,
    Policy,
    verify_genuine,
)
from placet.auditing.audit import AuditReport, audit
from placet.client.errors import Refused
from placet.client.services.services import ServiceOperations
from placet.governance.codec import Json, parse_object
from placet.governance.ledger import missing_document
from placet.governance.log import MAX_ENTRY_BYTES

_AT_ONCE = 16


class AuditOperations(ServiceOperations):
    """The audit of the whole log."""

    async def audit(self) -> AuditReport:
        """Fetch checkpoint, entries and documents, and judge all of it again.

        Raises `EntryInvalid` for the first entry that does not come out as the log has it,
        `LogError`, or what a call raises. What could not be checked is in the report.
        """
        await self._session.read()
        memory = self._session.memory
        entries = tuple(memory.entries())
        documents = GivenDocuments(await self._documents(digests_in(entries)))
        charter = self._session.charter()
        return await asyncio.to_thread(
            audit, entries, documents, charter, memory.note, attest=attest
        )

    async def _documents(self, digests: Iterable[str]) -> dict[str, bytes]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def fetch(digest: str) -> tuple[str, bytes | None]:
            async with slots:
                try:
                    return digest, await self.document(digest)
                except Refused as refused:
                    if refused.reason != "DOCUMENT_NOT_FOUND":
                        raise
                    return digest, None

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fetch(digest)) for digest in digests]
        found = (task.result() for task in tasks)
        return {digest: data for digest, data in found if data is not None}


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

    def appraise(self, policy: Json, *, now: int) -> Attested:
        return self.genuine.appraise(Policy.from_dict(policy), now=now)


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
    """Verify evidence as the authority did when it made the entry. Raises `AttestationError`."""
    expected = Expected(role, log, charter, nonce)
    return _Found(verify_genuine(identity, evidence, expected, at=at))


def digests_in(entries: Iterable[bytes]) -> tuple[str, ...]:
    """Every digest that entries name, each once."""
    named: dict[str, None] = {}
    for entry in entries:
        for value in parse_object(entry, MAX_ENTRY_BYTES).values():
            if isinstance(value, str) and value.startswith("sha256:"):
                named[value] = None
    return tuple(named)
