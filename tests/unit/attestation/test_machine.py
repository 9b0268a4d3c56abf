# SPDX-License-Identifier: Apache-2.0
"""Attesters over the files of machines: which hardware is found, what is asked of it, what is
refused."""

import csv
import json
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from placet.attestation import Attester, Evidence, probe, verify_evidence
from placet.refusals import AttesterUnavailable, SealingUnavailable
from tests.support.machines.device_tree import DeviceTree

_HERE = Path(__file__).parent
_VECTORS = _HERE.parents[3] / "shared" / "vectors"
ASKED = bytes(range(64))


def tdx_quote(report_data: bytes, version: int = 4, padded: int = 8000) -> bytes:
    """A TDX quote as far as its form goes, with the padding that hardware gives it."""
    size = 584 if version == 4 else 648
    head = struct.pack("<HHI", version, 2, 0x81) + bytes(40)
    head += b"" if version == 4 else struct.pack("<HI", 3, size)
    body = bytes(520) + report_data + bytes(size - 584)
    return (head + body + struct.pack("<I", 700) + b"s" * 700).ljust(padded, b"\0")


def fixed(answer: bytes) -> Callable[[bytes], bytes]:
    """Hardware that gives this, whatever it is asked."""
    return lambda _: answer


def snp_report(report_data: bytes, signer: int = 0) -> bytes:
    """An SNP report as far as its form goes."""
    report = bytearray(1184)
    report[0], report[0x48], report[0x50:0x90] = 3, signer << 2, report_data
    return bytes(report)


def sound_report(report_data: bytes) -> bytes:
    """An SNP report that can be read, of a measurement of "m" and a TCB of four numbers."""
    report = bytearray(snp_report(report_data))
    report[0x08:0x10], report[0x34] = (0x3001F).to_bytes(8, "little"), 1
    report[0x90:0xC0], report[0x180:0x188] = b"m" * 48, bytes((4, 1, 0, 0, 0, 0, 24, 219))
    return bytes(report)


def certificate_table(entries: dict[str, bytes]) -> bytes:
    """The GHCB's table of GUID, offset, length."""
    head, body, start = b"", b"", 24 * (len(entries) + 1)
    for guid, der in entries.items():
        head += bytes.fromhex(guid.replace("-", "")) + struct.pack(
            "<II", start + len(body), len(der)
        )
        body += der
    return head + bytes(24) + body


VCEK = "63da758d-e664-4564-adc5-f4b93be8accd"
VLEK = "a8074bc2-a25a-483e-aae6-39c045a0b8a1"
ASK = "4ab7b379-bbac-4fe4-a02f-05aef327c782"
ARK = "c0b406a4-a803-4952-9743-3fb6014cd0ae"


@pytest.fixture
def collateral(tmp_path: Path) -> Path:
    """A file of collateral."""
    path = tmp_path / "collateral.json"
    path.write_text('{"from": "a file"}')
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    """A machine with nothing in it."""
    return DeviceTree(tmp_path / "root", tdx_quote)


def test_a_machine_without_attestation_is_refused_and_never_simulated(tree: Any) -> None:
    with pytest.raises(AttesterUnavailable, match="no attestation") as caught:
        probe(tree)
    assert "gramine-sgx" in caught.value.details["remedy"]


def test_gramine_without_sgx_has_keys_and_no_attestation(tree: Any) -> None:
    tree.put("/dev/attestation/keys/default", bytes(16))
    with pytest.raises(AttesterUnavailable, match="no attestation"):
        probe(tree)


def test_gramine(
    tree: Any, collateral: Path, launch: Callable[[str, str], Attester], launched_for: str, now: int
) -> None:
    machine, seen = launch("worker", launched_for), list[str]()

    def quote(report_data: bytes) -> bytes:
        evidence = machine.evidence(report_data)
        seen.append(evidence.collateral)
        return evidence.quote + bytes(70)

    tree.quote = quote
    tree.offer_gramine()
    attester = probe(tree, collateral=collateral)
    evidence = attester.evidence(ASKED)
    assert (evidence.kind, evidence.collateral) == ("sgx", '{"from": "a file"}')
    # The quote is genuine where its root is known: nothing of it was lost with the padding.
    claims = verify_evidence(Evidence("simulation", evidence.quote, seen[0]), now=now)
    assert claims.report_data == ASKED
    collateral.write_text("renewed")
    assert attester.evidence(ASKED).collateral == "renewed"


