# SPDX-License-Identifier: Apache-2.0
"""Federations: start under a ticket, follow, fetch a round's model; `join` is for who takes
part."""

from collections.abc import AsyncIterator
from pathlib import Path

from placet.client.connection.connection import Connection
from placet.client.council.authority import AsyncAuthority
from placet.client.council.council import AsyncCouncil
from placet.client.council.records import ticket_to_wire
from placet.client.data.blobs import AsyncBlobs
from placet.client.data.objects import Progress
from placet.client.errors import AnswerMalformed
from placet.client.federations.exchange import Exchange
from placet.client.federations.models import RoundModel
from placet.client.federations.rounds import AsyncFederation, Participant
from placet.client.federations.status import FederationStatus
from placet.client.federations.updates import Bound
from placet.client.keys import Keys
from placet.client.log.reader import LogReader
from placet.governance.envelope import parse_envelope
from placet.governance.evaluate import Ticket
from placet.governance.federation_state import FederationState
from placet.proto.v1 import federations_pb2
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
        blobs: AsyncBlobs,
        outbox: Path | None,
    ) -> None:
        self._connection = connection
        self._log = log
        self._council = council
        self._authority = authority
        self._exchange = Exchange(connection, log, council, blobs)
        self._outbox = outbox

    async def start(self, ticket: Ticket) -> FederationStatus:
        """Start the federation that a ticket lets happen; once it runs, the same call tells how it
        stands."""
        request = federations_pb2.StartRequest(ticket=ticket_to_wire(ticket))
        told = await self._connection.ask(self._connection.federations.Start, request)
        status = FederationStatus.from_wire(told)
        if status.id != parse_envelope(ticket.proposal).digest:
            raise AnswerMalformed("The host answered with a federation of another proposal.")
        return status

    async def get(self, id: str) -> FederationStatus:
        """A federation as it stands, by the digest of its proposal. Raises `Refused` with
        FEDERATION_NOT_FOUND."""
        request = federations_pb2.GetFederationRequest(id=id)
        told = await self._connection.ask(self._connection.federations.Get, request)
        return FederationStatus.from_wire(told)

    async def list(self) -> tuple[FederationState, ...]:
        """The federations that have had a round, newest first, as the log has them."""
        known = (await self._log.read()).state.federations.values()
        begun = [federation for federation in known if federation.rounds]
        return tuple(sorted(begun, key=lambda each: -each.rounds[0].opened_at))

    def watch(self, id: str, *, patience: float = 60.0) -> AsyncIterator[FederationStatus]:
        """How it stands now, then each change until it has ended; see `Jobs.watch` for
        `patience`."""
        return self._exchange.watch(id, patience)

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
        proposal = (await self._council.find(id)).proposal
        if round is None:
            round = self._exchange.newest(proposal.digest)
        return await self._exchange.model(proposal, keys, round, progress)
