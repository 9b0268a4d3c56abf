# SPDX-License-Identifier: Apache-2.0
"""The parser of the command line, made once; and a server that stands in for those that publish
collateral: https, a certificate of its own, fixed answers."""

import datetime
import functools
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer.main
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@pytest.fixture(scope="session", autouse=True)
def _parser() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Typer makes the parser of all commands anew for each line that a test types; once is
    enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", functools.cache(typer.main.get_command))
        yield


def _no_answers() -> dict[str, tuple[int, dict[str, str], bytes]]:
    return {}


def _nothing() -> list[str]:
    return []


@dataclass
class StandIn:
    """A running server; `answers` has what it says to a path with its query, and may be changed."""

    url: str
    ca: Path
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=_no_answers)
    asked: list[str] = field(default_factory=_nothing)

    def say(self, path: str, body: bytes, header: dict[str, str] | None = None) -> None:
        """Answer 200 to a path from now on."""
        self.answers[path] = (200, header or {}, body)


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    """A server on this machine that knows nothing yet."""
    ca, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            code, header, body = known.answers.get(self.path, (404, {}, b""))
            self.send_response(code)
            for name, value in header.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        known = StandIn(f"https://127.0.0.1:{server.server_address[1]}", ca)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield known
        server.shutdown()
        thread.join()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "stand-in.pem", folder / "stand-in.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret
