# SPDX-License-Identifier: Apache-2.0
# Made by `make blocking` from the asynchronous client: change that, and make this again.
"""The client for programs without an event loop: the same core, run in a background thread.

    with Client.at_home(Home.default()) as client:
        run = client.runs.start(client.council.ticket(digest))
        for status in client.runs.watch(run.id):
            ...

Progress callbacks are called from that thread.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from placet.attestation import Policy
from placet.auditing.audit import AuditReport
from placet.auditing.foresight.forecast import Forecast
from placet.auditing.invitations import Board, Invitation
from placet.auditing.standing import ProposalStanding
from placet.client.aio import AsyncClient, HostStatus
from placet.client.connection.access import Kept, KeysLater
from placet.client.connection.pins import Pins
from placet.client.council.authority import AsyncAuthority
from placet.client.council.charters import CharterDraft
from placet.client.council.council import AsyncCouncil
from placet.client.council.forecasts import Drafted
from placet.client.council.founding import AsyncFounding
from placet.client.council.records import ProposalItem, ProposalRecord
from placet.client.data.blobs import AsyncBlobs, Blob
from placet.client.data.grants import AsyncGrants, GrantTerms
from placet.client.data.objects import Progress
from placet.client.federations.federations import AsyncFederations
from placet.client.federations.models import RoundModel
from placet.client.federations.receipts import VerifiedUpdate
from placet.client.federations.rounds import AsyncFederation, AsyncRound, T, Told
from placet.client.federations.updates import Bound
from placet.client.federations.vectors import State
from placet.client.home import Home
from placet.client.jobs.jobs import AsyncJobs
from placet.client.jobs.results import Result
from placet.client.keys import Keys
from placet.client.log.export import Export
from placet.client.log.log import AsyncLog
from placet.client.log.memory import CouncilMemory
from placet.client.log.reader import Recorded
from placet.client.portal import Blocking, BlockingClient, BlockingContext, Portal
from placet.client.runs.runs import Action, AsyncRuns
from placet.client.runs.status import RunStatus
from placet.client.services.arrays import Array
from placet.client.services.chain import ServedWorker
from placet.client.services.model import AsyncServedModel
from placet.client.services.services import AsyncServices, Origin
from placet.client.services.users import Token
from placet.client.trust.artifacts import EvidenceFile, ReceiptFile
from placet.client.trust.verify import VerifiedAuthority, VerifiedCouncil, VerifiedReceipt
from placet.governance.account import Account
from placet.governance.documents import (
    Amendment,
    Ballot,
    Card,
    Constitution,
    Federate,
    Job,
    StopAction,
    Vote,
)
from placet.governance.documents.serving import Field, RowsAre
from placet.governance.documents.work.serve import Serve
from placet.governance.entries.kind import Entry
from placet.governance.envelope import Signed
from placet.governance.evaluate import Ticket
from placet.governance.keys import PublicKey
from placet.governance.ledger import Ledger
from placet.governance.log import Checkpoint
from placet.governance.state import PrivacyState
from placet.refusals import Refusal
from placet.sealing import ObjectDescriptor, StreamKey


class Log(Blocking[AsyncLog]):
    """The log of the pinned council."""

    @property
    def charter(self) -> str:
        """The pinned council by the digest of its charter; empty before one is pinned."""
        return self._core.charter

    @property
    def key(self) -> str:
        """The log by its verifier key text; empty before its charter was seen."""
        return self._core.key

    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint: signed by the log, over all that was read before and everything
        new."""
        return self._portal.run(self._core.checkpoint())

    def ledger(self) -> Ledger:
        """The ledger that the log folds to now, not to be changed. It is the authority's word, not
        the host's.

        One call, for the entries that this home has not seen. Raises `NotFounded`,
        `LogCheckpointInvalid`, `LogTruncated`, `LogForked`, `LogEntryInvalid`, `OtherLog`,
        `SettingMissing`, or what a call raises."""
        return self._portal.run(self._core.ledger())

    def judged(self, judge: Callable[[Ledger], T]) -> T:
        """The value of a function of the ledger, as far as the log was read; each document that it
        takes is fetched and verified.

        Call `ledger` first. Raises `DocumentNotFound` where the host withholds one, what the
        function raises, or what a call raises."""
        return self._portal.run(self._core.judged(judge))

    def entries(self) -> tuple[Entry, ...]:
        """The entries that the ledger was folded from, in order. Call `ledger` first."""
        return self._core.entries()

    def document(self, digest: str) -> bytes:
        """A document by the digest of its payload (an envelope) or of its bytes, not verified.

        Raises `Refused` with DOCUMENT_NOT_FOUND."""
        return self._portal.run(self._core.document(digest))

    def audit(self) -> AuditReport:
        """Fetch checkpoint, entries and documents, and judge all of it again.

        Raises `LogEntryInvalid` for the first entry that does not come out as the log has it,
        `DocumentNotFound` without the charter, or what reading the log and a call raise. The report
        says which parts could not be checked."""
        return self._portal.run(self._core.audit())

    def export(self, folder: Path) -> Export:
        """Write the log to a folder, as the files that monitors of other makers read (C2SP
        tlog-tiles), and the documents that an audit takes; what is there already stays.

        Raises `FileRefused` for a folder that holds something else, `LogTruncated` or `LogForked`
        for one that holds a longer log or another history, or what reading the log and a call
        raise."""
        return self._portal.run(self._core.export(folder))


