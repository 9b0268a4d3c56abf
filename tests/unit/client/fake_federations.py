# SPDX-License-Identifier: Apache-2.0
"""The federations of the fake host: rounds are judged by governance, updates are opened and
averaged in the clear.

conftest.py loads this file by its path. Leases are not judged: what a worker would do is done here.
"""

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np

from placet.client.federations import decode
from placet.governance.contexts import model_info, update_info
from placet.governance.documents import (
    Charged,
    Predicate,
    Receipt,
    Seen,
    Update,
    new_header,
)
from placet.governance.documents.federation import FEDERATED_AVERAGE
from placet.governance.entries.table import KINDS
from placet.governance.envelope import digest_of, inspect, parse_envelope, sign
from placet.governance.evaluate import Ticket
from placet.governance.jobs import round_job
from placet.governance.judgements.admission import admit
from placet.governance.judgements.federation import (
    judge_close_round,
    judge_update,
    logged_update,
    next_job,
    open_entries,
    verify_model_request,
)
from placet.governance.judgements.rounds import SealedUpdate
from placet.governance.log import LogProof
from placet.proto.v1 import federations_pb2, runs_pb2
from placet.refusals import AuthorityUnavailable, NotReleased
from placet.sealing import (
    HPKEPrivateKey,
    HPKEPublicKey,
    ObjectDescriptor,
    StreamKey,
    open_envelope,
    open_stream,
    pad,
    padded_length,
    seal_envelope,
    seal_stream,
)


