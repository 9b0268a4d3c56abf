# SPDX-License-Identifier: Apache-2.0
"""Joins: worker and authority attest to each other, each to the other's nonce. Nothing on the hot
path attests again."""

import os
from collections import OrderedDict
from dataclasses import dataclass

from google.protobuf.message import Message

from placet.attestation import NONCE_BYTES, Expected, Policy, believe
from placet.enclave.authority.core import Core, Effect
from placet.enclave.authority.journal import Covering
from placet.enclave.peer import Peer
from placet.governance.codec import Json
from placet.governance.envelope import digest_of
from placet.governance.judgements import leasing
from placet.proto.v1 import enclaves_pb2
from placet.refusals import FrameUnexpected, JoinUnknown

_MAX_OFFERS = 1024


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker of this boot, and the enclave id under which the host relays to it."""

    peer: Peer
    enclave_id: str


class Joins:
    """The workers that have joined since the authority started and may still ask for something."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._nonces: OrderedDict[str, bytes] = OrderedDict()
        self._joined: dict[str, Joined] = {}

    async def offer(self, frame: enclaves_pb2.Frame) -> Effect:
        """First half: our evidence for the worker's nonce, and our nonce for its evidence."""
        core = self._core
        request = enclaves_pb2.JoinHello.FromString(frame.payload)
        await core.judged(core.ledger.in_force)
        state = core.ledger.state
        documents = [await core.document(d) for d in (state.charter, *state.constitutions)]

        def effect(covering: Covering) -> Message:
            evidence = core.keys.evidence(core.attester, request.nonce, covering.note)
            return enclaves_pb2.JoinOffer(
                identity=core.keys.identity.to_bytes(),
                evidence=evidence.to_bytes(),
                checkpoint=covering.note,
                charter=documents[0],
                constitutions=documents[1:],
                # Only once our own evidence could be made: a hello that is refused offers nothing.
                nonce=self._new_nonce(frame.peer),
            )

        return effect

    async def join(self, frame: enclaves_pb2.Frame) -> Effect:
        """Second half: the worker's evidence is verified and appraised; the log takes it in."""
        core = self._core
        request = enclaves_pb2.JoinRequest.FromString(frame.payload)
        in_force = await core.judged(core.ledger.in_force)
        nonce = self._nonces.pop(frame.peer, b"")
        if not nonce:
            raise FrameUnexpected("A join begins with a hello.", claim="nonce")
        times = core.now()
        policy = Policy.from_dict(in_force.constitution.evidence.worker)
        expected = Expected("worker", core.life.log_keys.log, core.charter, nonce)
        found = believe(request.identity, request.evidence, expected, policy, now=times.at_most)
        peer = Peer.of(found)
        worker, evidence = digest_of(request.identity), digest_of(request.evidence)
        entry = leasing.judge_join(core.ledger, worker, found.claims, evidence, nonce, times)
        self._forget_done(times.at_most)
        core.append(entry, {worker: request.identity, evidence: request.evidence})
        self._joined[worker] = Joined(peer, frame.peer)
        launched_for, lapses = found.claims.launched_for, entry["lapses"]
        answer = enclaves_pb2.Joined(worker=worker, launched_for=launched_for, lapses=lapses)
        return lambda _: answer

    def worker(self, worker: str) -> Joined:
        """A joined worker by the digest of its identity. Raises `JoinUnknown`."""
        joined = self._joined.get(worker)
        if joined is None:
            raise JoinUnknown(
                "No worker with this identity has joined since the authority started.",
                claim="worker",
                actual=worker,
            )
        return joined

    def all(self) -> list[tuple[str, Joined]]:
        """Every joined worker by its digest."""
        return list(self._joined.items())

    def appraise(self, worker: str, policy: Json) -> None:
        """Raise `AppraisalRefused` unless the worker's evidence satisfies a policy now.

        The constitution has settled at its join what its measurement is made for.
        """
        genuine = self.worker(worker).peer.attested.genuine
        genuine.appraise(Policy.from_dict(policy), now=self._core.believed().at_most)

    def _new_nonce(self, peer: str) -> bytes:
        self._nonces[peer] = os.urandom(NONCE_BYTES)
        if len(self._nonces) > _MAX_OFFERS:
            self._nonces.popitem(last=False)
        return self._nonces[peer]

    def _forget_done(self, now: int) -> None:
        """Workers that have had their lease, or whose join has lapsed without one, ask for nothing
        any more."""
        state = self._core.ledger.state
        for worker in list(self._joined):
            join = state.joins[worker]
            over = state.leases[join.lease].status != "open" if join.lease else now > join.lapses
            if over:
                del self._joined[worker]
