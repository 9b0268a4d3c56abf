# SPDX-License-Identifier: Apache-2.0
"""The way to a host: TLS to the one certificate that is pinned, or to one that a CA vouches for.

TLS protects the service and not the secrets, which are sealed to enclaves; the pin keeps others
from answering in the host's place. The certificate is fetched, compared with the pin, and is then
the only root that gRPC is given. Where another one is shown, the host is asked what it has
announced under the pinned one. It is fetched over TLS 1.3; what speaks that cannot be brought to
speak less.
"""

import asyncio
import socket
import ssl

import grpc
import grpc.aio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from placet.auditing.pins import SignedNotice, pin_of_der
from placet.client import forks
from placet.client.connection.pins import Pins
from placet.client.errors import (
    FileRefused,
    HostCertificateRefused,
    HostPinMismatch,
    HostUnreachable,
    UsageRefused,
)
from placet.proto.limits import GRPC_OPTIONS, VERSION_KEY, WIRE_VERSION
from placet.proto.v1 import certificates_pb2, certificates_pb2_grpc

METADATA = ((VERSION_KEY, str(WIRE_VERSION)),)

_OWN_NAME = "localhost"  # every certificate that a host has made itself has it
_FETCH_TIMEOUT = 10.0


async def open_channel(address: str, pins: Pins, own: bytes = b"") -> tuple[grpc.aio.Channel, str]:
    """A channel to the host at "address:port" that is known by these pins, and the one of them
    that it shows. `own`: the client's certificate and its key (PEM), where a host asks for one.

    Raises `HostUnreachable`, `HostPinMismatch`, `HostCertificateRefused`, or `FileRefused` for an
    own certificate that is none."""
    certificate = await asyncio.to_thread(fetch_certificate, address)
    found = pin_of(certificate)
    if not pins.accepts(found) and not pins.follow(
        found, await _notices(address, certificate, own)
    ):
        raise HostPinMismatch(
            f"The server at {address} holds another certificate than the pinned one, and none that "
            "was announced under it. If the operator confirms that the host has a new one, run "
            "placet init with the new pin; otherwise do not go on.",
            claim="pin",
            expected=pins.pin,
            actual=found,
        )
    return _channel(address, certificate.encode(), _name_in(certificate), own), found


async def open_channel_by_ca(
    address: str, ca: bytes, own: bytes = b""
) -> tuple[grpc.aio.Channel, str]:
    """A channel to the host at "address:port" whose certificate is good for that name, by these
    CAs (PEM), and the certificate's pin. `own` as for `open_channel`.

    Raises `HostUnreachable`, `HostCertificateRefused` or `FileRefused`."""
    certificate = await asyncio.to_thread(fetch_certificate, address, ca)
    return _channel(address, ca, "", own), pin_of(certificate)


def _channel(address: str, roots: bytes, name: str, own: bytes) -> grpc.aio.Channel:
    forks.mark_used()
    if own:
        check_certificate(own)
    # Of either, gRPC reads what it needs and leaves out the rest.
    credentials = grpc.ssl_channel_credentials(roots, own or None, own or None)
    named = (("grpc.ssl_target_name_override", name),) if name else ()
    return grpc.aio.secure_channel(address, credentials, options=(*GRPC_OPTIONS, *named))


def check_certificate(pem: bytes) -> None:
    """Refuse what is no certificate of a client's with its key. Raises `FileRefused`."""
    try:
        key = serialization.load_pem_private_key(pem, None).public_key()
        fits = x509.load_pem_x509_certificate(pem).public_key() == key
    except (TypeError, ValueError, UnsupportedAlgorithm):
        fits = False
    if not fits:
        raise FileRefused(
            "A client's certificate is PEM: the certificate, and its key without a passphrase, in "
            "one file.",
            claim="certificate",
        )


def fetch_certificate(address: str, ca: bytes = b"") -> str:
    """The certificate (PEM) that is shown at "address:port", believed by nobody yet unless CAs are
    given.

    Raises `HostUnreachable`, `UsageRefused`, or `HostCertificateRefused` by the CAs.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageRefused(f'{address!r} is no address of a host. Give "address:port".')
    try:
        return _shown(host.strip("[]"), int(port), ca)
    except ssl.SSLCertVerificationError as error:
        raise HostCertificateRefused(
            f"The CA does not vouch for the certificate at {address} ({error.verify_message}).",
            claim="ca",
            actual=address,
        ) from None
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
    return pin_of_der(ssl.PEM_cert_to_DER_cert(certificate))


def _shown(host: str, port: int, ca: bytes) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if ca:
        context.load_verify_locations(cadata=ca.decode())
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=_FETCH_TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        der = connection.getpeercert(binary_form=True)
    return ssl.DER_cert_to_PEM_cert(der or b"")


def _name_in(certificate: str) -> str:
    """A name that the certificate is good for: which one matters to nobody, as it is the pinned
    one. Raises `HostCertificateRefused`."""
    try:
        read = x509.load_pem_x509_certificate(certificate.encode())
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
        hosts += [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    except (ValueError, x509.ExtensionNotFound):
        hosts = []
    if not hosts:
        raise HostCertificateRefused(
            "The host's certificate names no host, and TLS needs a name. Its operator has to show "
            "one with a subject alternative name.",
            claim="certificate",
        )
    return _OWN_NAME if _OWN_NAME in hosts else hosts[0].replace("*", "placet", 1)


async def _notices(address: str, certificate: str, own: bytes) -> tuple[SignedNotice, ...]:
    """What whoever shows this certificate has announced; they may be anybody."""
    request = certificates_pb2.GetNoticesRequest()
    try:
        async with _channel(address, certificate.encode(), _name_in(certificate), own) as channel:
            answer = await certificates_pb2_grpc.CertificatesStub(channel).GetNotices(
                request, timeout=_FETCH_TIMEOUT, metadata=METADATA
            )
    except (grpc.aio.AioRpcError, HostCertificateRefused):
        return ()
    return tuple(SignedNotice(each.envelope, each.certificate) for each in answer.notices)
