# SPDX-License-Identifier: Apache-2.0
"""The other side of Attach, small and complete: an authority that keeps a real log, a worker that
does as told.

Started like an enclave: `python -I scripted_enclave.py authority|worker --host ...`. The authority
judges no signature and gives no key; log, leases, attempts, rounds and the order of writing are
real. What a worker does is the parameter `act` of the proposal; of a federation or a service, the
proposal's reason: what is done in each round, or by each worker, "; " between them.
"""

import argparse
import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from placet.governance.entries.table import apply
from placet.governance.jobs import round_job
from placet.governance.log import Checkpoint, NoteSigner, Tree, leaf_hash, sign_checkpoint
from placet.governance.state import LeaseState, State
from placet.proto.frames import Link
from placet.proto.limits import GRPC_OPTIONS, TOKEN_KEY, VERSION_KEY, WIRE_VERSION
from placet.proto.v1 import (
    common_pb2,
    enclaves_pb2,
    enclaves_pb2_grpc,
    federations_pb2,
    governance_pb2,
    jobs_pb2,
    keys_pb2,
    log_pb2,
    log_pb2_grpc,
)
from placet.refusals import Refused

sys.path.insert(0, str(Path(__file__).parent))  # -I leaves it out
from scripted_worker import K, Worker, act_of, digest_of, payload_of

METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)


