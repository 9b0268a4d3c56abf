# SPDX-License-Identifier: Apache-2.0
"""Which part of the authority answers which kind of frame, and for whom."""

from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError, Message

from placet.attestation import Attester
from placet.enclave.authority.boot import Life
from placet.enclave.authority.clock import Clock
from placet.enclave.authority.core import Core
from placet.enclave.authority.council import Council, append_boot
from placet.enclave.authority.federations import Federations
from placet.enclave.authority.joins import Joins
from placet.enclave.authority.leases import Leases
from placet.enclave.authority.releases import Releases
from placet.enclave.authority.services import Services
from placet.enclave.errors import FrameUnexpected, RequestMalformed
from placet.enclave.peer import BootKeys
from placet.proto.v1 import enclaves_pb2 as pb

Answer = Callable[[pb.Frame], Awaitable[Message]]


class Authority:
    """One life of the authority. `handle` answers the frames of host and workers."""

    def __init__(self, life: Life, keys: BootKeys, attester: Attester, clock: Clock) -> None:
        self.core = Core(life, keys, attester, clock)
        joins = Joins(self.core)
        leases, releases = Leases(self.core, joins), Releases(self.core, joins)
        council, federations = Council(self.core, leases), Federations(self.core)
        self._host: dict[int, Answer] = {
            pb.KIND_LEASE: leases.lease,
            pb.KIND_EVIDENCE: council.evidence,
            pb.KIND_FOUND: council.found,
            pb.KIND_RECORD: council.record,
            pb.KIND_AMEND: council.amend,
            pb.KIND_PROVISION: council.provision,
            pb.KIND_ADMIT: council.admit,
            pb.KIND_CLOSE: leases.close,
            pb.KIND_RESULT: releases.result,
            pb.KIND_OPEN_ROUND: federations.open_round,
            pb.KIND_UPDATE: federations.update,
            pb.KIND_CLOSE_ROUND: federations.close_round,
            pb.KIND_MODEL: federations.model,
        }
        # What enclaves may ask for, whatever runs in them: all of it is judged by what it contains.
        self._enclaves: dict[int, Answer] = {
            pb.KIND_JOIN_HELLO: joins.offer,
            pb.KIND_JOIN: joins.join,
            pb.KIND_RENEW: leases.renew,
            pb.KIND_RELEASE: releases.release,
            pb.KIND_LEASE: leases.lease,
            pb.KIND_DRAW: Services(self.core, joins).draw,
        }

    async def start(self) -> None:
        """Append the boot entry, where the log has been founded."""
        if self.core.ledger.state.charter:
            await self.core.life.journal.covered(append_boot(self.core))

    async def handle(self, frame: pb.Frame) -> Message:
        """Answer one frame, or raise what refuses it."""
        answer = (self._enclaves if frame.peer else self._host).get(frame.kind)
        if answer is None:
            raise FrameUnexpected(
                "The authority does not answer such frames from there.", claim="kind"
            )
        try:
            return await answer(frame)
        except DecodeError:
            raise RequestMalformed("The request is not of its kind.", claim="payload") from None
