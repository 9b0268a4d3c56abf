# SPDX-License-Identifier: Apache-2.0
"""The authority: whom a client believes by its evidence."""

import os

from placet.attestation import NONCE_BYTES, Policy
from placet.client.connection.connection import Connection
from placet.client.council.council import AsyncCouncil
from placet.client.log.reader import LogReader
from placet.client.trust.artifacts import EvidenceFile
from placet.client.trust.verify import VerifiedAuthority
from placet.proto.v1 import keys_pb2


class AsyncAuthority:
    """The authority that this host runs, and its evidence."""

    def __init__(self, connection: Connection, log: LogReader, council: AsyncCouncil) -> None:
        self._connection = connection
        self._log = log
        self._council = council

    async def evidence(self, constitution: str = "") -> EvidenceFile:
        """The authority's evidence for a fresh nonce, not verified.

        Before the founding it is about a log for the genesis constitution of this digest.
        """
        nonce = os.urandom(NONCE_BYTES)
        request = keys_pb2.EvidenceRequest(nonce=nonce, constitution=constitution)
        answer = await self._connection.ask(self._connection.keys.GetEvidence, request)
        return EvidenceFile(answer.identity, answer.evidence, answer.checkpoint, nonce)

    async def verify(self, policy: Policy | None = None) -> VerifiedAuthority:
        """Make sure, with a fresh nonce, that the authority is what a policy wants (None: the
        constitution's).

        Raises one of `placet.attestation.belief.NOT_BELIEVED`, or what reading the log and a call
        raise.
        """
        if policy is None:
            policy = (await self._council.verify()).policy("authority")
        log, before = self._log, self._log.memory.newest()
        key = (await log.key()).to_text()
        answer = await self.evidence()
        now = self._connection.now()
        verified = answer.verify(policy, now=now, log=key, charter=log.charter())
        await log.accept(answer.checkpoint, before)
        return verified
