# SPDX-License-Identifier: Apache-2.0
"""A home follows a host to another certificate by its notice, remembers it, and takes both pins
while the earlier one lasts."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from placet.auditing.pins import SignedNotice, sign_notice
from placet.client import Client, FileRefused, Home, HostPinMismatch, Keys
from placet.client.connection.pins import Pins
from placet.client.portal import Portal
from placet.host.calls.tls import Certificate, make_certificate, utc_now
from placet.proto.v1 import certificates_pb2, certificates_pb2_grpc

NOW = utc_now()


def made() -> Certificate:
    return make_certificate(Path("unwritten"), (), NOW)


def announced(former: Certificate, successor: Certificate) -> SignedNotice:
    now = int(NOW.timestamp())
    return sign_notice(former.certificate_pem, former.key, successor.certificate_pem, now)


def clock(moment: datetime) -> Any:
    return lambda: moment.timestamp()


class Moving(certificates_pb2_grpc.CertificatesServicer):
    """A host that shows one certificate, then another, at one address."""

    def __init__(self) -> None:
        self._portal = Portal()
        self._server: grpc.aio.Server | None = None
        self.address = "127.0.0.1:0"
        self.notices: list[SignedNotice] = []

    def show(self, certificate: Certificate) -> None:
        self._stop()
        self._portal.run(self._start(certificate))

    async def GetNotices(self, request: Any, context: Any) -> certificates_pb2.NoticesResponse:
        return certificates_pb2.NoticesResponse(
            notices=[
                certificates_pb2.AnnouncedPin(envelope=n.envelope, certificate=n.certificate)
                for n in self.notices
            ]
        )

    def close(self) -> None:
        self._stop()
        self._portal.close()

    async def _start(self, certificate: Certificate) -> None:
        self._server = grpc.aio.server()
        certificates_pb2_grpc.add_CertificatesServicer_to_server(self, self._server)
        pair = (certificate.key_pem, certificate.certificate_pem)
        credentials = grpc.ssl_server_credentials([pair])
        port = self._server.add_secure_port(self.address, credentials)
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    def _stop(self) -> None:
        if self._server is not None:
            self._portal.run(self._server.stop(0))


@pytest.fixture
def moving() -> Iterator[Moving]:
    host = Moving()
    yield host
    host.close()


def test_both_pins_are_taken_until_the_earlier_certificate_ends() -> None:
    first, second = made(), made()
    pins = Pins(first.pin, now=clock(NOW))
    assert not pins.accepts(second.pin)
    assert pins.follow(second.pin, [announced(first, second)])
    assert pins.pin == second.pin
    assert pins.accepts(second.pin) and pins.accepts(first.pin)
    late = Pins(pins.pin, pins.notices, now=clock(first.ends.replace(year=first.ends.year + 1)))
    assert late.accepts(second.pin) and not late.accepts(first.pin)


def test_a_notice_of_another_host_leads_nowhere() -> None:
    first, second, other = made(), made(), made()
    pins = Pins(first.pin, now=clock(NOW))
    assert not pins.follow(second.pin, [announced(other, second)])
    forged = sign_notice(first.certificate_pem, other.key, second.certificate_pem, 0)
    assert not pins.follow(second.pin, [forged])
    assert pins.pin == first.pin and not pins.accepts(second.pin)


def test_a_home_follows_and_remembers(tmp_path: Path, moving: Moving) -> None:
    host, first, second = moving, made(), made()
    host.show(first)
    home = Home(tmp_path / "home")
    home.configure(host.address, first.pin)
    Client.at_home(home).close()
    host.show(second)
    with pytest.raises(HostPinMismatch):
        Client.at_home(home)
    assert home.host() == (host.address, first.pin)
    host.notices = [announced(first, second)]
    Client.at_home(home).close()
    assert home.host() == (host.address, second.pin)
    host.notices = []  # it is remembered, whatever the host says afterwards
    Client.at_home(home).close()
    host.show(first)
    Client.at_home(home).close()
    home.configure(host.address, second.pin)  # the operator says that the earlier one is lost
    with pytest.raises(HostPinMismatch):
        Client.at_home(home)


class Asked:
    """Remembers for which pins it was asked for a login, and has none."""

    def __init__(self) -> None:
        self.pins: list[str] = []

    def load(self, by: str, pin: str) -> tuple[str, float]:
        self.pins.append(pin)
        return "", 0.0

    def save(self, by: str, pin: str, token: str, ends: float) -> None:
        raise AssertionError("nobody logged in")


def test_a_login_is_for_the_certificate_that_is_shown(moving: Moving) -> None:
    """Whoever has the key of an earlier certificate gets no token that is for a later one."""
    host, first, second, asked = moving, made(), made(), Asked()
    pins, keys = Pins(first.pin), Keys.generate("ada")
    assert pins.follow(second.pin, [announced(first, second)])
    for certificate in (second, first):
        host.show(certificate)
        Client.connect(host.address, pins, keys=keys, kept=asked).close()
    assert asked.pins == [second.pin, first.pin]


def test_a_file_of_notices_that_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.configure("127.0.0.1:1", "sha256:" + "00" * 32)
    (home.folder / "pins.json").write_text("[]")
    with pytest.raises(FileRefused, match="Delete it"):
        home.pins()


def test_a_home_that_trusts_a_ca(tmp_path: Path) -> None:
    home, ca = Home(tmp_path / "home"), tmp_path / 'c"a.pem'
    with pytest.raises(FileRefused):
        home.configure("127.0.0.1:1", "", ca=ca)
    ca.write_bytes(made().certificate_pem)
    home.configure("127.0.0.1:1", "", ca=ca)
    assert home.host() == ("127.0.0.1:1", "") and home.ca() == ca.read_bytes()
    home.config.write_text(home.config.read_text() + f'pin = "sha256:{"0" * 64}"\n')
    with pytest.raises(FileRefused, match="a pin and a CA"):
        home.host()


def test_the_notices_are_json() -> None:
    envelope = json.loads(announced(made(), made()).envelope)
    assert envelope["payloadType"] == "application/vnd.placet.pin-notice.v1+json"
