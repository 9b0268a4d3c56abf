# SPDX-License-Identifier: Apache-2.0
"""The Attach service: enclaves dial in with their launch token, say hello, and are relayed by id.

1. A stream begins with a token that the host gave to a process it launched: nobody else has one,
   and a call without it is refused before anything is kept for it. A token is good once. The first
   frame is HELLO. Which role the stream has is what was launched, not what it says.
2. A frame with a peer is passed on, as it is, if its sender's role may send its kind to that peer;
   the answer, or the refusal, comes back the same way.
3. Every other frame is for the host, and goes to `Events`.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from typing import Any, Protocol, TypeVar

import grpc.aio
from google.protobuf.message import DecodeError, Message

from placet.proto.frames import DEFAULT_TIMEOUT, Link
from placet.proto.limits import TOKEN_KEY, WIRE_VERSION
from placet.proto.v1 import enclaves_pb2 as pb
from placet.proto.v1 import enclaves_pb2_grpc, inference_pb2
from placet.refusals import (
    AuthorityUnavailable,
    FrameUnexpected,
    RequestMalformed,
    WireVersion,
    WorkerUnavailable,
)

M = TypeVar("M", bound=Message)
AUTHORITY = "authority"
WORKER = "worker"
_HELLO_SECONDS = 10.0
_MAX_RELAY_SECONDS = 120.0
_RELAYED = {
    WORKER: frozenset(
        {
            pb.KIND_JOIN_HELLO,
            pb.KIND_JOIN,
            pb.KIND_LEASE,
            pb.KIND_RENEW,
            pb.KIND_RELEASE,
            pb.KIND_DRAW,
        }
    ),
    AUTHORITY: frozenset({pb.KIND_STOPPED}),
}


class Session:
    """One attached enclave."""

    def __init__(self, enclave: str, role: str, token: str, link: Link) -> None:
        self.enclave = enclave
        self.role = role
        self.token = token
        self.link = link


class Events(Protocol):
    """What the host does with what enclaves say. Exceptions go back as refusals."""

    def attached(self, session: Session) -> None:
        """An enclave has said hello."""

    def detached(self, session: Session) -> None:
        """Its stream has ended."""

    def joined(self, session: Session, joined: pb.Joined) -> None:
        """The authority has let a worker join."""

    def progress(self, session: Session, progress: pb.Progress) -> None:
        """A worker's attempt is under way."""

    def ended(self, session: Session, ended: pb.Ended) -> None:
        """A worker's attempt ended without release, or an enclave says why it ends without one."""

    def offered(self, session: Session, offered: pb.Offered) -> None:
        """A worker of a service takes questions."""

    def answered(self, session: Session, answers: inference_pb2.Answers) -> None:
        """A worker of a service answers."""

    async def commit(self, commit: pb.Commit) -> None:
        """Store a step of the authority; return once it is durable."""

    async def secret(self, name: str) -> pb.Secret:
        """A secret that the authority stored."""
        ...


class Tokens:
    """The launch tokens that no stream has begun with."""

    def __init__(self) -> None:
        self._roles: dict[str, str] = {}

    def admit(self, role: str) -> str:
        """A new token for a process about to be launched in this role."""
        token = secrets.token_hex(32)
        self._roles[token] = role
        return token

    def revoke(self, token: str) -> str | None:
        """Use a token up; the role that it was made for, if it was unused."""
        return self._roles.pop(token, None)


