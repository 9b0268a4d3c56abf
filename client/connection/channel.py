# SPDX-License-Identifier: Apache-2.0
"""The way to a host: TLS to the one certificate that is pinned.

TLS protects the service and not the secrets, which are sealed to enclaves; the pin keeps others
from answering in the host's place. The certificate is fetched, compared with the pin, and is then
the only root that gRPC is given.
"""

import asyncio
import hashlib
import ssl

import grpc
import grpc.aio

from placet.client.errors import HostPinMismatch, HostUnreachable, UsageRefused
from placet.proto.limits import GRPC_OPTIONS, VERSION_KEY, WIRE_VERSION

METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)

_CERTIFICATE_NAME = "localhost"  # every host's certificate has it, whatever its address
_FETCH_TIMEOUT = 10.0


async def open_channel(address: str, pin: str) -> grpc.aio.Channel:
    """A channel to the host at "address:port" with this pin. Raises `HostUnreachable` or
    `HostPinMismatch`."""
    certificate = await asyncio.to_thread(fetch_certificate, address)
    found = pin_of(certificate)
    if found != pin:
        raise HostPinMismatch(
            f"The server at {address} holds another certificate than the pinned one. If the "
            "operator confirms that the host has a new one, run placet init with the new pin; "
            "otherwise do not go on.",
            claim="pin",
            expected=pin,
            actual=found,
        )
    credentials = grpc.ssl_channel_credentials(root_certificates=certificate.encode())
    options = (*GRPC_OPTIONS, ("grpc.ssl_target_name_override", _CERTIFICATE_NAME))
    return grpc.aio.secure_channel(address, credentials, options=options)


def fetch_certificate(address: str) -> str:
    """The certificate (PEM) that is shown at "address:port", believed by nobody yet. Raises
    `HostUnreachable` or `UsageRefused`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageRefused(f'{address!r} is no address of a host. Give "address:port".')
    try:
        return ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=_FETCH_TIMEOUT)
    except (OSError, ValueError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else ""
        raise HostUnreachable(
            f"No host answers at {address} ({why or type(error).__name__}). Check the address, and "
            "that the host runs.",
            claim="host",
            actual=address,
        ) from None


def pin_of(certificate: str) -> str:
    """ "sha256:<hex>" of the DER of a PEM certificate."""
    return "sha256:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
