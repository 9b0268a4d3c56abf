# SPDX-License-Identifier: Apache-2.0
"""Real TLS: a client talks to the enclave it wants, and to nobody else."""

import datetime
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from placet.attestation import Attester
from placet.builds.measurement import measure
from placet.client import UsageRefused
from placet.client.installing import install
from placet.client.trust.ratls import RATLSVerifier
from placet.ratls import EVIDENCE_EXTENSION
from placet.refusals import (
    AppraisalRefused,
    CollateralStale,
    EvidenceBinding,
    EvidenceInvalid,
    EvidenceMalformed,
)

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "tls"
sys.path.insert(0, str(EXAMPLE.parent))

from tls.client import wanted
from tls.server import make_context, simulated_enclave

EVIDENCE = x509.ObjectIdentifier(EVIDENCE_EXTENSION)
Key = ec.EllipticCurvePrivateKey


@pytest.fixture
def attester() -> Generator[Attester]:
    """The attester of a worker on a simulated machine."""
    with simulated_enclave("worker") as found:
        yield found


@pytest.fixture
def context(attester: Attester, tmp_path: Path) -> SSL.Context:
    """The server of the example; its collateral lies in `tmp_path`."""
    return make_context(attester, tmp_path)


@pytest.fixture
def verifier(context: SSL.Context, tmp_path: Path) -> RATLSVerifier:
    """A client's verifier that wants this server."""
    return verifier_for(tmp_path)


def verifier_for(folder: Path, **settings: Any) -> RATLSVerifier:
    """A verifier with the collateral that lies in a folder, and with other settings."""
    policy = replace(wanted(measure("worker")), **settings)
    collateral = (folder / "collateral.json").read_text()
    return RATLSVerifier(policy, lambda kind, quote: collateral, launched_for="")


def handshake(server: SSL.Context, verifier: RATLSVerifier) -> SSL.Connection:
    """Shake hands in memory; return the client's end, or raise what its handshake raises."""
    context = SSL.Context(SSL.TLS_METHOD)
    verifier.install(context)
    client, other = SSL.Connection(context, None), SSL.Connection(server, None)
    client.set_connect_state()
    other.set_accept_state()
    for _ in range(10):
        for end, peer in ((client, other), (other, client)):
            try:
                end.do_handshake()
                done = end is other
            except SSL.WantReadError:
                done = False
            try:
                peer.bio_write(end.bio_read(1 << 20))
            except SSL.WantReadError:
                pass
            if done:
                return client
    raise AssertionError("the handshake does not end")


def serving(key: Key, certificate: x509.Certificate, *chain: x509.Certificate) -> SSL.Context:
    """A server with a certificate of one's own."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_privatekey(key)
    context.use_certificate(certificate)
    for one in chain:
        context.add_extra_chain_cert(one)
    return context


def signed(
    key: Key, name: str, issuer: tuple[Key, str], evidence: x509.UnrecognizedExtension | None
) -> x509.Certificate:
    """A certificate for a key, signed by any other."""

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer[1]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if evidence is not None:
        builder = builder.add_extension(evidence, critical=False)
    return builder.sign(issuer[0], hashes.SHA256())


def stolen(server: SSL.Context, verifier: RATLSVerifier) -> x509.UnrecognizedExtension:
    """The evidence that anyone can read off a server's certificate."""
    certificate = handshake(server, verifier).get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    found = certificate.extensions.get_extension_for_oid(EVIDENCE).value
    assert isinstance(found, x509.UnrecognizedExtension)
    return found


def test_the_enclave_that_is_wanted(context: SSL.Context, verifier: RATLSVerifier) -> None:
    claims = verifier.claims(handshake(context, verifier))
    assert (claims.kind, claims.measurement) == ("simulation", measure("worker"))


def test_another_enclave(context: SSL.Context, tmp_path: Path) -> None:
    with pytest.raises(AppraisalRefused, match="measurement"):
        handshake(context, verifier_for(tmp_path, measurements=("aa" * 32,)))


def test_simulation_where_hardware_is_wanted(context: SSL.Context, tmp_path: Path) -> None:
    with pytest.raises(AppraisalRefused, match="kind"):
        handshake(context, verifier_for(tmp_path, kinds=("sgx",)))


