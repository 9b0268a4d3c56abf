# SPDX-License-Identifier: Apache-2.0
"""What a running host shows: another certificate from the next handshake on, and TLS 1.3 only."""

import asyncio
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.client import (
    AsyncClient,
    HostCertificateRefused,
    HostPinMismatch,
    HostUnreachable,
    Keys,
)
from placet.client.connection.channel import fetch_certificate, pin_of
from placet.host import Host
from placet.host.calls.tls import LIFETIME, make_certificate, utc_now
from placet.proto.v1 import log_pb2, runs_pb2
from placet.refusals import Refusal
from tests.support.issuer import Issuer


async def renewed(host: Any) -> str:
    """The host finds that its certificate ends soon; the earlier pin."""
    former: str = host.pin
    certificates = host._certificates
    certificates._renew, kept = LIFETIME, certificates._renew
    await certificates.look()
    certificates._renew = kept
    assert host.pin != former
    return former


def engineer(world: Any) -> dict[str, Any]:
    """By which a client is the engineer's."""
    keys = replace(Keys.generate("engineer"), signing=world.council.submitter)
    return {"charter": world.council.name, "keys": keys}


async def shown_at(address: str) -> str:
    return pin_of(await asyncio.to_thread(fetch_certificate, address))


def test_it_is_renewed_while_calls_and_enclaves_go_on(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(spares=0) as (host, client):
            waiting = await client.submit(world.ticket("hang"))
            await client.until(waiting.id, runs_pb2.RUN_STATE_RUNNING)
            before = (world.folder / "state" / "tls" / "cert.pem").read_bytes()
            await renewed(host)
            assert await shown_at(host.address) == host.pin
            assert (world.folder / "state" / "tls" / "cert.pem").read_bytes() != before
            # The connection that was there goes on, the authority's and the worker's too; a worker
            # that is launched now comes in by the new file.
            job = await client.run(world.ticket("release"))
            assert job.state == runs_pb2.RUN_STATE_FINISHED
            still = await client.runs.Get(
                runs_pb2.GetRunRequest(id=waiting.id), metadata=world.metadata
            )
            assert (still.state, still.job.attempt) == (runs_pb2.RUN_STATE_RUNNING, 1)
            async with world.client(host.address, host.certificate_pem) as other:
                await other.log.GetCheckpoint(
                    log_pb2.GetCheckpointRequest(), metadata=world.metadata
                )
        log = (world.folder / "state" / "logs" / "host.log").read_text()
        assert log.count("event=new-pin") == 2 and log.count("event=attached") == 1

    run(body())


def test_a_client_of_the_earlier_pin_comes_in_by_the_notice(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, _):
            former = await renewed(host)
            async with await AsyncClient.connect(host.address, former, **engineer(world)) as client:
                assert await client.runs.list() == ()
            with pytest.raises(HostPinMismatch, match="none that was announced"):
                await AsyncClient.connect(host.address, "sha256:" + "00" * 32)

    run(body())


@pytest.fixture
def operators(tmp_path: Path) -> tuple[Path, Path]:
    """Files of an operator's certificate, which is its own CA."""
    made = make_certificate(tmp_path / "operator.pem", (), utc_now())
    made.path.write_bytes(made.certificate_pem)
    key = tmp_path / "operator.key"
    key.write_bytes(made.key_pem)
    return made.path, key


def test_an_operators_certificate_and_its_ca(
    world: Any, run: Any, operators: tuple[Path, Path]
) -> None:
    certificate, key = operators

    async def body() -> None:
        async with world.host(certificate=certificate, key=key) as (host, client):
            assert host.certificate_pem == certificate.read_bytes()
            assert (await client.run(world.ticket("release"))).state == (
                runs_pb2.RUN_STATE_FINISHED
            )
            ca = certificate.read_bytes()
            async with await AsyncClient.connect(
                host.address, ca=ca, **engineer(world)
            ) as trusting:
                assert len(await trusting.runs.list()) == 1
            async with await AsyncClient.connect(
                host.address, host.pin, **engineer(world)
            ) as pinning:
                assert len(await pinning.runs.list()) == 1
            other = make_certificate(certificate, (), utc_now()).certificate_pem
            with pytest.raises(HostCertificateRefused, match="does not vouch"):
                await AsyncClient.connect(host.address, ca=other)

    run(body())


def test_the_cas_for_callers_are_read_again_and_outlast_a_renewal(
    world: Any, run: Any, tmp_path: Path
) -> None:
    first, second, file = Issuer("first"), Issuer("second"), tmp_path / "callers.pem"
    ours, theirs = first.issue("ours"), second.issue("theirs")

    async def comes_in(host: Any, own: bytes, pin: str = "") -> bool:
        """Whether the host answers, and be it that there is no council."""
        found = await AsyncClient.connect(
            host.address, pin or host.pin, charter=world.council.name, certificate=own
        )
        async with found as client:
            with pytest.raises(Refusal) as caught:
                await client.runs.list()
        return not isinstance(caught.value, HostUnreachable)

    async def body() -> None:
        file.write_bytes(first.pem)
        async with Host(world.config(client_ca=file), world.launcher) as made:
            host: Any = made
            assert await comes_in(host, ours) and not await comes_in(host, theirs)
            former = await renewed(host)
            assert await comes_in(host, ours, former) and not await comes_in(host, b"")
            for text, right, wrong in (
                (second.pem, theirs, ours),
                (b"no PEM", theirs, ours),  # nobody is let in by accident
                (first.pem + second.pem, ours, b""),
            ):
                file.write_bytes(text)
                await host._certificates.look()
                assert await comes_in(host, right) and not await comes_in(host, wrong)
        log = (world.folder / "state" / "logs" / "host.log").read_text()
        assert log.count("event=new-client-ca") == 2
        assert log.count("event=certificate-unusable") == 1
        file.write_bytes(b"no PEM")
        with pytest.raises(RuntimeError, match="cannot be used"):
            async with Host(world.config(client_ca=file), world.launcher):
                pass

    run(body())


@contextmanager
def over_tls_1_2(address: str) -> Generator[ssl.SSLSocket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield connection


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def literal(name: str, value: str) -> bytes:
    """A header of HTTP/2, not indexed and not compressed."""
    texts = (name.encode(), value.encode())
    return b"\x00" + b"".join(bytes([len(text)]) + text for text in texts)


def checkpoint_over_tls_1_2(address: str) -> bytes:
    """What a host answers to a call over TLS 1.2, up to the end of the stream."""
    headers = {":method": "POST", ":scheme": "https", ":path": "/placet.v1.Log/GetCheckpoint"}
    headers |= {":authority": "localhost", "content-type": "application/grpc", "te": "trailers"}
    headers |= {"placet-wire": "1"}
    with over_tls_1_2(address) as connection:
        assert connection.version() == "TLSv1.2"  # gRPC cannot be told to refuse the handshake
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(4, 0, 0, b"")
            + frame(1, 4, 1, b"".join(literal(*pair) for pair in headers.items()))
            + frame(0, 1, 1, bytes(5))
        )
        answer = b""
        while b"grpc-message" not in answer:
            more = connection.recv(65536)
            assert more
            answer += more
        return answer


def test_a_call_over_an_older_tls_is_refused(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            answer = await asyncio.to_thread(checkpoint_over_tls_1_2, host.address)
            assert b"This host speaks TLSv1.3 only" in answer
            await client.log.GetCheckpoint(log_pb2.GetCheckpointRequest(), metadata=world.metadata)

    run(body())


def test_a_client_does_not_go_below_tls_1_3(tmp_path: Path) -> None:
    made = make_certificate(tmp_path / "cert.pem", (), utc_now())
    made.path.write_bytes(made.certificate_pem)
    (tmp_path / "key.pem").write_bytes(made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(made.path, tmp_path / "key.pem")

    async def body() -> None:
        async def serve(reader: Any, writer: Any) -> None:
            await reader.read()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(Exception, match="No host answers") as refused:
                await AsyncClient.connect(address, made.pin)
            assert getattr(refused.value, "reason", "") == "HOST_UNREACHABLE"

    asyncio.run(body())