class Council(Blocking[AsyncCouncil]):
    """The council, and what its members sign: proposals, ballots, stops, amendments.

    Where a method takes a proposal, it takes a record that `find` gave, or a digest (or enough of
    its beginning), for which the log is read."""

    def verify(self) -> VerifiedCouncil:
        """The charter and all constitutions up to the one in force, by the newest checkpoint.

        Which constitutions were adopted the log says, entry by entry; each document is verified,
        and kept. Raises `SettingMissing` where no council is pinned, and what reading the log
        raises."""
        return self._portal.run(self._core.verify())

    def propose(
        self,
        keys: Keys,
        body: Job | Federate | Serve | Amendment,
        *,
        purpose: str,
        reason: str,
        not_before: int,
        not_after: int,
        uses: int = 1,
    ) -> Recorded:
        """Sign a proposal under the constitution in force and record it. Times are Unix seconds.

        The program's bundle has to be put before a job is submitted, not before it is proposed. A
        federation has one use a round."""
        return self._portal.run(
            self._core.propose(
                keys,
                body,
                purpose=purpose,
                reason=reason,
                not_before=not_before,
                not_after=not_after,
                uses=uses,
            )
        )

    def vote(
        self,
        keys: Keys,
        proposal: str | ProposalRecord,
        vote: Vote,
        *,
        interests: str = "",
        rationale: str = "",
        expires: int | None = None,
        sequence: int | None = None,
    ) -> Recorded:
        """Sign the seat's ballot on a proposal and record it.

        Only a placet expires: `expires` defaults to 30 days from now, of a service to its review.
        Any other vote stands until the seat votes again. `sequence` defaults to one more than the
        seat's last ballot in the log, as far as that was read."""
        return self._portal.run(
            self._core.vote(
                keys,
                proposal,
                vote,
                interests=interests,
                rationale=rationale,
                expires=expires,
                sequence=sequence,
            )
        )

    def stop(self, keys: Keys, action: StopAction, target: str, *, reason: str = "") -> Recorded:
        """Sign a stop and record it; from its entry on the authority lets nothing of it happen.

        pause, veto and cancel take a proposal's digest, withdraw a grant's, the rest a seat,
        program or measurement. Raises `Unreachable` where it is not known to be recorded: hand it
        in again until it is."""
        return self._portal.run(self._core.stop(keys, action, target, reason=reason))

    def amend(
        self, keys: Keys, proposal: str | ProposalRecord, constitution: Constitution
    ) -> Recorded:
        """Put a constitution in force under an approved amend proposal, signed by one of its own
        seats."""
        return self._portal.run(self._core.amend(keys, proposal, constitution))

    def proposals(self, limit: int = 100) -> tuple[ProposalItem, ...]:
        """The newest proposals of the log, newest first."""
        return self._portal.run(self._core.proposals(limit))

    def find(self, proposal: str | ProposalItem | ProposalRecord) -> ProposalRecord:
        """A proposal of the log by its digest, or by the first digits that no other one begins
        with; its constitution, and how it stands.

        One call, and one more for each document that this home has not seen; for an item of
        `proposals` the log is not read again. Raises `UsageRefused` where none, or several, do."""
        return self._portal.run(self._core.find(proposal))

    def foresee(self, draft: Drafted, by: str) -> Forecast:
        """Judge at home, by the log, a draft that a seat or party would propose, as if every seat
        had said placet; nothing is sent.

        draft: what `load_work` gives, or whatever has the fields of a proposal. Raises
        `DocumentMalformed`, `NotFounded`, or what a call raises."""
        return self._portal.run(self._core.foresee(draft, by))

    def foresee_constitution(
        self, draft: Constitution, by: str, *, purpose: str = "amendment"
    ) -> Forecast:
        """The same of a constitution that shall follow the one in force."""
        return self._portal.run(self._core.foresee_constitution(draft, by, purpose=purpose))

    def lacking(self, proposal: str | ProposalRecord) -> tuple[Refusal, ...]:
        """Why work under a proposal would be refused though every seat approved it: of each input
        what the grants in the log lack, now. Raises what a call raises."""
        return self._portal.run(self._core.lacking(proposal))

    def standing(self, proposal: str | ProposalRecord, *, whole: bool = False) -> ProposalStanding:
        """How a proposal stands: waiting, approved, running, stopped by whom; by the log alone, as
        far as it was read for a record. whole: with the words of everybody who did something.

        Raises `DocumentNotFound` where the host withholds what it depends on, or what a call
        raises."""
        return self._portal.run(self._core.standing(proposal, whole=whole))

    def ballots(self, proposal: str | ProposalRecord) -> tuple[Signed[Ballot], ...]:
        """The ballots that stand now for a proposal, of each seat its newest in the log (or two of
        one number, which are a non placet), each with its signature verified.

        Raises `DocumentNotFound` where the host withholds one, or what a call raises."""
        return self._portal.run(self._core.ballots(proposal))

    def ticket(self, proposal: str | ProposalRecord) -> Ticket:
        """A proposal with the ballots that stand for it: what its work is started under. Raises as
        `ballots`."""
        return self._portal.run(self._core.ticket(proposal))

    def account(self, ticket: Ticket) -> Account:
        """The judgement of a ticket now: which rules apply, who counts, what is missing.

        It is on paper, but for when the log took the proposal in, and the seats that the log has
        revoked."""
        return self._portal.run(self._core.account(ticket))


