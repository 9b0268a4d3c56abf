# SPDX-License-Identifier: Apache-2.0
"""Taking part in a federation: wait for a round, fetch its model, send an update.

What a round is, which key it has, when it closes, who sits out and what the newest model is: all of
it is read from the log, every entry of it under a checkpoint that the log's key has signed. What
the host tells of the federation only says when it is worth looking again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from placet.client.data.objects import Progress
from placet.client.errors import Unreachable, UsageRefused
from placet.client.federations.exchange import Exchange
from placet.client.federations.models import RoundModel
from placet.client.federations.receipts import VerifiedUpdate
from placet.client.federations.updates import (
    Bound,
    OpenRound,
    Outbox,
    Pending,
    check_noise,
    make_update,
)
from placet.client.federations.vectors import State, Vector, flatten
from placet.client.keys import Keys
from placet.governance.documents import Federate, Header, Proposal
from placet.governance.envelope import Signed
from placet.governance.federation_state import FederationState, Quarantine
from placet.governance.state import PrivacyState
from placet.governance.state import State as LogState
from placet.refusals import ClientQuarantined, Refused, Stopped

T = TypeVar("T")
_log = logging.getLogger("placet.client.federations")

# Called once for each quarantine; if it raises, `rounds` ends with that.
Told = Callable[[ClientQuarantined], object]

_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
# After these the same request may still be granted; after any other refusal it never will be.
_PASSING = frozenset(
    {
        "AUTHORITY_UNAVAILABLE",
        "BLOB_INCOMPLETE",
        "BLOB_NOT_FOUND",
        "BLOB_OFFSET",
        "CLOCK_JUMPED",
        "DEADLINE_PASSED",
        "INTERNAL",
        "QUEUE_FULL",
        "STORE_UNAVAILABLE",
        "UPDATE_NOT_FETCHED",
    }
)
# The host's operator may make room while the round is open.
_NO_ROOM = frozenset({"BLOB_TOO_LARGE"})


class Participant:
    """A client of a federation: its keys, what it sealed and has no receipt for, and its
    patience."""

    def __init__(
        self,
        exchange: Exchange,
        proposal: Signed[Proposal],
        keys: Keys,
        bound: Bound,
        outbox: Path | None,
        patience: float,
    ) -> None:
        self.exchange = exchange
        self.proposal = proposal
        self.keys = keys
        self.bound = bound
        self.outbox = Outbox(outbox, proposal.digest, keys.id)
        self.patience = patience

    @property
    def terms(self) -> Federate:
        """What the council decided on."""
        return self.proposal.document.federate

    async def state(self) -> LogState:
        """What the log folds to now; not to be changed."""
        return (await self.patiently(self.exchange.log.read)).state

    async def model(self, round: int) -> RoundModel:
        """The model of a round."""
        return await self.patiently(lambda: self.exchange.model(self.proposal, self.keys, round))

    async def patiently(self, ask: Callable[[], Awaitable[T]], until: int = 0) -> T:
        """Ask again while the host or its authority is away, or has no place, as when it restarts,
        for as long as the patience lasts, and until a time (Unix seconds) at least."""
        loop = asyncio.get_running_loop()
        patience = self.patience + max(until - self.exchange.now(), 0)
        pause, deadline = _PAUSE, loop.time() + patience
        while True:
            try:
                return await ask()
            except (Refused, Unreachable) as error:
                over = loop.time() + pause > deadline
                if over or (isinstance(error, Refused) and error.reason not in _PASSING):
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class AsyncFederation:
    """A federation with the keys of one of its clients. Made by `Federations.join`."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant

    @property
    def id(self) -> str:
        """The digest of its proposal."""
        return self._participant.proposal.digest

    @property
    def terms(self) -> Federate:
        """What the council decided on."""
        return self._participant.terms

    async def rounds(self, *, told: Told | None = None) -> AsyncIterator["AsyncRound"]:
        """Each round that the client may send to, when it opens and as long as it is open; ends
        when the federation does.

        A round whose update the log has already is left out; one for which an update was sealed
        before a crash is not (see `Round.pending`). While the client is quarantined there is no
        round for it: `told` is called with the refusal that says why (without `told` it is logged),
        and the wait goes on until the quarantine is lifted. Raises `Stopped` or `Refused` where the
        federation was stopped or failed, and what reading the log raises.
        """
        last, until, looked = 0, 0, ("", 0, False)
        own = self._participant
        async for said in own.exchange.runs.watch(self.id, patience=own.patience):
            seen = (said.state, said.federation.round, said.federation.aggregating)
            if seen == looked:
                continue  # another client's update, or some progress
            looked = seen
            state = await own.state()
            if stopped := state.proposals[self.id].stopped:
                raise _stopped(self.id, stopped)
            federation = state.federations.get(self.id)
            sits_out = federation.quarantined.get(own.keys.id) if federation else None
            if sits_out is not None:
                if sits_out.until != until:
                    until = sits_out.until
                    (told or _tell)(quarantined(own.keys.id, sits_out))
            elif federation is not None and self._awaits(federation, last):
                last = federation.current.number
                yield self._round(federation)
            if said.ended:
                if said.refusal is not None:
                    raise said.refusal
                return

    async def receive(self, round: int | None = None) -> RoundModel:
        """The model of a round; None: the newest. See `Federations.model`."""
        if round is None:
            await self._participant.state()
            round = self._participant.exchange.newest(self.id)
        return await self._participant.model(round)

    async def charged(self) -> PrivacyState:
        """The log's charges to this client's privacy ledger, for everything and not for this
        federation alone.

        `placet.governance.privacy.epsilon_at` makes an epsilon of a cost.
        """
        own = self._participant
        return (await own.state()).privacy.get(own.keys.id) or PrivacyState()

    def _awaits(self, federation: FederationState, last: int) -> bool:
        """Whether the client may send to the newest round, and has not, nor been given it as the
        `last` one."""
        current = federation.current
        if current.status != "open" or current.number <= last:
            return False
        sent = current.updates.get(self._participant.keys.id)
        return sent is None or self._participant.outbox.load(current.number) is not None

    def _round(self, federation: FederationState) -> "AsyncRound":
        current = federation.current
        opened = OpenRound(self.id, self.terms, current.number, current.key, current.closes)
        return AsyncRound(self._participant, opened, max(federation.models, default=0))


