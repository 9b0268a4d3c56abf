# SPDX-License-Identifier: Apache-2.0
"""Which part of the authority answers which kind of frame, and for whom; and when an answer leaves.

Whatever was judged, to yes or to no, leaves once the log is durable as it then was. That is here
and nowhere else. Two kinds of frame leave without: STOPPED, which says no (leases.py), and what the
authority asks the host to store or to give back.
"""

from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError, Message

from placet.attestation import Attester
from placet.enclave.authority.boot import Life
from placet.enclave.authority.clock import Clock
from placet.enclave.authority.core import Core, Effect
from placet.enclave.authority.council import Council, append_boot
from placet.enclave.authority.endings import Endings
from placet.enclave.authority.federations import Federations
from placet.enclave.authority.joins import Joins
from placet.enclave.authority.journal import Covering
from placet.enclave.authority.leases import Leases
from placet.enclave.authority.releases import Releases
from placet.enclave.authority.services import Services
from placet.enclave.peer import BootKeys
from placet.proto.v1 import enclaves_pb2 as pb
from placet.refusals import FrameUnexpected, RequestMalformed

Answer = Callable[[pb.Frame], Awaitable[Effect]]


class Authority:
    """One life of the authority. `handle` answers the frames of host and workers."""

    def __init__(self, life: Life, keys: BootKeys, attester: Attester, clock: Clock) -> None:
        self.core = Core(life, keys, attester, clock)
        joins = Joins(self.core)
        leases, releases = Leases(self.core, joins), Releases(self.core, joins)
        council, federations = Council(self.core, leases), Federations(self.core)
        self._endings = Endings(self.core)
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
        """Answer one frame, or raise what refuses it, once all that either was judged over is
        durable."""
        answer = (self._enclaves if frame.peer else self._host).get(frame.kind)
        if answer is None:
            raise FrameUnexpected(
                "The authority does not answer such frames from there.", claim="kind"
            )
        if frame.kind != pb.KIND_RECORD:  # a stop is judged, and told to workers, all the same
            self.core.life.journal.check_room()
        try:
            effect = await answer(frame)
        except DecodeError:
            raise RequestMalformed("The request is not of its kind.", claim="payload") from None
        except Exception:
            await self._durable()
            raise
        return effect(await self._durable())

    async def _durable(self) -> Covering:
        """End what is over by now, and wait until everything that the log has is covered."""
        await self._endings.append()
        return await self.core.life.journal.covered(self.core.ledger.tree.size - 1)