class FakeFederations:
    """Host, authority and worker of one federation. The first attributes make it fail or lie."""

    def __init__(self, host: Any) -> None:
        self.lost_answers = 0  # updates that are taken in, and whose answer is lost
        self.away = 0  # requests that find no authority
        self.forged: dict[str, bytes] = {}  # what to answer instead: "entry", "proof", "receipt"
        self.told_model = -1  # the newest model that the host tells of; -1: the true one
        self.given: list[bytes] = []  # sealed envelopes of updates, each time one was handed in
        self.ended = False
        self.refusal: Any = None
        self._host = host
        self._keys: dict[int, HPKEPrivateKey] = {}
        self._sealed: dict[str, bytes] = {}
        self._ticket: Ticket
        self._models: dict[int, tuple[StreamKey, federations_pb2.ModelResponse]] = {}
        self.arrived = threading.Event()  # set when an update has come in
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._values: dict[int, Any] = {}
        self.initial: StreamKey | None = None
        self.id = ""

    @property
    def state(self) -> Any:
        return self._host.ledger.state.federation(self.id)

    @property
    def terms(self) -> Any:
        return self._host.ledger.proposal(self.id).document.federate

    # What the host does of itself, called by tests from their thread.

    def open(self) -> int:
        """Open the next round; its number."""
        ledger, times = self._host.ledger, self._host.times()
        proposal = ledger.open_proposal(self._ticket.proposal)
        job = next_job(ledger, proposal)
        key = HPKEPrivateKey.generate("X25519")
        admission = admit(ledger, self._ticket, job, times)
        for entry in open_entries(ledger, admission, key.public.to_text(), times):
            self._host.append(entry, {})
        self._keys[self.state.current.number] = key
        self._tell()
        return int(self.state.current.number)

    def close(self) -> str:
        """Close the round; "closed" or "void"."""
        number = self.state.current.number
        entry = judge_close_round(self._host.ledger, self.id, number, self._host.times())
        self._host.append(entry, {})
        self._tell()
        return str(entry["standing"])

    def aggregate(self, left: dict[str, str] | None = None) -> Any:
        """Release the mean of what counts, or nothing where none is left; the new model as
        float64."""
        left = left or {}
        number, times = self.state.current.number, self._host.times()
        updates = [u for c, u in self.state.current.updates.items() if c not in left]
        opened = [self.opened(u.digest, number) for u in updates]
        total = sum(weight for _, _, weight in opened)
        model = self.model(max(self.state.models, default=0))
        for values, _, weight in opened:
            model += values * weight / total
        lease, job = self._lease(number)
        envelope = self._receipt(number, lease, job, model) if updates else b""
        receipt = parse_envelope(envelope).digest if envelope else ""
        entry = KINDS["release"].new(
            times,
            {
                "lease": lease,
                "proposal": self.id,
                "job": job,
                "round": number,
                "release": "sha256:" + os.urandom(32).hex(),
                "receipt": receipt,
                "left": left,
                "until": number + 1 + self.terms.quarantine_rounds,
            },
        )
        index = len(self._host.entries)
        self._host.append(entry, {receipt: envelope} if envelope else {})
        if envelope:
            answer = self._models[number][1]
            answer.entry, answer.proof = self._host.entries[index], self.proof(index)
        self._tell()
        return model

    def end(self, refusal: Any = None) -> None:
        """Say that it has ended."""
        self.ended, self.refusal = True, refusal
        self._tell()

    def opened(self, digest: str, number: int) -> tuple[Any, SealedUpdate, int]:
        """Values, what was sealed, and weight of an update, as an authority and a worker open
        it."""
        update, terms = inspect(self._host.documents[digest], Update), self.terms
        info = update_info(self.id, number, update.client, update.object)
        data = open_envelope(self._sealed[digest], self._keys[number], info)
        sealed = SealedUpdate.unpack(data, terms)
        stream = bytes(self._host.blobs[update.object][1])
        layout, length = terms.layout, terms.layout.update_bytes
        descriptor = ObjectDescriptor(
            id=update.object,
            kind="update",
            labels=(),
            commitment=update.commitment,
            segment_size=layout.segment_bytes,
            segments=max(1, -(-(length + 40) // (layout.segment_bytes - 16))),
            length=length,
            root="sha256:" + "0" * 64,
        )
        key = StreamKey(sealed.key)
        with open_stream(io.BytesIO(stream), key, descriptor, leaf_hashes=None) as reader:
            plain = np.frombuffer(reader.readall(), np.uint8)
        values = decode(plain, layout.encoding, sealed.scale).astype(np.float64)
        return values, sealed, sealed.weight

    def model(self, number: int) -> Any:
        """The model of a round as float64; zeros before the first."""
        if number not in self._values:
            return np.zeros(self.terms.layout.elements)
        return self._values[number].copy()

    def proof(self, index: int) -> bytes:
        """Proof of an entry under the newest checkpoint."""
        tree = self._host.ledger.tree
        return LogProof(index, tree.inclusion_proof(index, tree.size), self._host.note()).to_bytes()

    def _lease(self, number: int) -> tuple[str, str]:
        job = round_job(self.id, number)
        lease = self._host.leased(self.id, job, self.terms.launch_digest)
        return lease, job

    def _receipt(self, number: int, lease: str, job: str, model: Any) -> bytes:
        """Seal a model as a worker does; the receipt about it."""
        data, key, sealed = model.astype("<f4").tobytes(), StreamKey.generate(), io.BytesIO()
        source = pad(io.BytesIO(data), len(data), len(data))
        descriptor = seal_stream(source, sealed, key, kind="result", labels=())
        assert descriptor.length == padded_length(self.terms.outputs["model"].max_bytes)
        self._host.blobs[descriptor.id] = (len(sealed.getvalue()), bytearray(sealed.getvalue()))
        self._values[number] = model.astype("<f4").astype(np.float64)
        proposal = self._host.ledger.proposal(self.id).document
        size, root = self._host.ledger.head()
        receipt = Receipt.about(
            Predicate(
                header=new_header(self._host.charter, Seen(size, root)),
                proposal=self.id,
                constitution=proposal.constitution,
                job=job,
                attempt=1,
                lease=lease,
                worker="sha256:" + "22" * 32,
                program=FEDERATED_AVERAGE,
                purpose=proposal.purpose,
                parameters={},
                inputs={name: i.object.digest for name, i in self.terms.inputs.items()},
                outputs={"model": descriptor},
                recipients=self.terms.roster,
                approved_by=("alice", "bob"),
                evidence="simulation",
                privacy=Charged(
                    {c: u.charge for c, u in self.state.current.updates.items()}, False
                ),
                marks=("SIMULATED", "UNWITNESSED"),
                entry=size,
                judged_at=size,
                released=self._host.times().at_most,
            )
        )
        envelope = sign(receipt, self._host.log_key)
        self._models[number] = key, federations_pb2.ModelResponse(receipt=envelope)
        return envelope

    def _tell(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    def _present(self) -> None:
        if self.away:
            self.away -= 1
            raise AuthorityUnavailable("The authority is away. Try again.")

    # The service.

    def start(self, request: runs_pb2.StartRequest) -> runs_pb2.Run:
        self._ticket = Ticket(request.ticket.proposal, tuple(request.ticket.ballots))
        self.id = parse_envelope(request.ticket.proposal).digest
        if self.id not in self._host.ledger.state.federations:
            self.open()
        return self.told()

    async def watch(self) -> AsyncIterator[runs_pb2.Run]:
        self._loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            told = self.told()
            yield told
            if self.ended:
                return
            await self._changed.wait()

    async def Update(
        self, request: federations_pb2.UpdateRequest, context: Any
    ) -> federations_pb2.UpdateReceipt:
        self._present()
        ledger = self._host.ledger
        self.given.append(request.sealed)
        update = inspect(request.update, Update)
        assert update.object in self._host.blobs, "the stream comes first"
        known = logged_update(ledger, request.update)
        if known is None:
            signed, entry = judge_update(ledger, request.update, self._host.times())
            assert digest_of(request.sealed) == update.sealed
            self._sealed[signed.digest] = request.sealed
            self._host.append(entry, {signed.digest: request.update})
            self.arrived.set()
        if self.lost_answers:
            self.lost_answers -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        index = known.index if known else len(self._host.entries) - 1
        return federations_pb2.UpdateReceipt(
            index=index,
            entry=self.forged.get("entry") or self._host.entries[index],
            proof=self.forged.get("proof") or self.proof(index),
        )

    async def Model(
        self, request: federations_pb2.ModelRequest, context: Any
    ) -> federations_pb2.ModelResponse:
        self._present()
        asked = verify_model_request(self._host.ledger, request.request)
        number = asked.document.round
        if number == 0:
            key, answer = self.initial, federations_pb2.ModelResponse()
        else:
            key, answer = self._models[self.told_model if self.told_model >= 0 else number]
        if key is None:
            raise NotReleased("There is no key.")
        given = federations_pb2.ModelResponse()
        given.CopyFrom(answer)
        recipient = HPKEPublicKey.from_text(asked.document.key)
        given.key_envelope = seal_envelope(key.to_bytes(), recipient, model_info(asked.digest))
        return given

    def told(self) -> runs_pb2.Run:
        """How it stands."""
        current, state = self.state.current, runs_pb2.RUN_STATE_RUNNING
        if self.ended:
            failed = self.refusal is not None
            state = runs_pb2.RUN_STATE_FAILED if failed else runs_pb2.RUN_STATE_FINISHED
        federation = runs_pb2.Federation(
            round=current.number,
            rounds=self.terms.rounds,
            closes=current.closes,
            opened_at=current.opened_at,
            aggregating=current.status != "open" and not self.ended,
            model_round=max(self.state.models, default=0),
            members=[
                runs_pb2.Member(
                    client=client,
                    updated=client in current.updates,
                    quarantined_until=q.until if (q := self.state.quarantined.get(client)) else 0,
                    why=q.reason if q else "",
                )
                for client in self.terms.roster
            ],
            outcomes=[
                runs_pb2.RoundOutcome(
                    round=r.number, released=r.status == "released", updates=len(r.updates)
                )
                for r in self.state.rounds
                if r.status in ("released", "void")
            ],
        )
        told = runs_pb2.Run(id=self.id, proposal=self.id, state=state, federation=federation)
        if self.refusal is not None:
            told.refusal.CopyFrom(self.refusal)
        return told
