# SPDX-License-Identifier: Apache-2.0
"""A notice is believed by the signature of the earlier certificate's key, and by nothing else."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from placet.auditing.pins import (
    CertificateKey,
    SignedNotice,
    follow,
    notices_from_bytes,
    notices_to_bytes,
    pin_of_der,
    sign_notice,
    verify_notice,
)
from placet.governance.envelope import sign_payload
from placet.governance.keys import SigningKey
from placet.refusals import DocumentMalformed, PayloadType, SignatureInvalid

NOW = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
DAY = 86_400


class Made:
    """A certificate that lasts ten days from a day before."""

    def __init__(self, key: CertificateKey | None = None) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host")])
        start = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=10))
            .sign(self.key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.pin = pin_of_der(certificate.public_bytes(serialization.Encoding.DER))

    def announces(self, successor: "Made", now: int = NOW) -> SignedNotice:
        return sign_notice(self.pem, self.key, successor.pem, now)


def _rsa() -> Made:
    return Made(rsa.generate_private_key(65537, 2048))


@pytest.mark.parametrize("made", [Made, _rsa])
def test_a_notice_names_both_pins_and_lasts_as_long_as_the_earlier_one(made: type[Made]) -> None:
    former, successor = made(), Made()
    notice = verify_notice(former.announces(successor), NOW + DAY)
    assert (notice.former, notice.successor) == (former.pin, successor.pin)
    assert (notice.made, notice.until) == (NOW, NOW + 9 * DAY)


def test_it_says_nothing_after_the_end_nor_before_it_was_made() -> None:
    signed = Made().announces(Made())
    for now in (NOW - 1, NOW + 9 * DAY + 1):
        with pytest.raises(DocumentMalformed):
            verify_notice(signed, now)
    with pytest.raises(DocumentMalformed):  # made before there was such a certificate
        verify_notice(Made().announces(Made(), NOW - 2 * DAY), NOW)


def test_nobody_else_can_sign_it() -> None:
    former, thief, successor = Made(), Made(), Made()
    forged = sign_notice(former.pem, thief.key, successor.pem, NOW)
    with pytest.raises(SignatureInvalid):
        verify_notice(forged, NOW)
    # A notice of the thief's own certificate, shown with the honest one.
    own = thief.announces(successor)
    with pytest.raises(DocumentMalformed):
        verify_notice(
            dataclasses.replace(own, certificate=former.announces(thief).certificate), NOW
        )


def test_another_document_is_no_notice() -> None:
    signed = Made().announces(Made())
    other = sign_payload(b"{}", "application/vnd.placet.stop.v1+json", SigningKey.generate())
    with pytest.raises(PayloadType):
        verify_notice(dataclasses.replace(signed, envelope=other), NOW)


def test_a_changed_successor_is_refused() -> None:
    former, successor, other = Made(), Made(), Made()
    envelope = json.loads(former.announces(successor).envelope)
    envelope["payload"] = json.loads(former.announces(other).envelope)["payload"]
    signed = former.announces(successor)
    with pytest.raises(SignatureInvalid):
        verify_notice(dataclasses.replace(signed, envelope=json.dumps(envelope).encode()), NOW)


def test_notices_are_followed_one_after_the_other_and_never_backwards() -> None:
    first, second, third = Made(), Made(), Made()
    notices = (second.announces(third), first.announces(second))
    assert follow(notices, first.pin, third.pin, NOW) == (notices[1], notices[0])
    assert not follow(notices, third.pin, first.pin, NOW)
    assert not follow(notices, first.pin, Made().pin, NOW)
    round_ = (*notices, third.announces(first))
    assert len(follow(round_, second.pin, first.pin, NOW)) == 2


def test_what_does_not_hold_is_passed_over() -> None:
    first, second = Made(), Made()
    broken = SignedNotice(b"\xff", b"\x00")
    forged = sign_notice(first.pem, second.key, second.pem, NOW)
    assert follow([broken, forged], first.pin, second.pin, NOW) == ()
    assert len(follow([broken, first.announces(second)], first.pin, second.pin, NOW)) == 1


def test_a_file_of_notices(tmp_path: Path) -> None:
    notices = (Made().announces(Made()), Made().announces(Made()))
    assert notices_from_bytes(notices_to_bytes(notices)) == notices
    for bad in (b"{}", b'{"notices":[1]}', b'{"notices":[{}]}', b'{"notices":[{"envelope":"a"}]}'):
        with pytest.raises(DocumentMalformed):
            notices_from_bytes(bad)