class AsyncRound:
    """A round that is open, as the log has it. Made by `Federation.rounds`.

    number: from 1. closes: Unix seconds. base: the round whose model it starts from; 0 is the
    initial one.
    """

    number: int
    closes: int
    base: int

    def __init__(self, participant: Participant, opened: OpenRound, base: int) -> None:
        self._participant = participant
        self._opened = opened
        self._base: RoundModel | None = None
        self.number = opened.number
        self.closes = opened.closes
        self.base = base

    @property
    def pending(self) -> bool:
        """Whether an update for it was sealed and has no receipt yet: `send` sends that one,
        whatever it is given."""
        return self._participant.outbox.load(self.number) is not None

    async def model(self) -> State:
        """The arrays that the round starts from, verified; copies, to be trained in place if one
        likes."""
        return (await self._model()).state

    async def send(
        self,
        state: Mapping[str, NDArray[Any]],
        weight: int = 1,
        *,
        noise: float = 0.0,
        generator: np.random.Generator | None = None,
        progress: Progress | None = None,
    ) -> VerifiedUpdate:
        """Send what training made of the model: its difference to it, clipped, encoded and sealed;
        the verified receipt.

        `weight` is how much it counts, at most the terms' largest. `noise` is the standard
        deviation of Gaussian noise that the client adds to each number itself: its own affair,
        which no ledger accounts for. The update is sealed once, and kept until the log has it or
        the round is over: while the host is away or has no place, it is sent again, and a call that
        broke off is repeated by calling it again, also after a crash. Raises `StateRefused` or
        `UsageRefused` before anything is sent, `Refused` (ROUND_NOT_OPEN: too late), and others.
        """
        pending = self._participant.outbox.load(self.number)
        if pending is None:
            base = (await self._model()).vector
            header = self._participant.exchange.log.known_header()
            made = await asyncio.to_thread(
                self._make, state, base, weight, check_noise(noise), generator, header
            )
            pending = self._participant.outbox.keep(made)
        return await self._deliver(pending, progress)

    async def resume(self, *, progress: Progress | None = None) -> VerifiedUpdate:
        """Send the pending update. Raises `UsageRefused` where there is none."""
        pending = self._participant.outbox.load(self.number)
        if pending is None:
            raise UsageRefused("No update of this round is pending. Train, and send one.")
        return await self._deliver(pending, progress)

    async def _model(self) -> RoundModel:
        if self._base is None:
            self._base = await self._participant.model(self.base)
        return self._base

    def _make(
        self,
        state: Mapping[str, NDArray[Any]],
        base: Vector,
        weight: int,
        noise: float,
        generator: np.random.Generator | None,
        header: Header,
    ) -> Pending:
        own = self._participant
        difference = flatten(state, own.terms.layout, own.terms.ruled("home"))
        with np.errstate(over="ignore"):
            difference -= base
        return make_update(
            difference,
            self._opened,
            own.keys,
            header,
            weight=weight,
            bound=own.bound,
            noise=noise,
            generator=generator,
        )

    async def _deliver(self, pending: Pending, progress: Progress | None) -> VerifiedUpdate:
        """Send until the log is shown to have it, the round is over, or it is refused for good.

        What the host could not take in stays in the outbox, and is sent by the next call.
        """
        own = self._participant
        outbox, owner = own.outbox, own.keys.signing.public
        send = lambda: own.exchange.send(pending, owner, progress)
        try:
            verified = await own.patiently(send, self.closes)
        except Refused as refused:
            if refused.reason not in _PASSING | _NO_ROOM:
                outbox.clear()
            raise
        outbox.clear()
        return verified


def quarantined(client: str, sits_out: Quarantine) -> ClientQuarantined:
    """The refusal of a client that sits out, as the authority would give it."""
    return ClientQuarantined(
        f"An update of {client} broke the terms ({sits_out.reason}). "
        f"It may take part again from round {sits_out.until} on.",
        claim="client",
        expected=f"round {sits_out.until} or later",
        actual=sits_out.reason,
    )


def _tell(refusal: ClientQuarantined) -> None:
    _log.warning("%s", refusal)


def _stopped(id: str, action: str) -> Stopped:
    return Stopped(
        f"The federation was stopped ({action}). The council knows why.",
        claim="proposal",
        actual=id,
    )
