# SPDX-License-Identifier: Apache-2.0
"""A certificate is made anew before it ends, announced under the earlier one, never silently."""

import asyncio
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from placet.auditing.pins import follow
from placet.host.calls.certificates import Certificates
from placet.host.calls.tls import Certificate, make_certificate, utc_now
from placet.host.store.durable import write_durable

DAY = timedelta(days=1)


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now

    @property
    def seconds(self) -> int:
        return int(self.now.timestamp())


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "placet")
    return caplog


def operators(folder: Path, now: datetime) -> tuple[Path, Path]:
    """The operator's files, written anew."""
    made = make_certificate(folder / "operator.pem", ("host.example.org",), now)
    made.path.write_bytes(made.certificate_pem)
    key = folder / "operator.key"
    key.write_bytes(made.key_pem)
    return made.path, key


def test_it_is_kept_until_it_no_longer_fits(tmp_path: Path, time: Time) -> None:
    first = Certificates(tmp_path, now=time).own
    assert Certificates(tmp_path, now=time).own == first
    assert b"PRIVATE" not in repr(first).encode()
    named = Certificates(tmp_path, ("host.example.org",), now=time)
    assert named.own.pin != first.pin
    assert follow(named.notices, first.pin, named.own.pin, time.seconds)
    assert Certificates(tmp_path, now=time).own.pin == named.own.pin
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_it_is_renewed_while_the_host_runs_and_the_log_says_so(
    tmp_path: Path, time: Time, logged: pytest.LogCaptureFixture
) -> None:
    held = Certificates(tmp_path, renew=90 * DAY, now=time)
    first = held.own
    time.now = first.ends - 91 * DAY
    asyncio.run(held.look())
    assert held.own == held.shown == first and not held.notices
    time.now = first.ends - 89 * DAY
    logged.clear()
    asyncio.run(held.look())
    assert held.own.pin != first.pin and held.shown == held.own
    assert follow(held.notices, first.pin, held.own.pin, time.seconds)
    assert f"new-certificate pin={held.own.pin}" in logged.text
    assert f"new-pin pin={held.own.pin}" in logged.text
    assert f"former={first.pin} announced=yes" in logged.text
    again = Certificates(tmp_path, now=time)
    assert (again.own, again.notices) == (held.own, held.notices)
    time.now = first.ends + DAY  # the notice says nothing any more, and is not kept
    assert not follow(held.notices, first.pin, held.own.pin, time.seconds)
    asyncio.run(held.look())
    assert held.own == again.own


def test_a_host_that_was_off_too_long_announces_nothing_and_says_so(
    tmp_path: Path, time: Time, logged: pytest.LogCaptureFixture
) -> None:
    first = Certificates(tmp_path, now=time).own
    time.now = first.ends + DAY
    logged.clear()
    late = Certificates(tmp_path, now=time)
    assert late.own.pin != first.pin and not late.notices
    assert [r.levelname for r in logged.records if r.getMessage().startswith("new-pin")] == [
        "WARNING"
    ]
    assert "announced=no" in logged.text


@pytest.mark.parametrize("writes", range(6))
def test_a_renewal_that_breaks_off_leaves_a_pair_that_fits(
    tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    first = Certificates(tmp_path, now=time).own
    whole, left = write_durable, [writes]

    def breaking(path: Path, data: bytes, *, mode: int) -> None:
        if not left[0]:
            raise OSError("no space")
        left[0] -= 1
        whole(path, data, mode=mode)

    time.now = first.ends - DAY
    with monkeypatch.context() as patched:
        patched.setattr("placet.host.calls.certificates.write_durable", breaking)
        try:
            Certificates(tmp_path, now=time)
        except OSError:
            assert writes < 5
    after = Certificates(tmp_path, now=time)
    assert after.own.key.public_key() and after.own.pin != first.pin
    assert follow(after.notices, first.pin, after.own.pin, time.seconds)
    assert after.own.certificate_pem == (tmp_path / "cert.pem").read_bytes()
    assert Certificates(tmp_path, now=time).own == after.own


def test_an_operators_certificate_is_shown_and_enclaves_know_the_hosts_own(
    tmp_path: Path, time: Time
) -> None:
    own = Certificates(tmp_path / "tls", now=time).own
    files = operators(tmp_path, time.now)
    held = Certificates(tmp_path / "tls", operator=files, now=time)
    assert held.own == own
    assert held.shown.certificate_pem == files[0].read_bytes()
    assert follow(held.notices, own.pin, held.shown.pin, time.seconds)


def test_an_operators_certificate_is_read_again(
    tmp_path: Path, time: Time, logged: pytest.LogCaptureFixture
) -> None:
    files = operators(tmp_path, time.now)
    held = Certificates(tmp_path / "tls", operator=files, now=time)
    first = held.shown
    key = files[1].read_bytes()
    operators(tmp_path, time.now)
    new_key = files[1].read_bytes()
    files[1].write_bytes(key)  # the certificate is replaced already, its key not yet
    asyncio.run(held.look())
    assert held.shown == first and "certificate-unusable" in logged.text
    files[1].write_bytes(new_key)
    asyncio.run(held.look())
    assert held.shown.certificate_pem == files[0].read_bytes() != first.certificate_pem
    assert follow(held.notices, first.pin, held.shown.pin, time.seconds)
    assert f"new-pin pin={held.shown.pin}" in logged.text


def test_the_end_of_an_operators_certificate_is_said(
    tmp_path: Path, time: Time, logged: pytest.LogCaptureFixture
) -> None:
    held = Certificates(tmp_path / "tls", operator=operators(tmp_path, time.now), now=time)
    time.now = held.shown.ends - DAY
    asyncio.run(held.look())
    assert f"certificate-ends pin={held.shown.pin}" in logged.text


def test_what_is_no_certificate_with_its_key_is_not_taken(tmp_path: Path, time: Time) -> None:
    certificate, key = operators(tmp_path, time.now)
    other: Certificate = make_certificate(tmp_path / "other", (), time.now)
    key.write_bytes(other.key_pem)
    with pytest.raises(ValueError, match="not the key"):
        Certificates(tmp_path / "tls", operator=(certificate, key), now=time)
    certificate.write_bytes(b"no certificate")
    with pytest.raises(ValueError, match="PEM"):
        Certificates(tmp_path / "tls", operator=(certificate, key), now=time)
    os.unlink(key)
    with pytest.raises(OSError, match="No such file"):
        Certificates(tmp_path / "tls", operator=(certificate, key), now=time)


def test_a_fault_is_logged_and_changes_nothing(
    tmp_path: Path,
    time: Time,
    logged: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Certificates(tmp_path, now=time)
    first, time.now = held.own, held.own.ends - DAY

    def full(path: Path, data: bytes, *, mode: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("placet.host.calls.certificates.write_durable", full)
        asyncio.run(held.look())
    assert held.own == held.shown == first
    assert "certificate-failed kind=OSError errno=ENOSPC" in logged.text

    def full_at_last(path: Path, data: bytes, *, mode: int) -> None:
        if path.name == "shown.pem":
            raise OSError(28, "No space left on device")
        write_durable(path, data, mode=mode)

    with monkeypatch.context() as patched:
        patched.setattr("placet.host.calls.certificates.write_durable", full_at_last)
        asyncio.run(held.look())
    renewed = held.own
    assert held.shown == renewed != first  # shown all the same
    logged.clear()
    asyncio.run(held.look())
    assert held.own == held.shown == renewed
    assert f"new-pin pin={renewed.pin}" in logged.text