class Authority(Blocking[AsyncAuthority]):
    """The authority that this host runs, and its evidence."""

    def evidence(self, constitution: str = "") -> EvidenceFile:
        """The authority's evidence for a fresh nonce, not verified.

        Before the founding it is about a log for the genesis constitution of this digest."""
        return self._portal.run(self._core.evidence(constitution))

    def verify(self, policy: Policy | None = None) -> VerifiedAuthority:
        """Make sure, with a fresh nonce, that the authority is what a policy wants (None: the
        constitution's).

        Raises one of `placet.attestation.belief.NOT_BELIEVED`, or what reading the log and a call
        raise."""
        return self._portal.run(self._core.verify(policy))


class Founding(Blocking[AsyncFounding]):
    """Draft, sign and submit a charter."""

    def draft(self, constitution: Constitution) -> CharterDraft:
        """A charter for the authority that this host runs, once its evidence satisfies the
        constitution's policy."""
        return self._portal.run(self._core.draft(constitution))

    def sign(self, draft: CharterDraft, keys: Keys) -> CharterDraft:
        """Check the authority's evidence with a nonce of one's own, then sign; the charter is
        pinned.

        Raises `NotPermitted` for keys that are no seat's, `OtherLog` if the authority is not the
        draft's."""
        return self._portal.run(self._core.sign(draft, keys))

    def found(self, draft: CharterDraft) -> Recorded:
        """Submit a draft that every seat has signed: it becomes entry 0. Raises `UsageRefused`
        where some have not."""
        return self._portal.run(self._core.found(draft))

    def invite(self, token: str, invitation: Invitation) -> Board:
        """Open the host's board for an invitation, with the token of the founder's link. Raises
        `NotPermitted` or `AlreadyFounded`."""
        return self._portal.run(self._core.invite(token, invitation))

    def board(self, digest: str) -> Board:
        """The board of an invitation; every post in it is verified. Raises `DocumentNotFound`, or
        as `read_board` does."""
        return self._portal.run(self._core.board(digest))

    def post(self, digest: str, envelope: bytes) -> Board:
        """Put an enrolment or an assent on the board, which is returned. Raises `NotPermitted`, or
        as `board` does."""
        return self._portal.run(self._core.post(digest, envelope))

    def follow(self, board: Board) -> CharterDraft:
        """The draft that follows from a board on which nobody is missing, for the authority that
        this host runs, once its evidence satisfies the constitution's policy."""
        return self._portal.run(self._core.follow(board))

    def settle(self, draft: CharterDraft) -> None:
        """Found the council of a draft that every seat has signed, unless another member has; it
        is pinned, and its log is read. Raises `OtherLog` at the host of another council."""
        return self._portal.run(self._core.settle(draft))


