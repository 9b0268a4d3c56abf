# SPDX-License-Identifier: Apache-2.0
"""One connection to one host: the calls that can be made over it, and whom a secret is given to."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import grpc.aio

from placet.client.connection.access import Access
from placet.client.connection.calls import translated
from placet.client.errors import EvidenceSimulated
from placet.proto.v1 import (
    access_pb2_grpc,
    blobs_pb2_grpc,
    federations_pb2_grpc,
    founding_pb2_grpc,
    governance_pb2_grpc,
    inference_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2_grpc,
    runs_pb2_grpc,
)
from placet.refusals import Refused

Q_contra = TypeVar("Q_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
Q = TypeVar("Q")
R = TypeVar("R")

CALL_TIMEOUT = 60.0


class Method(Protocol[Q_contra, R_co]):
    """A unary method of a stub."""

    def __call__(
        self,
        request: Q_contra,
        /,
        *,
        timeout: float | None = None,
        metadata: tuple[tuple[str, str], ...] | None = None,
    ) -> Awaitable[R_co]: ...


class Connection:
    """The stubs of a channel, and the login with which they are called.

    simulated: whether its caller gives secrets to whom no hardware vouches for. now: gives Unix
    seconds.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        simulated: bool = False,
        now: Callable[[], float] = time.time,
        access: Access | None = None,
    ) -> None:
        self.blobs = blobs_pb2_grpc.BlobsStub(channel)
        self.federations = federations_pb2_grpc.FederationsStub(channel)
        self.founding = founding_pb2_grpc.FoundingStub(channel)
        self.governance = governance_pb2_grpc.GovernanceStub(channel)
        self.inference = inference_pb2_grpc.InferenceStub(channel)
        self.jobs = jobs_pb2_grpc.JobsStub(channel)
        self.keys = keys_pb2_grpc.KeysStub(channel)
        self.log = log_pb2_grpc.LogStub(channel)
        self.runs = runs_pb2_grpc.RunsStub(channel)
        self.access = access or Access(access_pb2_grpc.AccessStub(channel), None, str, "", None)
        self._simulated = simulated
        self._now = now

    def now(self) -> int:
        """The present time in whole Unix seconds."""
        return int(self._now())

    async def ask(self, method: Method[Q, R], request: Q, *, timeout: float = CALL_TIMEOUT) -> R:
        """One unary call, after a login where the host asks for one. Raises `Refused`,
        `Unreachable` or `AnswerMalformed`."""
        token = self.access.token
        try:
            with translated():
                return await method(request, timeout=timeout, metadata=self.access.metadata())
        except Refused as refused:
            if refused.reason != "LOGIN_REQUIRED" or not await self.access.log_in(token):
                raise
        with translated():
            return await method(request, timeout=timeout, metadata=self.access.metadata())

    def check_simulated(self, simulated: bool) -> None:
        """Refuse to give a secret to simulated evidence, unless the caller has said so.

        Raises `EvidenceSimulated`.
        """
        if simulated and not self._simulated:
            raise EvidenceSimulated(
                "The evidence is SIMULATED: no hardware vouches for it, and whoever runs the host "
                "can read what is given to it. Give it nothing that may not be public; for that, "
                "say --simulated (in Python: simulated=True).",
                claim="evidence",
                expected="evidence of hardware",
                actual="simulation",
            )
