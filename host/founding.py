# SPDX-License-Identifier: Apache-2.0
"""The board on which a council is founded by links: one, small, and only until there is a council.

Whoever opens it shows the token that the host has shown its operator. Whoever posts holds a key of
the invitation: at most two posts each, of `MAX_POST` bytes. So strangers add nothing, and while a
board is open they found nothing either.

    founding/token      hexadecimal digits, made when the host first starts without a council
    founding/board.json the invitation and the posts
"""

import asyncio
import base64
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from placet.auditing.invitations import (
    Board,
    Enrolment,
    Invitation,
    Post,
    matches,
    read_board,
    read_post,
)
from placet.governance.codec import decode, encode, parse_object
from placet.governance.envelope import digest_of
from placet.host.store.durable import write_durable
from placet.refusals import AlreadyFounded, DocumentNotFound, NotPermitted, Refusal

_MAX_FILE = 8 * 1024 * 1024
_MODE = 0o600


class FoundingBoard:
    """In a folder of its own below the state; `founded` says whether there is a council."""

    def __init__(self, folder: Path, founded: Callable[[], bool]) -> None:
        self._folder = folder
        self._founded = founded
        self._file, self._token = folder / "board.json", folder / "token"
        self._digest, self._invitation = "", b""
        self._posts: dict[tuple[str, type[Post]], bytes] = {}
        self._writing = asyncio.Lock()
        if self._file.exists():
            self._read()

    @property
    def token(self) -> str:
        """What opens the board; empty once there is a council."""
        if self._founded():
            return ""
        if not self._token.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_durable(self._token, secrets.token_hex(32).encode(), mode=_MODE)
        return self._token.read_text()

    async def open(self, token: str, invitation: bytes) -> None:
        """A board for this invitation, in place of an earlier one. Raises `AlreadyFounded`,
        `NotPermitted`, or as `decode` does."""
        if self._founded():
            raise AlreadyFounded("The council of this host is founded. Nobody is invited any more.")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise NotPermitted(
                "The token is not the one that the host shows its operator when it starts.",
                claim="token",
            )
        decode(Invitation, invitation)
        async with self._writing:
            self._invitation, self._digest, self._posts = invitation, digest_of(invitation), {}
            await self._write()

    def read(self, digest: str) -> tuple[bytes, list[bytes]]:
        """The invitation of this digest, and what is posted. Raises `DocumentNotFound`."""
        if not digest or digest != self._digest:
            raise DocumentNotFound("The host has no board of this digest. Ask for another link.")
        return self._invitation, list(self._posts.values())

    async def post(self, digest: str, envelope: bytes) -> None:
        """Add a post. An enrolment stays as it is; an assent follows an earlier one.

        Raises `DocumentNotFound`, `NotPermitted`, or as `read_post` does.
        """
        async with self._writing:  # meanwhile nobody opens another board
            invitation, _ = self.read(digest)
            post = read_post(digest, decode(Invitation, invitation), envelope)
            key = (post.id, type(post))
            held = self._posts.get(key)
            if held == envelope:
                return
            if held is not None and isinstance(post, Enrolment):
                raise NotPermitted(
                    f"Somebody has joined as {post.id} already, with other keys. Ask whoever "
                    "invited you for another link.",
                    claim="id",
                    actual=post.id,
                )
            self._posts[key] = envelope
            await self._write()

    def check_found(self, constitution: bytes) -> None:
        """Let a founding pass: any without a board, else the board's own. Raises
        `NotPermitted`."""
        if self._digest and not self._founded() and not matches(self._board(), constitution):
            raise NotPermitted(
                "Another council is being founded at this host, by links, and not everybody has "
                "joined. Its members found it.",
                claim="constitution",
            )

    def _board(self) -> Board:
        return read_board(self._digest, self._invitation, self._posts.values())

    def _read(self) -> None:
        value = parse_object(self._file.read_bytes(), _MAX_FILE)
        self._invitation = base64.b64decode(value["invitation"])
        self._digest = digest_of(self._invitation)
        invitation = decode(Invitation, self._invitation)
        for text in value["posts"]:
            envelope = base64.b64decode(text)
            try:
                post = read_post(self._digest, invitation, envelope)
            except Refusal:
                continue  # a host starts all the same
            self._posts[post.id, type(post)] = envelope

    async def _write(self) -> None:
        invitation, *posts = (
            base64.b64encode(one).decode() for one in (self._invitation, *self._posts.values())
        )
        data = encode({"invitation": invitation, "posts": posts})
        await asyncio.to_thread(write_durable, self._file, data, mode=_MODE)
