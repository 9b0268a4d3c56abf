# SPDX-License-Identifier: Apache-2.0
"""Founding: the board on which those who found a council find each other."""

from typing import Any

import grpc.aio

from placet.host.founding import FoundingBoard
from placet.proto.v1 import founding_pb2, founding_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class FoundingService(founding_pb2_grpc.FoundingServicer):
    def __init__(self, board: FoundingBoard) -> None:
        self._board = board

    async def Open(
        self, request: founding_pb2.OpenBoardRequest, context: Context
    ) -> founding_pb2.Board:
        await self._board.open(request.token, request.invitation)
        return founding_pb2.Board(invitation=request.invitation)

    async def Read(
        self, request: founding_pb2.ReadBoardRequest, context: Context
    ) -> founding_pb2.Board:
        return self._answer(request.digest)

    async def Post(self, request: founding_pb2.PostRequest, context: Context) -> founding_pb2.Board:
        await self._board.post(request.digest, request.envelope)
        return self._answer(request.digest)

    def _answer(self, digest: str) -> founding_pb2.Board:
        invitation, posts = self._board.read(digest)
        return founding_pb2.Board(invitation=invitation, posts=posts)
