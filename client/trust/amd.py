# SPDX-License-Identifier: Apache-2.0
"""What AMD publishes about a chip: the key distribution service, as AMD 57230 describes it."""

from urllib.parse import quote as quoted

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from placet.attestation.snp import MACHINES, Collateral, Machine, Report, Tcb
from placet.client.connection.web import Web
from placet.client.errors import AnswerMalformed, FileRefused

_MAX_BYTES = 64 * 1024


def fetch_amd(report: bytes, web: Web, base: str, *, tdx: bool = False) -> tuple[str, str]:
    """The machine by line and chip, and its certificates with the revocation list."""
    found = Report.from_bytes(report)
    if found.signing_key != "VCEK":
        raise FileRefused(
            "The report is signed by a VLEK, which AMD gives to the cloud provider alone. "
            "Take it from the certificates that come with the report.",
            claim="key",
            expected="VCEK",
            actual=found.signing_key,
        )
    if not any(found.chip_id):
        raise FileRefused("The host hides the chip's id. Ask it for the VCEK.", claim="chip_id")
    machine = _machine(found)
    line = f"{base}/vcek/v1/{quoted(machine.name)}"
    chip = found.chip_id[: machine.id_bytes].hex()
    ek, _ = web.get(f"{line}/{chip}?{_query(found, machine)}", _MAX_BYTES)
    chain, _ = web.get(f"{line}/cert_chain", _MAX_BYTES)
    crl, _ = web.get(f"{line}/crl", _MAX_BYTES)
    ask, ark = _certificates(chain)
    return f"{machine.name}-{chip[:16]}", Collateral(ark, ask, ek, crl).to_text()


def _machine(report: Report) -> Machine:
    if report.cpuid is None:
        raise FileRefused(
            "A report of version 2 does not name its processor. Update the machine's firmware.",
            claim="version",
        )
    family, model = report.cpuid
    for machine in MACHINES:
        if machine.cpuid(family, model):
            return machine
    raise FileRefused(
        f"No AMD processor of family {family:#x}, model {model:#x} is known here.", claim="cpuid"
    )


def _query(report: Report, machine: Machine) -> str:
    """The reported TCB, which the certificate is for, in the service's words."""
    tcb = Tcb.from_bytes(report.reported_tcb, machine)
    asked = {
        "blSPL": tcb.bootloader,
        "teeSPL": tcb.tee,
        "snpSPL": tcb.snp,
        "ucodeSPL": tcb.microcode,
    }
    if "fmc" in machine.tcb:
        asked = {"fmcSPL": tcb.fmc, **asked}
    return "&".join(f"{name}={number:02}" for name, number in asked.items())


def _certificates(chain: bytes) -> tuple[bytes, bytes]:
    """ASK and ARK as DER."""
    try:
        ask, ark = (
            one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(chain)
        )
    except ValueError:
        raise AnswerMalformed(
            "The service gave no chain of two certificates. Check its address.", claim="cert_chain"
        ) from None
    return ask, ark
