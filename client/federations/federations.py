# SPDX-License-Identifier: Apache-2.0
"""Federations: take part, and fetch a round's model. They are started and followed as runs."""

from pathlib import Path

from placet.client.connection.connection import Connection
from placet.client.council.authority import AsyncAuthority
from placet.client.council.council import AsyncCouncil
from placet.client.data.blobs import AsyncBlobs
from placet.client.data.objects import Progress
from placet.client.federations.exchange import Exchange
from placet.client.federations.models import RoundModel
from placet.client.federations.rounds import AsyncFederation, Participant
from placet.client.federations.updates import Bound
from placet.client.keys import Keys
from placet.client.log.reader import LogReader
from placet.client.runs.runs import AsyncRuns
from placet.refusals import NotOnRoster


class AsyncFederations:
    """Federations: rounds in which the updates of a roster become one model.

    `outbox`: the folder for sealed updates without a receipt yet, where a home folder has one.
    """

    def __init__(
        self,
        connection: Connection,
        log: LogReader,
        council: AsyncCouncil,
        authority: AsyncAuthority,
        runs: AsyncRuns,
        blobs: AsyncBlobs,
        outbox: Path | None,
    ) -> None:
        self._connection = connection
        self._log = log
        self._council = council
        self._authority = authority
        self._exchange = Exchange(connection, log, council, runs, blobs)
        self._outbox = outbox

    async def join(
        self,
        id: str,
        keys: Keys,
        *,
        bound: Bound | None = None,
        outbox: Path | None = None,
        patience: float = 60.0,
    ) -> AsyncFederation:
        """Take part in a federation, by the digest of its proposal or enough of its beginning.

        1. The proposal and the ballots for it are verified, and judged as `Council.account` does.
        2. These keys are of a client of the roster.
        3. The authority's evidence, for a fresh nonce, satisfies the constitution's policy.

        `bound` is what an update may bring the client's whole privacy ledger to (None: anything).
        `outbox` is the folder for what was sealed and has no receipt yet; without one, and without
        a home folder, it is kept in memory. `patience`: for how many seconds on end the host or its
        authority may be away. Raises the account's first refusal, `NotOnRoster`, what
        `Authority.verify` raises, `EvidenceSimulated`, or what a call raises.
        """
        self._connection.access.use(keys)
        record = await self._council.find(id)
        account = await self._council.account(await self._council.ticket(record))
        if account.refusals:  # 1
            raise account.refusals[0]
        roster, known = record.document.federate.roster, record.rules.keys_of(keys.id)
        if keys.id not in roster or keys.signing.public not in known:  # 2
            raise NotOnRoster(
                f"{keys.id}, with this key, is no client of the federation. Use the key that the "
                "constitution lists.",
                claim="client",
                expected=", ".join(roster)[:500],
                actual=keys.id,
            )
        authority = await self._authority.verify()  # 3
        self._connection.check_simulated(authority.attested.simulated)
        where = outbox or self._outbox
        return AsyncFederation(
            Participant(self._exchange, record.proposal, keys, bound or Bound(), where, patience)
        )

    async def model(
        self, id: str, keys: Keys, round: int | None = None, *, progress: Progress | None = None
    ) -> RoundModel:
        """The model of a round, None: the newest that the log has. Round 0 is the initial one.

        Takes the keys of a client of the roster. Raises `Refused` (MODEL_NOT_RELEASED),
        `ReceiptInvalid`, `SignatureInvalid`, `LogProofInvalid`, `EnvelopeForged`,
        `ObjectRootMismatch`, `StateRefused`, or what reading the log raises.
        """
        self._connection.access.use(keys)
        proposal = (await self._council.find(id)).proposal
        if round is None:
            round = self._exchange.newest(proposal.digest)
        return await self._exchange.model(proposal, keys, round, progress)
