# SPDX-License-Identifier: Apache-2.0
"""What a stranger knows of a host, and one kind of abuse."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from placet.proto.limits import VERSION_KEY, WIRE_VERSION

METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)
_BREATH = 0.02  # seconds, so that a stranger who is refused at once does not only count


class There:
    """A host as a stranger finds it: address, certificate, and the council's charter."""

    def __init__(self, address: str, certificate: Path, pin: str, charter: str) -> None:
        self.address, self.pin, self.charter = address, pin, charter
        self._credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.tls.set_alpn_protocols(["h2"])

    def channel(self) -> grpc.aio.Channel:
        """A connection of its own."""
        options = (
            ("grpc.ssl_target_name_override", "localhost"),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 1 << 26),
        )
        return grpc.aio.secure_channel(self.address, self._credentials, options=options)

    async def connect(
        self, *, tls: bool = True
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection without gRPC."""
        host, _, port = self.address.rpartition(":")
        return await asyncio.open_connection(host, int(port), ssl=self.tls if tls else None)


@dataclass(frozen=True, slots=True)
class Abuse:
    """What one stranger does, over and over, over one connection or many; `width` do it at once."""

    once: Callable[[There, grpc.aio.Channel], Awaitable[object]]
    width: int
    pause: float = _BREATH

    async def run(self, there: There, channel: grpc.aio.Channel, told: Counter[str]) -> None:
        """Until somebody ends it."""
        while True:
            try:
                await self.once(there, channel)
                told["done"] += 1
            except grpc.aio.AioRpcError as error:
                told[error.code().name] += 1
            except (OSError, EOFError, TimeoutError) as error:
                told[type(error).__name__] += 1
            await asyncio.sleep(self.pause)