class Blobs(Blocking[AsyncBlobs]):
    """Sealed bytes at the host, by the id of their object."""

    def put(
        self,
        id: str,
        source: Path | bytes,
        *,
        owner: PublicKey | None = None,
        progress: Progress | None = None,
    ) -> Blob:
        """Put a file or bytes under an object id, or the rest of it. `owner` is the key that may
        delete it.

        Raises `Refused` (BLOB_CONFLICT: the id belongs to other bytes), `FileRefused`, or
        `Unreachable`."""
        return self._portal.run(self._core.put(id, source, owner=owner, progress=progress))

    def stat(self, id: str) -> Blob:
        """How much of a blob the host has. Raises `Refused` with BLOB_NOT_FOUND."""
        return self._portal.run(self._core.stat(id))

    def get(
        self, id: str, sink: Path, *, length: int | None = None, progress: Progress | None = None
    ) -> Path:
        """Fetch a blob into a file, or the rest of it; the caller verifies what it got.

        `length` is what a signed descriptor says; without it the host's word is taken. The bytes
        come into `sink` with ".part" added, which becomes `sink` at the end."""
        return self._portal.run(self._core.get(id, sink, length=length, progress=progress))

    def delete(self, id: str, keys: Keys) -> None:
        """Have the host forget a blob that was put with these keys as its owner."""
        return self._portal.run(self._core.delete(id, keys))


class Grants(Blocking[AsyncGrants]):
    """Grants: what owners allow, and the keys of their objects."""

    def sign(self, keys: Keys, object: ObjectDescriptor, terms: GrantTerms) -> bytes:
        """A signed grant for this log: the envelope to keep and to provision with. Nothing is
        sent."""
        return self._portal.run(self._core.sign(keys, object, terms))

    def provision(self, keys: Keys, grant: bytes, key: StreamKey) -> Recorded:
        """Give an object's key to the authority, under a grant.

        1. The grant is the caller's own and the key is the object's.
        2. The authority's evidence, for a fresh nonce, satisfies the grant's policy; it is
           SIMULATED only where this client accepts that.
        3. The key is sealed to the HPKE key in the identity that the evidence vouches for, bound to
           the grant's digest."""
        return self._portal.run(self._core.provision(keys, grant, key))


class Runs(Blocking[AsyncRuns]):
    """The work that tickets let happen: jobs, federations and services."""

    def start(
        self, ticket: Ticket, *, workers: int | None = None, request_id: bytes | None = None
    ) -> RunStatus:
        """Start what a ticket lets happen. A job is queued durably when this returns, and a
        federation has a round.

        workers: of a service, from now on (0: drain it; None: 1). request_id: of a job, 16 bytes;
        the same for the same proposal gives the same job again. A federation or a service that runs
        is told as it stands. So a call that broke off is repeated here, and may be repeated by the
        caller. A refusal of what was stopped says by whom and why, as the log has it. Raises
        `LogTruncated` or `LogForked` where the host's log is not the one that was read before: it
        may have forgotten uses and stops."""
        return self._portal.run(self._core.start(ticket, workers=workers, request_id=request_id))

    def get(self, id: str) -> RunStatus:
        """A run as it stands. Raises `Refused` with RUN_NOT_FOUND."""
        return self._portal.run(self._core.get(id))

    def list(
        self, limit: int = 100, before: str = "", *, action: Action = "", proposal: str = ""
    ) -> tuple[RunStatus, ...]:
        """The newest runs, newest first. before: the last id of the page before; action: only
        those of proposals for it; proposal: instead, every job of this one, those of its rounds
        or its workers too."""
        return self._portal.run(self._core.list(limit, before, action=action, proposal=proposal))

    def watch(self, id: str, *, patience: float = 60.0) -> Iterator[RunStatus]:
        """The run's present state, then each change until it has ended.

        A connection that breaks off, as when the host restarts, is opened again for up to
        `patience` seconds; the state may then come a second time."""
        return self._portal.iterate(self._core.watch(id, patience=patience))

    def wait(self, id: str, *, patience: float = 60.0) -> RunStatus:
        """The run once it has ended, however it did."""
        return self._portal.run(self._core.wait(id, patience=patience))

    def proposal(self, name: str) -> ProposalRecord:
        """The proposal of a run, in the log: by the name of a job, or by the digest of the
        proposal, or enough of the beginning of either. Raises `UsageRefused` where the log has
        none."""
        return self._portal.run(self._core.proposal(name))

    def id(self, name: str) -> str:
        """The id of a run, by enough of its beginning: of a federation or a service its proposal's
        digest; of a job the start of its proposal's, and after a dash the start of its own part.

        The proposal is looked up in the log. A host that names the job's own part can name no job
        of another proposal. Raises `UsageRefused` where none, or several, begin with it."""
        return self._portal.run(self._core.id(name))

    def stop(self, keys: Keys, name: str, *, reason: str = "") -> Recorded:
        """Cancel a run's proposal; the run ends wherever it is. Takes its proposer or a seat.

        The proposal is the one of the log that the run's name says, whatever the host tells of the
        run."""
        return self._portal.run(self._core.stop(keys, name, reason=reason))