def test_gramine_seals_by_mrenclave(tree: Any) -> None:
    tree.offer_gramine()
    attester = probe(tree)
    (found,) = attester.sealing_keys()
    assert (found.measurement, found.tcb) == ("aa" * 32, "0c" * 16)
    key = found.key
    assert len(key) == 32
    assert key.hex() not in repr(found)
    assert str(key) not in repr(found)
    assert bytes(range(16)) not in key
    # The report is one for ourselves.
    assert tree.read("/dev/attestation/target_info", 512) == b"t" * 512
    tree.put("/dev/attestation/keys/_sgx_mrsigner", bytes(16))
    assert attester.sealing_keys() == (found,)
    tree.put("/dev/attestation/keys/_sgx_mrenclave", b"\1" * 16)
    assert attester.sealing_keys()[0].key != key
    for bad in (b"", bytes(16), b"\1" * 15, b"\1" * 65):
        tree.put("/dev/attestation/keys/_sgx_mrenclave", bad)
        with pytest.raises((AttesterUnavailable, SealingUnavailable)):
            attester.sealing_keys()
    tree.put("/dev/attestation/keys/_sgx_mrenclave", b"\1" * 16)
    for bad in (b"", bytes(431), bytes(433)):
        tree.put("/dev/attestation/report", bad)
        with pytest.raises(AttesterUnavailable):
            attester.sealing_keys()


def test_gramine_refuses_what_is_no_quote_for_what_was_asked(tree: Any, collateral: Path) -> None:
    tree.offer_gramine()
    attester = probe(tree, collateral=collateral)
    sgx = struct.pack("<HH", 3, 2) + bytes(44 + 320) + ASKED + struct.pack("<I", 10) + b"s" * 10
    tree.quote = fixed(sgx)
    assert attester.evidence(ASKED).quote == sgx
    answers = {
        "cut off": sgx[:-1],
        "other report data": sgx[:368] + bytes(64) + sgx[432:],
        "no sgx quote": tdx_quote(ASKED),
        "more than": bytes(2**17),
    }
    for words, answer in answers.items():
        tree.quote = fixed(answer)
        with pytest.raises(AttesterUnavailable, match=words):
            attester.evidence(ASKED)
    tree.put("/dev/attestation/attestation_type", b"none\n")
    with pytest.raises(AttesterUnavailable, match="dcap"):
        attester.evidence(ASKED)
    tree.put("/dev/attestation/attestation_type", b"dcap")
    (tree.root / "dev/attestation/user_report_data").unlink()
    with pytest.raises(AttesterUnavailable, match="No such file"):
        attester.evidence(ASKED)


def test_intel_needs_collateral(tree: Any, tmp_path: Path) -> None:
    tree.offer_tsm("tdx_guest")
    with pytest.raises(AttesterUnavailable, match="without collateral") as caught:
        probe(tree).evidence(ASKED)
    assert "--collateral" in caught.value.details["remedy"]
    for content in (None, b"", b"\xff", b"x" * (2**18 + 1)):
        path = tmp_path / "other"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(AttesterUnavailable):
            probe(tree, collateral=path).evidence(ASKED)


@pytest.mark.parametrize("version", [4, 5])
def test_tdx(tree: Any, collateral: Path, version: int) -> None:
    tree.offer_tsm("tdx_guest")
    tree.quote = partial(tdx_quote, version=version)
    attester = probe(tree, collateral=collateral)
    evidence = attester.evidence(ASKED)
    assert evidence.kind == "tdx"
    assert tree.asked == [ASKED]
    assert len(evidence.quote) == {4: 48 + 584, 5: 54 + 648}[version] + 4 + 700
    assert tree.quote(ASKED).startswith(evidence.quote)
    with pytest.raises(SealingUnavailable, match="no sealing key"):
        attester.sealing_keys()
    assert tree.objects == []


def test_a_report_object_that_somebody_else_wrote_to_is_refused(
    tree: Any, collateral: Path
) -> None:
    tree.offer_tsm("tdx_guest")
    attester = probe(tree, collateral=collateral)
    tree.intruder = True
    with pytest.raises(AttesterUnavailable, match="ours alone"):
        attester.evidence(ASKED)
    assert tree.objects == []


def test_a_report_of_more_than_32_kib_is_refused(tree: Any, collateral: Path) -> None:
    tree.offer_tsm("tdx_guest")
    attester = probe(tree, collateral=collateral)
    tree.quote = partial(tdx_quote, padded=32 * 1024)
    assert attester.evidence(ASKED)
    tree.quote = partial(tdx_quote, padded=32 * 1024 + 1)
    with pytest.raises(AttesterUnavailable, match="more than 32768"):
        attester.evidence(ASKED)


