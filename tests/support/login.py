# SPDX-License-Identifier: Apache-2.0
"""Raw channels to a host, whose calls are a principal's once it has logged in over them."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from placet.governance.documents.login import Login
from placet.governance.envelope import sign
from placet.governance.keys import SigningKey
from placet.proto.limits import ACCESS_KEY, BEARER, GRPC_OPTIONS, VERSION_KEY, WIRE_VERSION
from placet.proto.v1 import access_pb2, access_pb2_grpc

_METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)
_RENEWED = 300.0  # seconds; a token lives twice as long
_OPTIONS = (
    *GRPC_OPTIONS,
    ("grpc.ssl_target_name_override", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
)


class Visitor:
    """A channel to a host; a stranger's until `log_in`."""

    def __init__(self, address: str, certificate_pem: bytes, **options: int) -> None:
        self.token = ""
        self.channel = grpc.aio.secure_channel(
            address,
            _bringing(certificate_pem, lambda: self.token),
            options=(*_OPTIONS, *options.items()),
        )
        self._stub: Any = access_pb2_grpc.AccessStub(self.channel)

    async def login(self, charter: str, by: str, pin: str, key: SigningKey) -> bytes:
        """A signed answer to a challenge of this connection."""
        asked = await self._stub.Challenge(access_pb2.ChallengeRequest(), metadata=_METADATA)
        return sign(Login(charter, by, pin, asked.challenge), key)

    async def send(self, login: bytes) -> str:
        """The token that the host gives for a login."""
        request = access_pb2.LoginRequest(envelope=login)
        return str((await self._stub.Login(request, metadata=_METADATA)).token)

    async def log_in(self, charter: str, by: str, pin: str, key: SigningKey) -> None:
        """From here on calls are this principal's."""
        self.token = await self.send(await self.login(charter, by, pin, key))


def own_channel(address: str, certificate_pem: bytes) -> grpc.Channel:
    """A channel to a host by its own certificate."""
    tls = grpc.ssl_channel_credentials(certificate_pem)
    return grpc.secure_channel(address, tls, options=_OPTIONS)


class Regular:
    """The same for code without an event loop, which logs in by itself once `charter` gives a
    council's digest, and again in time."""

    def __init__(
        self,
        address: str,
        certificate_pem: bytes,
        login: Callable[[str], Login | None],
        key: SigningKey,
        own: bytes = b"",
    ) -> None:
        tls = grpc.ssl_channel_credentials(certificate_pem, own or None, own or None)
        self._stub: Any = access_pb2_grpc.AccessStub(
            grpc.secure_channel(address, tls, options=_OPTIONS)
        )
        self._login, self._key = login, key
        self._token, self._since = "", 0.0
        self.channel = grpc.secure_channel(
            address, _bringing(certificate_pem, self.token, own), options=_OPTIONS
        )

    def token(self) -> str:
        """The token as it is now; empty for a stranger's."""
        with suppress(grpc.RpcError):  # the call itself fails then, and says why
            self._renew()
        return self._token

    def _renew(self) -> None:
        if not self._token or time.monotonic() > self._since + _RENEWED:
            asked = self._stub.Challenge(access_pb2.ChallengeRequest(), metadata=_METADATA)
            login = self._login(asked.challenge)
            if login is not None:
                request = access_pb2.LoginRequest(envelope=sign(login, self._key))
                self._token = str(self._stub.Login(request, metadata=_METADATA).token)
                self._since = time.monotonic()


def _bringing(
    certificate_pem: bytes, token: Callable[[], str], own: bytes = b""
) -> grpc.ChannelCredentials:
    """TLS to this certificate, with the caller's own if there is one; each call brings the token
    along."""

    def bring(_: object, give: Callable[..., None]) -> None:
        held = token()
        give(((ACCESS_KEY, BEARER + held),) if held else (), None)

    return grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(certificate_pem, own or None, own or None),
        grpc.metadata_call_credentials(bring),  # type: ignore[arg-type]
    )
