# SPDX-License-Identifier: Apache-2.0
"""The parser reads what the ABI allows and refuses all else in our words, whatever the bytes."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.attestation.snp import MACHINES, REPORT_BYTES, Report, Tcb
from placet.refusals import EvidenceMalformed, PolicyInvalid

NUMBER = st.integers(0, 255)
TCB = st.builds(Tcb, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER)


def test_every_field(vendor: Any) -> None:
    ids = {0x10: b"f" * 16 + b"i" * 16, 0x110: b"a" * 48, 0x48: b"\x01", 0x30: b"\x02"}
    firmware = {0x1E8: bytes((9, 56, 1)), 0x1EC: bytes((4, 55, 1))}
    data = vendor.report("Genoa", 5, edits={**ids, **firmware})
    found = Report.from_bytes(data)
    assert (found.version, found.guest_svn, found.policy) == (5, 5, 0x3001F)
    assert (found.family_id, found.image_id) == (b"f" * 16, b"i" * 16)
    assert (found.vmpl, found.platform_info, found.signing_key) == (2, 0x25, "VCEK")
    assert (found.flags, found.launch_mitigations, found.current_mitigations) == (1, 1, 3)
    assert (found.report_data, found.measurement) == (b"r" * 64, b"m" * 48)
    assert (found.host_data, found.id_key_digest) == (b"h" * 32, b"k" * 48)
    assert (found.author_key_digest, found.cpuid) == (b"a" * 48, (0x19, 0x11))
    assert found.chip_id == bytes(range(64))
    assert (found.current_version, found.committed_version) == ((1, 56, 9), (1, 55, 4))
    assert found.signed == data[:0x2A0]
    assert Report.from_bytes(vendor.report("Genoa", 2)).cpuid is None


@given(st.binary(max_size=2 * REPORT_BYTES))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EvidenceMalformed):
        Report.from_bytes(data)


@given(st.data())
def test_changed_reports_are_read_or_refused(vendor: Any, data: st.DataObject) -> None:
    report = bytearray(vendor.report("Milan", data.draw(st.sampled_from((2, 3, 5)))))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, REPORT_BYTES - 8))
        report[start : start + 8] = data.draw(st.binary(min_size=8, max_size=8))
    with contextlib.suppress(EvidenceMalformed):
        found = Report.from_bytes(bytes(report))
        assert found.signed == report[:0x2A0]


@given(TCB, TCB, TCB)
def test_tcbs(one: Tcb, two: Tcb, three: Tcb) -> None:
    assert Tcb.from_text(one.to_text()) == one
    lowest = one.lowest(two, three)
    assert all(each.at_least(lowest) for each in (one, two, three))
    assert one.at_least(two) == (one.lowest(two) == two)
    assert one == two or not (one.at_least(two) and two.at_least(one))


def test_tcbs_have_no_common_order() -> None:
    one, two = Tcb(0, 4, 0, 24, 219), Tcb(0, 5, 0, 24, 218)
    assert not one.at_least(two) and not two.at_least(one)


def test_layouts() -> None:
    data = bytes((1, 2, 3, 4, 0, 0, 0, 8))
    milan, _, turin = MACHINES
    assert Tcb.from_bytes(data, turin) == Tcb(fmc=1, bootloader=2, tee=3, snp=4, microcode=8)
    with pytest.raises(EvidenceMalformed):
        Tcb.from_bytes(data, milan)
    data = bytes((1, 2, 0, 0, 0, 0, 7, 8))
    assert Tcb.from_bytes(data, milan) == Tcb(fmc=0, bootloader=1, tee=2, snp=7, microcode=8)
    with pytest.raises(EvidenceMalformed):
        Tcb.from_bytes(data, turin)


@pytest.mark.parametrize(
    "text", ["", "1.2.3.4", "1.2.3.4.5.6", "1.2.3.4.256", "01.2.3.4.5", "1.2.3.4.-5", "a.2.3.4.5"]
)
def test_tcbs_in_other_words(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        Tcb.from_text(text)