class Jobs(Blocking[AsyncJobs]):
    """What jobs released."""

    def receipt(self, id: str, recipient: str) -> tuple[VerifiedReceipt, ReceiptFile, bytes]:
        """Steps 1 to 3 of results.py: the verified receipt of a job, its file, and the key envelope
        to the recipient."""
        return self._portal.run(self._core.receipt(id, recipient))

    def result(
        self,
        id: str,
        keys: Keys,
        folder: Path,
        *,
        recipient: str | None = None,
        progress: Progress | None = None,
        force: bool = False,
    ) -> Result:
        """Fetch, verify and open what a job released into a folder: one file an output, and
        `receipt.json`.

        `recipient` is the name in the proposal, if it is not the keys' id. A call that broke off
        goes on where it stopped. `progress` counts sealed bytes over all outputs. Files that hold
        something else are replaced only with `force`. Raises `Refused`
        (JOB_NOT_FINISHED, NOT_RELEASED), `ReceiptInvalid`, `SignatureInvalid`, `LogProofInvalid`,
        `EnvelopeForged`, `ObjectRootMismatch`, `FileRefused`, or what reading the log raises."""
        return self._portal.run(
            self._core.result(id, keys, folder, recipient=recipient, progress=progress, force=force)
        )


class Round(Blocking[AsyncRound]):
    """A round that is open, as the log has it. Made by `Federation.rounds`.

    number: from 1. closes: Unix seconds. base: the round whose model it starts from; 0 is the
    initial one."""

    @property
    def number(self) -> int:
        return self._core.number

    @property
    def closes(self) -> int:
        return self._core.closes

    @property
    def base(self) -> int:
        return self._core.base

    @property
    def pending(self) -> bool:
        """Whether an update for it was sealed and has no receipt yet: `send` sends that one,
        whatever it is given."""
        return self._core.pending

    def model(self) -> State:
        """The arrays that the round starts from, verified; copies, to be trained in place if one
        likes."""
        return self._portal.run(self._core.model())

    def send(
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
        `UsageRefused` before anything is sent, `Refused` (ROUND_NOT_OPEN: too late), and others."""
        return self._portal.run(
            self._core.send(state, weight, noise=noise, generator=generator, progress=progress)
        )

    def resume(self, *, progress: Progress | None = None) -> VerifiedUpdate:
        """Send the pending update. Raises `UsageRefused` where there is none."""
        return self._portal.run(self._core.resume(progress=progress))


class Federation(Blocking[AsyncFederation]):
    """A federation with the keys of one of its clients. Made by `Federations.join`."""

    @property
    def id(self) -> str:
        """The digest of its proposal."""
        return self._core.id

    @property
    def terms(self) -> Federate:
        """What the council decided on."""
        return self._core.terms

    def rounds(self, *, told: Told | None = None) -> Iterator[Round]:
        """Each round that the client may send to, when it opens and as long as it is open; ends
        when the federation does.

        A round whose update the log has already is left out; one for which an update was sealed
        before a crash is not (see `Round.pending`). While the client is quarantined there is no
        round for it: `told` is called with the refusal that says why (without `told` it is logged),
        and the wait goes on until the quarantine is lifted. Raises `Stopped` or `Refused` where the
        federation was stopped or failed, and what reading the log raises."""
        return (
            Round(self._portal, each) for each in self._portal.iterate(self._core.rounds(told=told))
        )

    def receive(self, round: int | None = None) -> RoundModel:
        """The model of a round; None: the newest. See `Federations.model`."""
        return self._portal.run(self._core.receive(round))

    def charged(self) -> PrivacyState:
        """The log's charges to this client's privacy ledger, for everything and not for this
        federation alone.

        `placet.governance.privacy.epsilon_at` makes an epsilon of a cost."""
        return self._portal.run(self._core.charged())


class Federations(Blocking[AsyncFederations]):
    """Federations: rounds in which the updates of a roster become one model.

    `outbox`: the folder for sealed updates without a receipt yet, where a home folder has one."""

    def join(
        self,
        id: str,
        keys: Keys,
        *,
        bound: Bound | None = None,
        outbox: Path | None = None,
        patience: float = 60.0,
    ) -> Federation:
        """Take part in a federation, by the digest of its proposal or enough of its beginning.

        1. The proposal and the ballots for it are verified, and judged as `Council.account` does.
        2. These keys are of a client of the roster.
        3. The authority's evidence, for a fresh nonce, satisfies the constitution's policy.

        `bound` is what an update may bring the client's whole privacy ledger to (None: anything).
        `outbox` is the folder for what was sealed and has no receipt yet; without one, and without
        a home folder, it is kept in memory. `patience`: for how many seconds on end the host or its
        authority may be away. Raises the account's first refusal, `NotOnRoster`, what
        `Authority.verify` raises, `EvidenceSimulated`, or what a call raises."""
        return Federation(
            self._portal,
            self._portal.run(
                self._core.join(id, keys, bound=bound, outbox=outbox, patience=patience)
            ),
        )

    def model(
        self, id: str, keys: Keys, round: int | None = None, *, progress: Progress | None = None
    ) -> RoundModel:
        """The model of a round, None: the newest that the log has. Round 0 is the initial one.

        Takes the keys of a client of the roster. Raises `Refused` (MODEL_NOT_RELEASED),
        `ReceiptInvalid`, `SignatureInvalid`, `LogProofInvalid`, `EnvelopeForged`,
        `ObjectRootMismatch`, `StateRefused`, or what reading the log raises."""
        return self._portal.run(self._core.model(id, keys, round, progress=progress))


class ServedModel(BlockingContext[AsyncServedModel]):
    """A served model, for one user. Made by `Services.open`; verdict and session are kept between
    calls. Close it, or use it as a context."""

    @property
    def worker(self) -> ServedWorker:
        """The worker that is asked now, verified."""
        return self._core.worker

    @property
    def terms(self) -> Serve:
        """What the council approved."""
        return self._core.terms

    @property
    def card(self) -> Card:
        """What the owner says of the model."""
        return self._core.card

    @property
    def inputs(self) -> tuple[Field, ...]:
        """The arrays that it takes. A dimension of 0 may be of any length; the first one counts
        rows, unless `rows` is "dependent"."""
        return self._core.inputs

    @property
    def answers(self) -> tuple[Field, ...]:
        """The arrays that it gives."""
        return self._core.answers

    @property
    def rows(self) -> RowsAre:
        """Whether many rows may become several questions: "independent", each row is answered by
        itself; "fixed", so many at a time as the model takes; "dependent", a call is one
        question."""
        return self._core.rows

    def predict(
        self,
        rows: Array | Mapping[str, Array],
        *,
        deadline: float | None = None,
        progress: Progress | None = None,
        keep: Path | None = None,
    ) -> Any:
        """Ask about rows: of one input and one output array in, array out; else dicts of arrays
        (`Arrays`).

        Many rows become several questions, up to 32 of them under way; cancelling ends them all.
        deadline: seconds for all. progress(answered, all): in rows. keep: a file for the answers as
        they come: the same call again goes on where this one breaks off, and pays for none of them
        twice. It is the caller's to remove. Raises `QuestionRefused`,
        `CallTimedOut`, `Refused` (ANSWERS_USED_UP and others), `Unreachable`, `OfferInvalid`,
        `AnswerMalformed` or `placet.sealing.AnswerForged`."""
        return self._portal.run(
            self._core.predict(rows, deadline=deadline, progress=progress, keep=keep)
        )


class Services(Blocking[AsyncServices]):
    """Served models: workers that answer sealed questions."""

    def open(self, id: str, *, user: Keys | Token, patience: float = 60.0) -> ServedModel:
        """The model that a service serves, for one user, once a worker has been verified. Close it,
        or use it as a context.

        id: the digest of the proposal. patience: for how many seconds on end there may be no host,
        no worker, or one that has too much to do. Raises `UserNotAllowed`, `EvidenceSimulated`,
        `OfferInvalid`, or what a call raises."""
        return ServedModel(
            self._portal, self._portal.run(self._core.open(id, user=user, patience=patience))
        )

    def verify(self, id: str, lease: str = "") -> ServedWorker:
        """A worker of a service (with this lease; any if empty), verified down from the log's key;
        by the newest log its lease runs and nothing stops it.

        Raises `OfferInvalid`, which says at which step, what `check_running` raises, or what a call
        raises."""
        return self._portal.run(self._core.verify(id, lease))

    def origin(self, terms: Serve) -> Origin | None:
        """Where the model of a service came from, as the log shows it; None where its card names no
        receipt.

        Raises `DocumentNotFound`, `ReceiptInvalid`, `SignatureInvalid`, or what reading the log
        raises."""
        return self._portal.run(self._core.origin(terms))


class Client(BlockingClient[AsyncClient]):
    """A host and a council, over one channel. Made by `connect` or `at_home`; close it, or use it
    as a context."""

    def __init__(self, portal: Portal, core: AsyncClient) -> None:
        super().__init__(portal, core)
        self.log = Log(portal, core.log)
        self.council = Council(portal, core.council)
        self.authority = Authority(portal, core.authority)
        self.founding = Founding(portal, core.founding)
        self.blobs = Blobs(portal, core.blobs)
        self.grants = Grants(portal, core.grants)
        self.runs = Runs(portal, core.runs)
        self.jobs = Jobs(portal, core.jobs)
        self.federations = Federations(portal, core.federations)
        self.services = Services(portal, core.services)

    @property
    def address(self) -> str:
        return self._core.address

    @classmethod
    def connect(
        cls,
        address: str,
        pin: str | Pins = "",
        *,
        ca: bytes = b"",
        charter: str = "",
        memory: CouncilMemory | None = None,
        outbox: Path | None = None,
        simulated: bool = False,
        keys: Keys | KeysLater | None = None,
        kept: Kept | None = None,
        pass_: bytes = b"",
        certificate: bytes = b"",
    ) -> Self:
        """Connect to the host at "address:port" whose certificate has this pin ("sha256:<hex>"), or
        follows the one that has it.

        keys: of a seat or party, by which the client logs in where a call takes a login; without
        them by the first keys that a method is given. Without any the client is a stranger: it
        reads the log and sends signed stops. kept: where the login is kept for later clients.
        pass_: what a principal signed (`sign_pass`) for these keys, which then log in in its name.
        certificate: the client's and its key (PEM), for a host that asks for one. ca: certificates
        of CAs (PEM), to be trusted instead of a pin. charter: the digest of the council's charter,
        from another member; needed unless the memory knows it, or a council is founded. memory:
        where the log is kept; without it nothing is remembered after this client. outbox: the
        folder for sealed updates that have no receipt yet. simulated: accept SIMULATED evidence of
        whom a secret is given to. Raises `HostUnreachable`, `HostPinMismatch`,
        `HostCertificateRefused`, `FileRefused` or `OtherLog`."""
        return cls._opened(
            AsyncClient.connect(
                address,
                pin,
                ca=ca,
                charter=charter,
                memory=memory,
                outbox=outbox,
                simulated=simulated,
                keys=keys,
                kept=kept,
                pass_=pass_,
                certificate=certificate,
            )
        )

    @classmethod
    def at_home(
        cls,
        home: Home,
        *,
        simulated: bool = False,
        keys: Keys | KeysLater | None = None,
        pass_: bytes = b"",
    ) -> Self:
        """Connect to the host of a home folder, with its memory, its outbox, its login and its
        certificate, if the host asks for one."""
        return cls._opened(AsyncClient.at_home(home, simulated=simulated, keys=keys, pass_=pass_))

    def status(self, limit: int = 10) -> HostStatus:
        """Host, log, evidence and the newest runs in one view.

        A fault of the evidence is told in the view and not raised; a log that shrank or forked is
        raised."""
        return self._portal.run(self._core.status(limit))