def test_snp_with_the_certificates_that_its_host_hands_out(tree: Any) -> None:
    entries = {"00112233" * 4: b"other", ARK: b"ark", ASK: b"ask", VCEK: b"vcek", VLEK: b"vlek"}
    tree.offer_tsm("sev_guest", certificate_table(entries))
    for signer, expected in ((0, "dmNlaw=="), (1, "dmxlaw==")):
        tree.quote = partial(snp_report, signer=signer)
        evidence = probe(tree).evidence(ASKED)
        assert evidence.kind == "snp"
        assert json.loads(evidence.collateral) == {
            "ark": "YXJr", "ask": "YXNr", "ek": expected, "crl": None,
        }  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        b"",
        certificate_table({ASK: b"ask", ARK: b"ark"}),
        certificate_table({ASK: b"ask", ARK: b"ark", VCEK: b"vcek"})[:-1],
        certificate_table({ASK: b"ask"})[:24] * 2 + bytes(48),
        os.urandom(4096),
    ],
)
def test_snp_refuses_a_table_that_does_not_hold_together(tree: Any, table: bytes) -> None:
    tree.offer_tsm("sev_guest", table)
    tree.quote = snp_report
    with pytest.raises(AttesterUnavailable):
        probe(tree).evidence(ASKED)


def test_snp_with_a_file_of_certificates(tree: Any, collateral: Path) -> None:
    tree.offer_tsm("sev_guest", b"junk that nobody looks at")
    tree.quote = snp_report
    assert probe(tree, collateral=collateral).evidence(ASKED).collateral == '{"from": "a file"}'
    tree.quote = fixed(snp_report(ASKED) + b"\0")
    with pytest.raises(AttesterUnavailable, match="1184"):
        probe(tree, collateral=collateral).evidence(ASKED)


def test_snp_seals_by_measurement_and_policy(tree: Any) -> None:
    tree.offer_tsm("sev_guest")
    attester = probe(tree)
    with pytest.raises(AttesterUnavailable, match="/dev/sev-guest"):
        attester.sealing_keys()
    tree.put("/dev/sev-guest", b"")
    tree.quote = sound_report
    (found,) = attester.sealing_keys()
    key = found.key
    assert (found.measurement, found.tcb) == ("6d" * 48, "04010000000018db")
    assert len(key) == 32
    assert key != tree.device_key
    # The chip's own VCEK; guest policy (bit 0) and measurement (bit 3); nothing else is mixed in.
    assert tree.asked[0] == struct.pack("<IIQIIQ", 2, 0, 1 | 8, 0, 0, 0)
    assert attester.sealing_keys() == (found,)
    tree.quote = snp_report  # which is none but for its report data
    with pytest.raises(AttesterUnavailable, match="cannot be read"):
        attester.sealing_keys()
    tree.device_key = bytes(32)
    with pytest.raises(SealingUnavailable):
        attester.sealing_keys()
    assert tree.objects == []


def test_an_unknown_provider_is_refused(tree: Any) -> None:
    tree.offer_tsm("arm_cca_guest")
    with pytest.raises(AttesterUnavailable, match="not supported"):
        probe(tree)
    assert tree.objects == []


def _recorded() -> list[dict[str, str]]:
    manifest = _VECTORS / "MANIFEST.tsv"
    if not manifest.exists():
        return []
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _certificates(row: dict[str, str]) -> bytes:
    """The table that a host would hand out with a recorded report."""
    _, _, product, signer = row["kind"].split()
    ask = f"SEV-{product}" if signer == "VCEK" else f"SEV-VLEK-{product}"
    names = {ARK: f"snp/ARK-{product}", ASK: f"snp/{ask}"}
    names[VCEK if signer == "VCEK" else VLEK] = f"{row['name']}.ek"
    entries = {guid: (_VECTORS / f"{name}.der").read_bytes() for guid, name in names.items()}
    return certificate_table(entries)


@pytest.mark.skipif(not _recorded(), reason=f"recorded evidence is missing: {_VECTORS}")
@pytest.mark.parametrize("row", _recorded(), ids=lambda row: row["name"])
def test_recorded_evidence_comes_through_as_it_was(tree: Any, row: dict[str, str]) -> None:
    kind, asked = row["kind"].split()[0], bytes.fromhex(row["report_data"])
    ending = "report" if kind == "snp" else "quote"
    recorded = (_VECTORS / f"{row['name']}.{ending}.bin").read_bytes()
    tree.quote = fixed(recorded if kind == "snp" else recorded.ljust(8000, b"\0"))
    collateral = None if kind == "snp" else _VECTORS / f"{row['name']}.collateral.json"
    if kind == "sgx":
        tree.offer_gramine()
    elif kind == "tdx":
        tree.offer_tsm("tdx_guest")
    else:
        tree.offer_tsm("sev_guest", _certificates(row))
    evidence = probe(tree, collateral=collateral).evidence(asked)
    assert evidence.kind == kind
    assert tree.asked == [asked]
    # Some were recorded with the 70 zero bytes that a library appends.
    assert evidence.quote.ljust(len(recorded), b"\0") == recorded
    # What has vmpl=1 is genuine and refused all the same: only VMPL 0 speaks for the machine.
    if row["expected"].startswith("OK") and "vmpl=1" not in row["expected"]:
        claims = verify_evidence(evidence, now=int(row["now_unix"]))
        assert claims.report_data == asked