def test_no_evidence(verifier: RATLSVerifier) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    plain = signed(key, "a", (key, "a"), None)
    with pytest.raises(EvidenceMalformed, match="no evidence"):
        handshake(serving(key, plain), verifier)


def test_evidence_of_another_server(context: SSL.Context, verifier: RATLSVerifier) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    evidence = stolen(context, verifier)
    with pytest.raises(EvidenceBinding):
        handshake(serving(key, signed(key, "a", (key, "a"), evidence)), verifier)


def test_a_chain_is_not_followed(context: SSL.Context, verifier: RATLSVerifier) -> None:
    """Whoever signs for a certificate means nothing, so a signer is not even looked at."""
    key, authority = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    evidence = stolen(context, verifier)
    leaf = signed(key, "a", (authority, "b"), evidence)
    root = signed(authority, "b", (authority, "b"), evidence)
    with pytest.raises(SSL.Error):
        handshake(serving(key, leaf, root), verifier)


def test_a_trusted_certificate_is_judged_all_the_same(verifier: RATLSVerifier) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    plain = signed(key, "a", (key, "a"), None)
    context = SSL.Context(SSL.TLS_METHOD)
    verifier.install(context)
    store = context.get_cert_store()
    assert store is not None
    store.add_cert(crypto.X509.from_cryptography(plain))
    client, server = SSL.Connection(context, None), SSL.Connection(serving(key, plain), None)
    client.set_connect_state()
    server.set_accept_state()
    for end, peer in ((client, server), (server, client)):
        with pytest.raises(SSL.WantReadError):
            end.do_handshake()
        peer.bio_write(end.bio_read(1 << 20))
    with pytest.raises(EvidenceMalformed, match="no evidence"):
        client.do_handshake()


def test_time(context: SSL.Context, tmp_path: Path) -> None:
    collateral = (tmp_path / "collateral.json").read_text()
    policy = wanted(measure("worker"))
    verifier = RATLSVerifier(policy, lambda k, q: collateral, launched_for=None, clock=lambda: 0.0)
    with pytest.raises(EvidenceInvalid, match="not valid at this time"):
        handshake(context, verifier)


def test_what_collateral_refuses_reaches_the_caller(context: SSL.Context) -> None:
    def none_at_hand(kind: str, quote: bytes) -> str:
        raise CollateralStale(f"no collateral for {kind}")

    verifier = RATLSVerifier(wanted(measure("worker")), none_at_hand, launched_for=None)
    with pytest.raises(CollateralStale, match="for simulation"):
        handshake(context, verifier)


def test_claims_before_the_handshake(context: SSL.Context, verifier: RATLSVerifier) -> None:
    with pytest.raises(UsageRefused):
        verifier.claims(SSL.Connection(context, None))


def test_without_pyopenssl() -> None:
    """The module is there without it, and says what to install."""
    script = (
        "import sys; sys.modules['OpenSSL'] = None\n"
        "from placet.client.trust.ratls import RATLSVerifier\n"
        "RATLSVerifier(None, None, launched_for=None).install(None)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 1
    assert f"SettingMissing: RA-TLS needs pyOpenSSL. Run: {install('ratls')}" in ran.stderr


def test_the_example(tmp_path: Path) -> None:
    """Two processes and a socket, as the page says."""
    command = [sys.executable, str(EXAMPLE / "server.py"), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            address = server.stdout.readline().split()[1]
            visit = [sys.executable, str(EXAMPLE / "client.py"), address, str(tmp_path)]
            ran = [
                subprocess.run(
                    [*visit, *rest], capture_output=True, text=True, timeout=60, check=False
                )
                for rest in ([], ["aa" * 32])
            ]
        finally:
            server.stdin.close()
            server.wait(timeout=30)
    wanted, other = ran
    said = ["kind simulation", f"measurement {measure('worker')}", "said hello from the enclave"]
    assert (wanted.returncode, wanted.stdout.splitlines()) == (0, said)
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr.startswith("refused APPRAISAL_REFUSED: ")