class Refuse(Refused):
    """A refusal of the authority."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, f"The authority refuses: {reason}.", {"rule": "scripted"})


class Authority:
    """A log, and the state that its entries are."""

    code = 1  # its stream has ended: it is of no use any more

    def __init__(self, origin: str, channel: grpc.aio.Channel) -> None:
        self.origin = origin
        self.channel = channel
        self.link = Link(self.handle)
        self.tree = Tree()
        self.state = State()
        self.joined: dict[str, str] = {}
        self.peers: dict[str, str] = {}  # by lease
        self.terms: dict[str, dict[str, Any]] = {}  # by federation
        self.acts: dict[str, str] = {}  # of the newest round, by federation
        self.short: dict[str, int] = {}  # by proposal
        self.boots = 0
        self.signer: NoteSigner
        self.lock = asyncio.Lock()
        self.judging = asyncio.Lock()
        self.ready = asyncio.Event()
        self.recorded = asyncio.Event()

    async def boot(self) -> None:
        log: Any = log_pb2_grpc.LogStub(self.channel)
        async for batch in log.GetEntries(log_pb2.GetEntriesRequest(), metadata=METADATA):
            for entry in batch.entries:
                self.apply(entry)
        secrets = []
        try:
            request = enclaves_pb2.FetchSecret(name="log-key")
            key = await self.link.request(K.KIND_FETCH_SECRET, request)
            seed = enclaves_pb2.Secret.FromString(key).wrapped
        except Exception:  # noqa: BLE001
            seed = os.urandom(32)
            secrets = [enclaves_pb2.Secret(name="log-key", wrapped=seed)]
        self.signer = NoteSigner(self.origin, seed)
        identity, evidence = b"authority " + os.urandom(8), b"of the authority"
        names = {"identity": digest_of(identity), "evidence": digest_of(evidence)}
        entry = {"kind": "boot", "boot": os.urandom(16).hex(), **names}
        await self.commit(entry, secrets=secrets, stored=(identity, evidence))
        self.ready.set()

    def apply(self, data: bytes) -> None:
        self.tree.append(leaf_hash(data))
        entry = json.loads(data)
        apply(self.state, entry)
        if entry["kind"] == "boot":
            self.boots += 1
        if entry["kind"] == "open-round":
            self.terms[entry["proposal"]], self.acts[entry["proposal"]] = (
                entry["terms"],
                entry["act"],
            )
        if entry["kind"] == "lease":
            self.peers[entry["lease"]] = entry["peer"]

    async def commit(
        self,
        entry: dict[str, Any],
        documents: tuple[bytes, ...] = (),
        secrets: Any = (),
        stored: tuple[bytes, ...] = (),
    ) -> common_pb2.Committed:
        async with self.lock:
            fields = {"at": [int(time.time())] * 2, "nonce": os.urandom(16).hex()}
            data = json.dumps({**fields, **entry}).encode()
            index = self.tree.size
            tree = Tree([self.tree.leaf(i) for i in range(index)] + [leaf_hash(data)])
            checkpoint = sign_checkpoint(
                Checkpoint(self.origin, tree.size, tree.root()), self.signer
            )
            held = [
                enclaves_pb2.StoredDocument(digest=digest_of(payload_of(d)[0]), document=d)
                for d in documents
            ]
            held += [enclaves_pb2.StoredDocument(digest=digest_of(d), document=d) for d in stored]
            commit = enclaves_pb2.Commit(
                first_index=index,
                entries=[data],
                documents=held,
                secrets=secrets,
                checkpoint=checkpoint,
            )
            await self.link.request(K.KIND_COMMIT, commit)
            self.apply(data)
        digest = held[0].digest if documents else ""
        return common_pb2.Committed(digest=digest, index=index, checkpoint=checkpoint)

    async def enter(self, proposal: str, *documents: bytes) -> None:
        """A proposal becomes part of the log."""
        if proposal not in self.state.proposals:
            await self.commit({"kind": "proposal", "proposal": proposal}, documents)

    def stopped(self, proposal: str) -> bool:
        known = self.state.proposals.get(proposal)
        return known is not None and bool(known.stopped)

    def leases(self, proposal: str, job: str = "") -> list[LeaseState]:
        """Those of a proposal, or of one of its jobs."""
        known = self.state.proposals.get(proposal)
        jobs = known.jobs if known else {}
        return [
            self.state.leases[lease]
            for name, leases in jobs.items()
            if job in ("", name)
            for lease in leases
        ]

    async def handle(self, frame: enclaves_pb2.Frame) -> Message | bytes | None:
        await self.ready.wait()
        name = K.Kind.Name(frame.kind).removeprefix("KIND_").lower()
        reply: Message = await getattr(self, "on_" + name)(frame)
        return reply

    async def on_evidence(self, frame: enclaves_pb2.Frame) -> Message:
        nonce = keys_pb2.EvidenceRequest.FromString(frame.payload).nonce
        return keys_pb2.EvidenceResponse(identity=b"scripted", evidence=nonce)

    async def on_found(self, frame: enclaves_pb2.Frame) -> Message:
        request = governance_pb2.FoundRequest.FromString(frame.payload)
        entry = {
            "kind": "charter",
            "constitution": digest_of(payload_of(request.constitution)[0]),
            "charter": digest_of(payload_of(request.charter)[0]),
            "log": self.origin,
        }
        return await self.commit(entry, (request.charter, request.constitution))

    async def on_record(self, frame: enclaves_pb2.Frame) -> Message:
        self.recorded.set()
        envelope = governance_pb2.DocumentRequest.FromString(frame.payload).envelope
        payload, kind = payload_of(envelope)
        value, digest = json.loads(payload), digest_of(payload)
        entry: dict[str, Any] = {"kind": kind, kind: digest}
        if kind == "ballot":
            entry |= {n: value[n] for n in ("proposal", "seat", "sequence", "vote")}
        if kind == "stop":
            entry |= {"action": value["action"], "target": value["target"]}
            await self.enter(value["target"])
            for lease in self.state.open_leases.values():
                if lease.proposal == value["target"]:
                    refusal = common_pb2.Refusal(reason=common_pb2.REASON_VETOED, message="no")
                    stopped = enclaves_pb2.Stopped(lease=lease.digest, refusal=refusal)
                    self.link.send(K.KIND_STOPPED, stopped, peer=self.peers[lease.digest])
        committed = await self.commit(entry, (envelope,))
        if kind == "stop":
            await self.end_round(value["target"])
        return committed

    async def end_round(self, proposal: str) -> None:
        """A round that is not handed out has no future once its proposal is stopped."""
        federation = self.state.federations.get(proposal)
        handed = [lease for lease in self.leases(proposal) if lease.status == "open"]
        if federation is not None and not federation.current.over and not handed:
            void: dict[str, Any] = {
                "proposal": proposal,
                "round": federation.current.number,
                "counted": [],
            }
            await self.commit({"kind": "close-round", **void, "standing": "void"})

    async def on_admit(self, frame: enclaves_pb2.Frame) -> Message:
        ticket = common_pb2.Ticket.FromString(frame.payload)
        proposal = digest_of(payload_of(ticket.proposal)[0])
        if self.stopped(proposal):
            raise Refuse("VETOED")
        act, _, argument = json.loads(payload_of(ticket.proposal)[0])["reason"].partition(" ")
        if act == "refuse":
            raise Refuse(argument)
        if not json.loads(ticket.proposal)["signatures"][0]["sig"]:
            raise Refuse("SIGNATURE_INVALID")
        await self.enter(proposal, ticket.proposal)
        return enclaves_pb2.Admitted(size=self.tree.size, proposal=proposal)

    async def on_lease(self, frame: enclaves_pb2.Frame) -> Message:
        request = enclaves_pb2.LeaseRequest.FromString(frame.payload)
        payload, _ = payload_of(request.ticket.proposal)
        proposal, value = digest_of(payload), json.loads(payload)
        if self.stopped(proposal):
            raise Refuse("VETOED")
        if value["reason"] == "linger":  # until somebody sends a document
            await self.recorded.wait()
            raise Refuse("JOIN_UNKNOWN")
        async with self.judging:  # no lease is judged while another one is not in the log yet
            return await self.judge_lease(request, proposal, value)

    async def judge_lease(
        self, request: enclaves_pb2.LeaseRequest, proposal: str, value: dict[str, Any]
    ) -> Message:
        if value["reason"].startswith("short "):  # so often
            self.short.setdefault(proposal, int(value["reason"].split()[1]))
            if self.short[proposal]:
                self.short[proposal] -= 1
                raise Refuse("QUEUE_FULL")
        if request.worker not in self.joined:
            raise Refuse("JOIN_UNKNOWN")
        federation = self.state.federations.get(proposal)
        number = federation.current.number if federation else 0
        if federation is not None and (
            federation.current.status != "closed" or not request.job.endswith(f"-{number}")
        ):
            raise Refuse("ROUND_NOT_OPEN")
        mine = self.leases(proposal, request.job)
        if any(lease.status == "open" for lease in mine):
            raise Refuse("ATTEMPT_OPEN")
        if len(mine) >= value["body"].get("attempts", 1):
            raise Refuse("ATTEMPTS_USED_UP")
        await self.enter(proposal, request.ticket.proposal)
        if value["action"] == "serve":
            number = len(self.leases(proposal)) + 1
            if number > value["uses"]:
                raise Refuse("TICKET_USED_UP")
        lease = digest_of(document := b"lease " + os.urandom(16))
        entry: dict[str, Any] = {
            "kind": "lease",
            "lease": lease,
            "proposal": proposal,
            "job": request.job,
            "attempt": len(mine) + 1,
            "worker": request.worker,
            "peer": self.joined.pop(request.worker),
            "deadline": 0,
            "judged": 0,
            "grants": [],
            "charges": {},
        }
        committed = await self.commit(entry, stored=(document,))
        package = json.dumps({"lease": lease, "attempt": len(mine) + 1, "round": number}).encode()
        return enclaves_pb2.LeasePackage(
            lease=package, ticket=request.ticket, proof=committed.checkpoint
        )

    async def on_close(self, frame: enclaves_pb2.Frame) -> Message:
        request = enclaves_pb2.CloseAttempt.FromString(frame.payload)
        lease = self.state.leases.get(request.lease)
        if lease is None:
            raise Refuse("LEASE_UNKNOWN")
        if lease.status != "open":
            raise Refuse("LEASE_CLOSED")
        entry = {"kind": "close", "lease": request.lease, "job": lease.job, "why": request.why}
        return await self.commit(entry)

    async def on_result(self, frame: enclaves_pb2.Frame) -> Message:
        request = enclaves_pb2.ResultKeyRequest.FromString(frame.payload)
        if request.recipient != "alice":
            raise Refuse("RECIPIENT_UNKNOWN")
        return jobs_pb2.ResultResponse(receipt=request.lease.encode())

    async def on_open_round(self, frame: enclaves_pb2.Frame) -> Message:
        request = enclaves_pb2.OpenRound.FromString(frame.payload)
        payload, _ = payload_of(request.ticket.proposal)
        proposal, value = digest_of(payload), json.loads(payload)
        if self.stopped(proposal):
            raise Refuse("VETOED")
        terms, federation = value["body"], self.state.federations.get(proposal)
        last = federation.current if federation else None
        if last is not None and not last.over:
            tried = [
                lease.status for lease in self.leases(proposal, round_job(proposal, last.number))
            ]
            if last.status == "open" or tried.count("closed") < terms["attempts"]:
                raise Refuse("ROUND_OPEN")
            await self.end_round(proposal)
        number = last.number + 1 if last else 1
        if number > terms["rounds"]:
            raise Refuse("FEDERATION_ENDED")
        act, _, argument = act_of(value, number).partition(" ")
        if act == "refuse":
            raise Refuse(argument)
        await self.enter(proposal, request.ticket.proposal)
        sits_out = federation.quarantined if federation else {}
        for client in sorted(c for c, out in sits_out.items() if out.until <= number):
            await self.commit(
                {"kind": "lift", "proposal": proposal, "client": client, "round": number}
            )
        opened: dict[str, Any] = {"proposal": proposal, "round": number, "key": ""}
        opened |= {"grants": [], "charges": {}}
        closes = int(time.time()) + terms["round_seconds"]
        committed = await self.commit(
            {"kind": "open-round", **opened, "closes": closes, "terms": terms, "act": act}
        )
        if act == "lose" and self.boots == 1:
            os._exit(1)  # and the answer is lost
        return committed

    async def on_update(self, frame: enclaves_pb2.Frame) -> Message:
        envelope = federations_pb2.UpdateRequest.FromString(frame.payload).update
        payload, _ = payload_of(envelope)
        value, digest = json.loads(payload), digest_of(payload)
        federation, client = self.state.federations[value["federation"]], value["client"]
        current = federation.current
        if client in current.updates:
            if current.updates[client].digest == digest:
                return federations_pb2.UpdateReceipt(index=current.updates[client].index)
            raise Refuse("UPDATE_DUPLICATE")
        if value["round"] != current.number or current.status != "open":
            raise Refuse("ROUND_NOT_OPEN")
        if client in federation.quarantined:
            raise Refuse("CLIENT_QUARANTINED")
        names = {"update": digest, "proposal": value["federation"], "client": client}
        entry = {"kind": "update", **names, "round": current.number, "charge": [0, 0, 0]}
        committed = await self.commit(entry, (envelope,))
        return federations_pb2.UpdateReceipt(index=committed.index)

    async def on_close_round(self, frame: enclaves_pb2.Frame) -> Message:
        request = enclaves_pb2.CloseRound.FromString(frame.payload)
        proposal = request.federation
        federation, terms = self.state.federations[proposal], self.terms[proposal]
        current, committed = federation.current, common_pb2.Committed()
        if current.status == "open":
            missing = set(terms["roster"]) - current.updates.keys() - federation.quarantined.keys()
            if missing and time.time() < current.closes + 1:
                raise Refuse("ROUND_OPEN")
            standing = "closed" if len(current.updates) >= terms["smallest_cohort"] else "void"
            counted = [update.digest for update in current.updates.values()]
            cohort = {"proposal": proposal, "round": current.number, "counted": counted}
            committed = await self.commit({"kind": "close-round", **cohort, "standing": standing})
            if self.acts[proposal] == "lose" and self.boots == 2:
                os._exit(1)
        job = round_job(proposal, current.number)
        return enclaves_pb2.RoundClosed(
            committed=committed, job=job if current.status == "closed" else ""
        )

    async def on_model(self, frame: enclaves_pb2.Frame) -> Message:
        return federations_pb2.ModelResponse(receipt=frame.payload)

    async def on_join_hello(self, frame: enclaves_pb2.Frame) -> Message:
        return enclaves_pb2.JoinOffer(identity=b"authority", nonce=os.urandom(32))

    async def on_join(self, frame: enclaves_pb2.Frame) -> Message:
        request = enclaves_pb2.JoinRequest.FromString(frame.payload)
        worker, launched_for = digest_of(request.identity), request.evidence.decode()
        names = {
            "worker": worker,
            "evidence": digest_of(request.evidence),
            "launched_for": launched_for,
        }
        stored = (request.identity, request.evidence)
        lapses = int(time.time()) + 3600
        claims = {"measurement": "", "lapses": lapses}
        await self.commit({"kind": "join", **names, **claims}, stored=stored)
        self.joined[worker] = frame.peer
        return enclaves_pb2.Joined(worker=worker, launched_for=launched_for, lapses=lapses)

    async def on_release(self, frame: enclaves_pb2.Frame) -> Message:
        lease, _, left = (
            enclaves_pb2.ReleaseRequest.FromString(frame.payload).release.decode().partition(" ")
        )
        held = self.state.leases[lease]
        if held.status != "open" or self.stopped(held.proposal):
            raise Refuse("LEASE_CLOSED")
        receipt = digest_of(lease.encode())
        names = {"lease": lease, "proposal": held.proposal, "job": held.job}
        federation = self.state.federations.get(held.proposal)
        if federation is not None:
            terms, current = self.terms[held.proposal], federation.current
            gone = dict.fromkeys(left.split(), "NORM_EXCEEDED")
            enough = len(current.updates) - len(gone) >= terms["smallest_cohort"]
            until = current.number + 1 + terms["quarantine_rounds"]
            entry = {"kind": "release", **names, "round": current.number, "release": receipt}
            entry |= {"receipt": receipt if enough else "", "left": gone, "until": until}
            committed = await self.commit(entry)
            return enclaves_pb2.Released(index=committed.index)
        committed = await self.commit({"kind": "release", **names, "receipt": receipt})
        return enclaves_pb2.Released(index=committed.index)


def end_with_host() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role")
    for name in ("host", "cert", "token", "origin", "bundle", "scratch"):
        parser.add_argument("--" + name)
    args = parser.parse_args()
    threading.Thread(target=end_with_host, daemon=True).start()
    credentials = grpc.ssl_channel_credentials(Path(args.cert).read_bytes())
    async with grpc.aio.secure_channel(args.host, credentials, options=GRPC_OPTIONS) as channel:
        enclave = (
            Authority(args.origin, channel)
            if args.role == "authority"
            else Worker(Path(args.bundle), Path(args.scratch))
        )
        stub: Any = enclaves_pb2_grpc.EnclavesStub(channel)
        metadata = (*METADATA, (TOKEN_KEY, args.token))
        call = stub.Attach(enclave.link.outgoing(), metadata=metadata)
        greeted = asyncio.ensure_future(greet(enclave, args.role))
        async for message in call:
            enclave.link.receive(message)
        greeted.cancel()
    os._exit(enclave.code)


async def greet(enclave: Authority | Worker, role: str) -> None:
    hello = enclaves_pb2.Hello(wire_version=WIRE_VERSION, role=role)
    await enclave.link.request(K.KIND_HELLO, hello)
    try:
        await enclave.boot()
    except Exception as error:  # noqa: BLE001
        print(f"boot failed {type(error).__name__} {error}", file=sys.stderr, flush=True)
        os._exit(78)


if __name__ == "__main__":
    asyncio.run(main())
