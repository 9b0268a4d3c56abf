# SPDX-License-Identifier: Apache-2.0
"""A chain that is not the vendor's, not of this key, not of this time or revoked is refused."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from placet.attestation.snp import verify_snp
from placet.refusals import CollateralStale, EvidenceInvalid, EvidenceMalformed, Refusal

Changed = Callable[[Any], dict[str, bytes | None]]

DAY = 86400
LATE, EARLY = (-2 * DAY, -DAY), (DAY, 2 * DAY)


def dates(vendor: Any, span: tuple[int, int]) -> tuple[int, int]:
    return vendor.now + span[0], vendor.now + span[1]


def extension(oid: str, value: bytes | None) -> Changed:
    return lambda vendor: {"ek": vendor.ek("Milan", changed={oid: value})}


CHAINS: dict[str, tuple[Changed, type[Refusal]]] = {
    "another root": (lambda v: {"ark": v.ark("Milan", serial=2)}, EvidenceInvalid),
    "another line's root": (lambda v: {"ark": v.ark("Genoa")}, EvidenceInvalid),
    "another line's ASK": (lambda v: {"ask": v.ask("Genoa")}, EvidenceInvalid),
    "the ASVK of a VCEK": (lambda v: {"ask": v.ask("Milan", "VLEK")}, EvidenceInvalid),
    "a VLEK": (lambda v: {"ek": v.ek("Milan", "VLEK")}, EvidenceInvalid),
    "the ASK again": (lambda v: {"ek": v.ask("Milan")}, EvidenceInvalid),
    "forged ASK": (
        lambda v: {"ask": v.ask("Milan", signer=v.authority)},
        EvidenceInvalid,
    ),
    "forged VCEK": (lambda v: {"ek": v.ek("Milan", signer=v.root)}, EvidenceInvalid),
    "PKCS 1": (lambda v: {"ek": v.ek("Milan", pss=False, serial=1)}, EvidenceInvalid),
    "an ASK that may not issue": (
        lambda v: {"ask": v.ask("Milan", authority=False)},
        EvidenceMalformed,
    ),
    "RSA end key": (lambda v: {"ek": v.ek("Milan", holder=v.root)}, EvidenceMalformed),
    "P-256": (
        lambda v: {"ek": v.ek("Milan", holder=ec.generate_private_key(ec.SECP256R1()))},
        EvidenceMalformed,
    ),
    "another chip's key": (
        lambda v: {"ek": v.ek("Milan", holder=ec.generate_private_key(ec.SECP384R1()))},
        EvidenceInvalid,
    ),
    "expired ARK": (
        lambda v: {"ark": v.ark("Milan", dates=dates(v, LATE))},
        EvidenceInvalid,  # it is not the pinned one
    ),
    "expired ASK": (
        lambda v: {"ask": v.ask("Milan", dates=dates(v, LATE))},
        CollateralStale,
    ),
    "future ASK": (lambda v: {"ask": v.ask("Milan", dates=dates(v, EARLY))}, CollateralStale),
    "expired VCEK": (lambda v: {"ek": v.ek("Milan", dates=dates(v, LATE))}, CollateralStale),
    "future VCEK": (lambda v: {"ek": v.ek("Milan", dates=dates(v, EARLY))}, CollateralStale),
    "garbage": (lambda v: {"ek": b"certificate"}, EvidenceMalformed),
    "trailing bytes": (lambda v: {"ek": v.ek("Milan") + b"\0"}, EvidenceMalformed),
    "another TCB": (extension("3.8", b"\x02\x01\x05"), EvidenceInvalid),
    "no TCB": (extension("3.1", None), EvidenceMalformed),
    "reserved TCB": (extension("3.5", b"\x02\x01\x01"), EvidenceMalformed),
    "long number": (extension("3.1", b"\x02\x02\x00\x04"), EvidenceMalformed),
    "negative number": (extension("3.1", b"\x02\x01\x84"), EvidenceMalformed),
    "large number": (extension("3.1", b"\x02\x02\x01\x00"), EvidenceMalformed),
    "not a number": (extension("3.1", b"\x04\x01\x04"), EvidenceMalformed),
    "no chip": (extension("4", None), EvidenceMalformed),
    "short chip": (extension("4", bytes(8)), EvidenceMalformed),
    "another chip": (extension("4", bytes(64)), EvidenceInvalid),
    "chip and provider": (extension("5", b"\x16\x01x"), EvidenceMalformed),
    "list of another": (lambda v: {"crl": v.crl("Genoa")}, EvidenceInvalid),
    "forged list": (lambda v: {"crl": v.crl("Milan", signer=v.authority)}, EvidenceInvalid),
    "expired list": (
        lambda v: {"crl": v.crl("Milan", dates=dates(v, LATE))},
        CollateralStale,
    ),
    "future list": (lambda v: {"crl": v.crl("Milan", dates=dates(v, EARLY))}, CollateralStale),
    "garbage list": (lambda v: {"crl": b"list"}, EvidenceMalformed),
    "revoked ASK": (lambda v: {"crl": v.crl("Milan", [3, 7])}, EvidenceInvalid),
}


@pytest.mark.parametrize("name", CHAINS)
def test_refused_chains(vendor: Any, name: str) -> None:
    changed, kind = CHAINS[name]
    with pytest.raises(Refusal) as caught:
        verify_snp(vendor.evidence(**changed(vendor)), vendor.now, vendor.machines)
    assert type(caught.value) is kind


@pytest.mark.parametrize("serial", [7, 12])
def test_revoked_vleks(vendor: Any, serial: int) -> None:
    """The ASVK (7), and a VLEK that has a serial number (12)."""
    ek = vendor.ek("Milan", "VLEK", serial=12)
    evidence = vendor.evidence(kind="VLEK", ek=ek, crl=vendor.crl("Milan", [serial]))
    with pytest.raises(EvidenceInvalid, match="revoked"):
        verify_snp(evidence, vendor.now, vendor.machines)
    other = vendor.evidence(kind="VLEK", ek=ek, crl=vendor.crl("Milan", [13]))
    verify_snp(other, vendor.now, vendor.machines)


@pytest.mark.parametrize(
    "changed", [{"5": None}, {"5": b"\x16\x00"}, {"5": b"\x16\x01\n"}, {"4": bytes(64)}]
)
def test_refused_vleks(vendor: Any, changed: dict[str, bytes | None]) -> None:
    ek = vendor.ek("Milan", "VLEK", changed=changed)
    with pytest.raises(EvidenceMalformed):
        verify_snp(vendor.evidence(kind="VLEK", ek=ek), vendor.now, vendor.machines)


def test_turin_needs_the_number_of_its_fmc(vendor: Any) -> None:
    ek = vendor.ek("Turin", changed={"3.9": None})
    with pytest.raises(EvidenceMalformed):
        verify_snp(vendor.evidence("Turin", ek=ek), vendor.now, vendor.machines)


@pytest.mark.parametrize("line", ["Milan", "Turin"])
def test_a_chip_in_an_octet_string(vendor: Any, line: str) -> None:
    size = 8 if line == "Turin" else 64
    wrapped = bytes((4, size)) + bytes(range(size))
    ek = vendor.ek(line, changed={"4": wrapped})
    claims = verify_snp(vendor.evidence(line, ek=ek), vendor.now, vendor.machines)
    assert claims.platform == bytes(range(size)).ljust(64, b"\0").hex()


def test_a_short_rsa_key_issues_nothing(vendor: Any) -> None:
    short = rsa.generate_private_key(65537, 2048)
    ask = vendor.certificate("SEV-Milan", "ARK-Milan", short, vendor.root, authority=True)
    ek = vendor.ek("Milan", signer=short, serial=1)
    with pytest.raises(EvidenceInvalid):
        verify_snp(vendor.evidence(ask=ask, ek=ek), vendor.now, vendor.machines)


@pytest.mark.parametrize("part", ["ark", "ask", "ek", "crl"])
def test_a_changed_byte_is_refused_or_changes_nothing(vendor: Any, part: str) -> None:
    """The algorithm's name beside a signature has fields that nobody reads, and it is not
    signed."""
    made = {
        "ark": vendor.ark("Milan"),
        "ask": vendor.ask("Milan"),
        "ek": vendor.ek("Milan"),
        "crl": vendor.crl("Milan"),
    }
    believed = verify_snp(vendor.evidence(**made), vendor.now, vendor.machines)
    unread: list[int] = []
    for index in range(len(made[part])):
        changed = bytearray(made[part])
        changed[index] ^= 1 << index % 8
        evidence = vendor.evidence(**{**made, part: bytes(changed)})
        try:
            assert verify_snp(evidence, vendor.now, vendor.machines) == believed
        except Refusal:
            continue
        unread.append(index)
    assert all(len(made[part]) - 600 < index < len(made[part]) - 512 for index in unread)


def test_a_name_of_bits_is_refused_in_our_words(vendor: Any) -> None:
    """The X.509 library answers it with a TypeError."""
    made = {"ark": vendor.ark("Milan"), "ask": vendor.ask("Milan"), "ek": vendor.ek("Milan")}
    names = {"ark": b"ARK-Milan", "ask": b"SEV-Milan", "ek": b"SEV-VCEK"}
    for part, name in names.items():
        size = bytes((len(name),))
        changed = made[part].replace(b"\x0c" + size + name, b"\x03" + size + b"\0" + name[1:])
        assert changed != made[part]
        ark = changed if part == "ark" else made["ark"]
        milan = replace(vendor.machines[0], root=hashlib.sha256(ark).hexdigest())
        with pytest.raises(Refusal):
            verify_snp(vendor.evidence(**{**made, part: changed}), vendor.now, [milan])
