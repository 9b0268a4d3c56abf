# SPDX-License-Identifier: Apache-2.0
"""Fuzz the decoders of SNP evidence by hand: `pip install atheris`, then
`python tests/fuzz/fuzz_snp.py -max_len=8192 -max_total_time=600 [CORPUS]`.

The first byte says what the rest is: a report, collateral, a certificate, or the values of AMD's
extensions in one. Good seeds are real ones behind such a byte. Nothing but our own refusals may
leave the decoders, and what is read has one spelling.
"""

import contextlib
import hashlib
import sys
from dataclasses import replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from placet.attestation.snp import MACHINES, Collateral, Report
from placet.attestation.snp.certificates import verify_chain
from placet.attestation.snp.extensions import read_extensions
from placet.refusals import Refusal

NOW = datetime(2027, 1, 15, tzinfo=UTC)
OIDS = ("3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8", "3.9", "4", "5")
KEY = ec.generate_private_key(ec.SECP256R1())


def fuzz(data: bytes) -> None:
    """Decode one input; every exception but a refusal is a finding."""
    targets = (_report, _collateral, _certificate, _extensions)
    if data:
        with contextlib.suppress(Refusal):
            targets[data[0] % len(targets)](data[1:])


def _report(data: bytes) -> None:
    report = Report.from_bytes(data)
    assert data.startswith(report.signed)


def _collateral(data: bytes) -> None:
    collateral = Collateral.from_text(data.decode("latin-1"))
    assert Collateral.from_text(collateral.to_text()) == collateral


def _certificate(data: bytes) -> None:
    pinned = replace(MACHINES[0], root=hashlib.sha256(data).hexdigest())
    verify_chain(Collateral(data, data, data, None), "VCEK", NOW, [pinned])


def _extensions(data: bytes) -> None:
    """Take each value as a length byte and that many bytes."""
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1, NOW, NOW)
    for oid in OIDS:
        size, data = data[:1], data[1:]
        value, data = data[: sum(size)], data[sum(size) :]
        if value:
            made = x509.UnrecognizedExtension(
                x509.ObjectIdentifier("1.3.6.1.4.1.3704.1." + oid), value
            )
            builder = builder.add_extension(made, critical=False)
    certificate = builder.sign(KEY, SHA256())
    for machine in MACHINES:
        for kind in ("VCEK", "VLEK"):
            with contextlib.suppress(Refusal):
                read_extensions(certificate, kind, machine)


def main() -> None:
    """Run libFuzzer over `fuzz`."""
    try:
        import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # pyright: ignore
    except ImportError:
        sys.exit("skipped: atheris is missing; pip install atheris")
    atheris.Setup(sys.argv, fuzz)  # pyright: ignore
    atheris.instrument_all()  # pyright: ignore
    atheris.Fuzz()  # pyright: ignore


if __name__ == "__main__":
    main()
