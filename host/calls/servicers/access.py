# SPDX-License-Identifier: Apache-2.0
"""Access: a principal logs in."""

from typing import Any

import grpc.aio

from placet.host.callers.logins import Logins
from placet.proto.v1 import access_pb2, access_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class AccessService(access_pb2_grpc.AccessServicer):
    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    async def Challenge(
        self, request: access_pb2.ChallengeRequest, context: Context
    ) -> access_pb2.ChallengeResponse:
        return access_pb2.ChallengeResponse(challenge=self._logins.challenge(context.peer()))

    async def Login(
        self, request: access_pb2.LoginRequest, context: Context
    ) -> access_pb2.LoginResponse:
        token, seconds = await self._logins.login(
            request.envelope, request.pass_envelope, context.peer()
        )
        return access_pb2.LoginResponse(token=token, seconds=int(seconds))
