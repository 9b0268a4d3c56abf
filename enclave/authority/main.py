# SPDX-License-Identifier: Apache-2.0
"""The authority as a process: dial the host, come to life, answer until the stream ends."""

import asyncio
import logging
import time
from collections.abc import Callable

from google.protobuf.message import Message

from placet.attestation import Attester
from placet.enclave.authority.boot import Life, open_vault
from placet.enclave.authority.clock import Clock
from placet.enclave.authority.service import Authority
from placet.enclave.connection import Connection
from placet.enclave.peer import BootKeys
from placet.proto.v1 import enclaves_pb2

_log = logging.getLogger("placet.authority")


async def run_authority(
    address: str,
    certificate: bytes,
    token: str,
    origin: str,
    attester: Attester,
    failed: Callable[[Exception], None] = lambda _: None,
) -> None:
    """Run until the host ends the stream.

    Raises what keeps the authority from coming to life, or from storing. `failed` hears of it, and
    so does the host, before the stream ends: with its stream the host ends an enclave, which then
    says nothing more.
    """
    ready: asyncio.Future[Authority] = asyncio.get_running_loop().create_future()

    async def handle(frame: enclaves_pb2.Frame) -> Message:
        return await (await asyncio.shield(ready)).handle(frame)

    connection = Connection(address, certificate, token, handle)
    try:
        await connection.attach("authority")
        vault = await open_vault(connection, attester)
        life = Life(connection, vault, origin)
        await life.replay()
        keys = BootKeys("authority")
        authority = Authority(life, keys, attester, Clock(time.time))
        storing = asyncio.create_task(life.journal.run())
        await authority.start()
        ready.set_result(authority)
        _log.info("ready entries=%d boot=%s", life.ledger.tree.size, keys.boot)
        ended = asyncio.create_task(connection.ended())
        await asyncio.wait([storing, ended], return_when=asyncio.FIRST_COMPLETED)
        if storing.done():
            storing.result()  # raises: that the host did not store is why we end
    except Exception as error:
        failed(error)
        connection.say_why(error)
        raise
    finally:
        await connection.close()
