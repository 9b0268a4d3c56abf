# SPDX-License-Identifier: Apache-2.0
"""A service of one's own in an enclave: a TLS server whose certificate carries the enclave's
evidence.

    python examples/tls/server.py FOLDER

It prints "address 127.0.0.1:PORT", and serves until its input ends.

The machine is simulated, by the host's part of Placet: pip install '.[host,ratls]'. FOLDER gets
collateral.json, which stands for what Intel or AMD publish.
Under Gramine the attester would be the hardware's; nothing else changes.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from placet.attestation import Attester, SimulatedAttester
from placet.host.simulation.service import SimulatedQuotingService
from placet.ratls import issue_certificate

DAY = 86400


@contextlib.contextmanager
def simulated_enclave(role: str) -> Generator[Attester]:
    """The attester of an enclave of this role on a machine of its own."""
    service = SimulatedQuotingService(os.urandom(32))
    requests, to_service = _pipe()
    answers, to_enclave = _pipe()
    thread = threading.Thread(target=service.serve, args=(role, "", requests, to_enclave))
    with requests, answers, to_enclave:
        thread.start()
        try:
            yield SimulatedAttester(answers, to_service)
        finally:
            to_service.close()  # the service sees the end
            thread.join()


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb"), os.fdopen(writer, "wb")


def make_context(attester: Attester, folder: Path) -> SSL.Context:
    """A key that never leaves this process, and a certificate that says whose it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue_certificate(attester, key, now=int(time.time()), lifetime_seconds=DAY)
    (folder / "collateral.json").write_text(issued.evidence.collateral)
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.use_privatekey(key)
    context.use_certificate(x509.load_der_x509_certificate(issued.certificate))
    return context


def serve(listener: socket.socket, context: SSL.Context) -> None:
    """Greet whoever connects, until the listener is closed."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        peer.settimeout(None)
        connection = SSL.Connection(context, peer)
        connection.set_accept_state()
        # A client that does not want this enclave goes away during the handshake.
        with contextlib.suppress(SSL.Error, OSError):
            connection.do_handshake()
            connection.sendall(b"hello from the enclave\n")
            connection.shutdown()
        peer.close()


def main() -> None:
    """Serve until standard input ends."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with simulated_enclave("worker") as attester:
        context = make_context(attester, folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"address 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        threading.Thread(target=serve, args=(listener, context), daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