class Enclaves(enclaves_pb2_grpc.EnclavesServicer):
    """`check_clock` refuses what workers ask the authority while the clock is not believed."""

    def __init__(
        self, tokens: Tokens, events: Events, check_clock: Callable[[], None] = lambda: None
    ) -> None:
        self._check_clock = check_clock
        self._tokens = tokens
        self._events = events
        self._sessions: dict[str, Session] = {}
        self._authority: Session | None = None

    def is_attached(self, token: str) -> bool:
        """Whether an enclave that was launched with this token is attached."""
        return any(secrets.compare_digest(s.token, token) for s in self._sessions.values())

    async def Attach(
        self,
        request_iterator: AsyncIterator[pb.Frames],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[pb.Frames]:
        """Serve one enclave until either end closes. Raises `FrameUnexpected` for a stranger."""
        given: Any = context.invocation_metadata() or ()
        token = str(dict(given).get(TOKEN_KEY, ""))
        role = self._tokens.revoke(token)
        if role is None:
            raise FrameUnexpected("The token is of no process that this host launched.")
        stream = _Stream(self, token, role)
        reader = asyncio.ensure_future(stream.read(request_iterator))
        try:
            async for message in stream.link.outgoing():
                yield message
        finally:
            reader.cancel()
            stream.end()

    def greet(self, hello: pb.Hello, token: str, role: str, link: Link) -> Session:
        """Rule 1. Raises `FrameUnexpected` or `WireVersion`."""
        if hello.wire_version != WIRE_VERSION:
            raise WireVersion(
                "The enclave speaks another version of the wire.",
                expected=str(WIRE_VERSION),
                actual=str(hello.wire_version),
            )
        if role != hello.role:
            raise FrameUnexpected("The process was launched in another role.", expected=role)
        session = Session(secrets.token_hex(8), role, token, link)
        self._sessions[session.enclave] = session
        if role == AUTHORITY:
            self._authority = session
        # In the next round of the loop: nobody may ask an enclave before its welcome is queued.
        asyncio.get_running_loop().call_soon(self._events.attached, session)
        return session

    def forget(self, session: Session) -> None:
        """The stream has ended."""
        self._sessions.pop(session.enclave, None)
        if self._authority is session:
            self._authority = None
        self._events.detached(session)

    async def handle(self, session: Session, frame: pb.Frame) -> Message | bytes | None:
        """Rules 2 and 3."""
        if frame.peer:
            return await self._relay(session, frame)
        events = self._events
        match session.role, frame.kind:
            case "authority", pb.KIND_COMMIT:
                await events.commit(_parse(pb.Commit.FromString, frame))
                return b""
            case "authority", pb.KIND_FETCH_SECRET:
                return await events.secret(_parse(pb.FetchSecret.FromString, frame).name)
            case "worker", pb.KIND_ANSWERS:
                events.answered(session, _parse(inference_pb2.Answers.FromString, frame))
            case "worker", pb.KIND_OFFER:
                events.offered(session, _parse(pb.Offered.FromString, frame))
            case "worker", pb.KIND_PROGRESS:
                events.progress(session, _parse(pb.Progress.FromString, frame))
            case _, pb.KIND_ENDED:
                events.ended(session, _parse(pb.Ended.FromString, frame))
            case _:
                raise FrameUnexpected(f"Frame kind {frame.kind} is not for the host.")
        return None

    async def _relay(self, session: Session, frame: pb.Frame) -> bytes | None:
        if frame.kind not in _RELAYED[session.role]:
            raise FrameUnexpected(f"A {session.role} may not send kind {frame.kind} to a peer.")
        target = self._peer(session, frame.peer)
        if not frame.id:
            target.link.send(frame.kind, frame.payload, peer=session.enclave)
            return None
        timeout = DEFAULT_TIMEOUT
        if frame.deadline_ms:
            timeout = min(max(frame.deadline_ms / 1000 - time.time(), 0.0), _MAX_RELAY_SECONDS)
        reply = await target.link.request(
            frame.kind, frame.payload, peer=session.enclave, timeout=timeout
        )
        if frame.kind == pb.KIND_JOIN:
            self._events.joined(session, pb.Joined.FromString(reply))
        return reply

    def _peer(self, session: Session, peer: str) -> Session:
        if session.role == WORKER:
            if peer != AUTHORITY:
                raise FrameUnexpected("A worker speaks to the authority only.")
            self._check_clock()
            if self._authority is None:
                raise AuthorityUnavailable("No authority is attached. Try again.")
            return self._authority
        target = self._sessions.get(peer)
        if target is None or target.role != WORKER:
            raise WorkerUnavailable("The worker is not attached any more.", actual=peer)
        return target


class _Stream:
    """One Attach stream of a process that was launched, before and after hello."""

    def __init__(self, enclaves: Enclaves, token: str, role: str) -> None:
        self._enclaves = enclaves
        self._token, self._role = token, role
        self._session: Session | None = None
        self.link = Link(self._handle)
        self._timer = asyncio.get_running_loop().call_later(_HELLO_SECONDS, self.link.close)

    async def read(self, messages: AsyncIterator[pb.Frames]) -> None:
        """Take in what arrives until the enclave closes its side."""
        # A broken stream ends like a closed one; a message out of bounds breaks it.
        with closing(self.link), suppress(Exception):
            async for message in messages:
                self.link.receive(message)

    def end(self) -> None:
        self._timer.cancel()
        self.link.close()
        if self._session is not None:
            self._enclaves.forget(self._session)

    async def _handle(self, frame: pb.Frame) -> Message | bytes | None:
        if self._session is not None:
            return await self._enclaves.handle(self._session, frame)
        if frame.kind != pb.KIND_HELLO:
            raise FrameUnexpected("The first frame of an enclave is HELLO.")
        hello = _parse(pb.Hello.FromString, frame)
        self._session = self._enclaves.greet(hello, self._token, self._role, self.link)
        self._timer.cancel()
        return pb.Welcome(enclave_id=self._session.enclave, wire_version=WIRE_VERSION)


def _parse(parse: Callable[[bytes], M], frame: pb.Frame) -> M:
    try:
        return parse(frame.payload)
    except DecodeError:
        raise RequestMalformed(f"The payload of a frame of kind {frame.kind} is none.") from None
