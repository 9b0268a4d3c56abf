# SPDX-License-Identifier: Apache-2.0
"""The chain of a report's signing key: ARK, then ASK or ASVK, then VCEK or VLEK (AMD 57230).

Steps of `verify_chain`:

1. the ARK is one of those pinned, byte for byte; it says which line of processors this is;
2. the ARK signed the ASK (of a VCEK) or ASVK (of a VLEK), which signed the end key's certificate:
   RSA-4096, PSS with SHA-384 and a salt of 48 bytes, names that follow one another;
3. each is valid at `now`;
4. where a revocation list is given, the ARK signed it, it is valid at `now`, and lists none of
   them;
5. the end key is on P-384, and its certificate says for which TCB and which chip or provider it is.

What X.509 libraries verify for TLS does not fit: they refuse PSS here, and know none of AMD's
extensions. All end keys have serial number 0, which RFC 5280 does not allow.
"""

import hashlib
import threading
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from placet.attestation.snp.collateral import Collateral
from placet.attestation.snp.extensions import read_extensions
from placet.attestation.snp.machine import Machine
from placet.attestation.snp.tcb import Tcb
from placet.refusals import CollateralStale, EvidenceInvalid, EvidenceMalformed

_SIGNERS = {"VCEK": "SEV-", "VLEK": "SEV-VLEK-"}
_PSS = padding.PSS(mgf=padding.MGF1(SHA384()), salt_length=48)
_RSA_BITS = 4096

# What cryptography raises for certificates that it cannot read, at once or when they are looked
# into.
_FOREIGN = (
    TypeError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

# Warning filters belong to the process, so two threads must not change them at once.
_filtering = threading.Lock()


@dataclass(frozen=True, slots=True)
class EndKey:
    """The key that signs reports, as a verified chain describes it."""

    machine: Machine
    kind: str  # "VCEK" or "VLEK"
    public: ec.EllipticCurvePublicKey
    tcb: Tcb
    chip: bytes | None  # 64 bytes; None for a VLEK
    provider: str  # whose VLEK it is; "" for a VCEK
    revocations_issued: int | None  # Unix seconds; None where no list was given
    expires: int  # Unix seconds: the first end among certificates and list


def verify_chain(
    collateral: Collateral, kind: str, now: datetime, machines: Sequence[Machine]
) -> EndKey:
    """Verify the chain of a key of this kind ("VCEK" or "VLEK") at `now`.

    Raises EvidenceMalformed, EvidenceInvalid or CollateralStale.
    """
    try:
        return _verify(collateral, kind, now, machines)
    except _FOREIGN as error:
        raise EvidenceMalformed(
            "The collateral holds a certificate or a revocation list that cannot be read."
        ) from error


def _verify(
    collateral: Collateral, kind: str, now: datetime, machines: Sequence[Machine]
) -> EndKey:
    machine = _machine(collateral.ark, machines)  # 1
    chain = ark, ask, end = [_parse(der) for der in (collateral.ark, collateral.ask, collateral.ek)]
    _check_issued(ark, ask, _SIGNERS[kind] + machine.name)  # 2
    _check_issued(ask, end, "SEV-" + kind)
    for one in chain:  # 3
        _check_dates(_common_name(one), one.not_valid_before_utc, one.not_valid_after_utc, now)
    expires = min(one.not_valid_after_utc for one in chain)
    revocations = _revocations(collateral.crl, ark, (ask, end), now)  # 4
    if revocations is not None:
        expires = min(expires, revocations[1])
    public = end.public_key()  # 5
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp384r1":
        raise EvidenceMalformed(f"The key of the {kind} is not on the curve P-384.")
    chip, provider, tcb = read_extensions(end, kind, machine)
    issued = None if revocations is None else int(revocations[0].timestamp())
    return EndKey(machine, kind, public, tcb, chip, provider, issued, int(expires.timestamp()))


def _machine(ark: bytes, machines: Sequence[Machine]) -> Machine:
    digest = hashlib.sha256(ark).hexdigest()
    for machine in machines:
        if machine.root == digest:
            return machine
    raise EvidenceInvalid(
        "The certificates lead to a root that is not pinned.",
        claim="ark",
        expected=" or ".join(machine.root for machine in machines),
        actual=digest,
        remedy="send the ARK that AMD publishes for the processor; do not trust the machine",
    )


@contextmanager
def _serial_may_be_zero() -> Generator[None]:
    with _filtering, warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)
        yield


def _parse(der: bytes) -> x509.Certificate:
    with _serial_may_be_zero():
        return x509.load_der_x509_certificate(der)


def _check_issued(issuer: x509.Certificate, subject: x509.Certificate, name: str) -> None:
    """Check that a certificate authority issued a certificate of this common name.

    The signature comes first: of what is not signed, as little as can be is looked into.
    """
    pss = subject.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
    if not pss or not _signed(issuer, subject.signature, subject.tbs_certificate_bytes):
        raise EvidenceInvalid(
            f"The certificate where {name} belongs was not signed by the one above it.",
            claim="chain",
            expected=name,
            remedy="send the certificates of the machine's own line; do not trust it otherwise",
        )
    found = _common_name(subject)
    if found != name or subject.issuer != issuer.subject:
        raise EvidenceInvalid(
            f"The chain has a certificate of another name or issuer where {name} belongs.",
            claim="chain",
            expected=name,
            actual=found,
        )


def _signed(issuer: x509.Certificate, signature: bytes, data: bytes) -> bool:
    """Whether a certificate authority signed the data."""
    key = issuer.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != _RSA_BITS:
        return False
    if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        return False
    try:
        key.verify(signature, data, _PSS, SHA384())
    except InvalidSignature:
        return False
    return True


def _check_dates(name: str, start: datetime, stop: datetime, now: datetime) -> None:
    if start <= now <= stop:
        return
    raise CollateralStale(
        f"{name} is not valid at the time of the check.",
        claim="validity",
        expected=f"{start.isoformat()} to {stop.isoformat()}",
        actual=now.isoformat(),
        remedy="fetch the collateral again, and check the clock",
    )


def _revocations(
    crl: bytes | None, ark: x509.Certificate, chain: Sequence[x509.Certificate], now: datetime
) -> tuple[datetime, datetime] | None:
    """Check the root's list, if there is one; return from when to when it is valid."""
    if crl is None:
        return None
    found = x509.load_der_x509_crl(crl)
    start, stop = found.last_update_utc, found.next_update_utc
    signed = _signed(ark, found.signature, found.tbs_certlist_bytes)
    if not signed or found.issuer != ark.subject or stop is None:
        raise EvidenceInvalid("The revocation list is not the root's, or never ends.", claim="crl")
    _check_dates("The revocation list", start, stop, now)
    for certificate in chain:
        with _serial_may_be_zero():
            entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            name = _common_name(certificate)
            raise EvidenceInvalid(
                f"The certificate {name} is revoked.",
                claim="revocation",
                actual=name,
                remedy="do not trust the machine before it has new keys",
            )
    return start, stop


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    value = names[0].value if len(names) == 1 else ""
    return value if isinstance(value, str) and len(value) <= 64 and value.isprintable() else ""
