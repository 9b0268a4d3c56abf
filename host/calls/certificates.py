# SPDX-License-Identifier: Apache-2.0
"""Which certificate a host shows, and what it says before it shows another one.

    cert.pem, key.pem   its own, which enclaves of this machine know by this file
    shown.pem           what callers were shown last: its own, or the operator's
    notices.json        what it announces: each pin signed by the key of the one before

Its own certificate is made anew before it ends, or where it lacks a name. An operator's certificate
is read again when its files change. Either is shown from the next handshake on; connections that
are there stay. A new pin is announced by a notice under the earlier one wherever the host has the
earlier key, and is a line of the log in any case.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import grpc

from placet.auditing.pins import (
    MAX_NOTICES,
    SignedNotice,
    follow,
    notices_from_bytes,
    notices_to_bytes,
    sign_notice,
    verify_notice,
)
from placet.host.calls.tls import (
    Certificate,
    make_certificate,
    pin_of,
    read_cas,
    read_certificate,
    utc_now,
)
from placet.host.logs import kind_of
from placet.host.store.durable import write_durable
from placet.refusals import Refusal

_LOOK_SECONDS = 60.0
_DAY = timedelta(days=1)
_log = logging.getLogger("placet.host.tls")


class Shown:
    """Credentials of a port: a certificate, and another one from some handshake on. With `cas`, who
    comes in has to show one too, for which one of them vouches."""

    def __init__(self, certificate: Certificate, cas: bytes | None = None) -> None:
        self._first = self._given = self._newest = _configuration(certificate, cas)
        self._demands = cas is not None

    def credentials(self) -> grpc.ServerCredentials:
        # None says that nothing changes, which grpc's types do not know.
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._fetch)
        return grpc.dynamic_ssl_server_credentials(self._first, fetch, self._demands)

    def show(self, certificate: Certificate, cas: bytes | None = None) -> None:
        """Show this one from the next handshake on, and go by these CAs."""
        self._newest = _configuration(certificate, cas)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """What changes, asked at each handshake, in a thread of gRPC's."""
        newest = self._newest  # read once: another one may come meanwhile, for the next handshake
        if newest is self._given:
            return None
        self._given = newest
        return newest


class Certificates:
    """The certificates in a folder. `operator` are the files of the operator's, and its key's;
    `client_ca` is that of the CAs which have to vouch for callers.

    `own` is the host's, `shown` what callers see. now: gives the time, which has to be believed: a
    certificate that begins in the future is of use to nobody. Raises OSError or ValueError for
    what cannot be used of the operator's.
    """

    def __init__(
        self,
        folder: Path,
        names: tuple[str, ...] = (),
        operator: tuple[Path, Path] | None = None,
        *,
        client_ca: Path | None = None,
        renew: timedelta = 90 * _DAY,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._names, self._operator = folder, names, operator
        self._client_ca = client_ca
        self._cas = read_cas(client_ca) if client_ca else None
        self._renew, self._now = renew, now
        self._path, self._key_path = folder / "cert.pem", folder / "key.pem"
        self._warned = ""
        self.notices = self._read_notices()
        shown = read_certificate(*operator) if operator else None
        own = self._read_own()
        if own is None:
            self.own = self._install(self._made(), "first")
        else:
            self.own = own
            if not own.fits(names, now() + renew):
                self.own = self._renewed(announce=shown is None)
        os.chmod(self._key_path, 0o600)
        self.shown = shown or self.own
        self._compare(self.own if own is None else own)
        self._callers, self._enclaves = Shown(self.shown, self._cas), Shown(self.own)

    def for_callers(self) -> grpc.ServerCredentials:
        """Credentials of the port that callers know."""
        return self._callers.credentials()

    def for_enclaves(self) -> grpc.ServerCredentials:
        """Credentials of the port for enclaves of this machine, who know the host's own."""
        return self._enclaves.credentials()

    @property
    def pins(self) -> frozenset[str]:
        """Those by which the host is known now: of the certificate that callers are shown, and the
        earlier ones that clients may still hold."""
        now = int(self._now().timestamp())
        held = (verify_notice(each, now).former for each in self.notices if self._holds(each))
        return frozenset((self.shown.pin, *held))

    async def run(self) -> None:
        """Look after them once a minute, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Renew what ends soon, and read what has changed. A fault is logged, and nothing
        changes."""
        try:
            await asyncio.to_thread(self._look)
        except Exception as error:  # noqa: BLE001
            _log.error("certificate-failed %s", kind_of(error))

    def _look(self) -> None:
        if not self.own.fits(self._names, self._now() + self._renew):
            self.own = self._renewed(announce=self._operator is None)
            self._enclaves.show(self.own)
        self._show(self._read_operator() or self.own)
        self._read_cas()
        self._warn()

    def _read_cas(self) -> None:
        """The CAs for callers as they are now; as they were, where the file cannot be used."""
        if self._client_ca is None:
            return
        try:
            cas = read_cas(self._client_ca)
        except (OSError, ValueError) as error:
            self._say(f"certificate-unusable {kind_of(error)} file={self._client_ca}")
            return
        if cas != self._cas:
            self._cas = cas
            self._callers.show(self.shown, cas)
            _log.info("new-client-ca file=%s", self._client_ca)

    def _read_operator(self) -> Certificate | None:
        """The operator's as it is now; as it was, where the files cannot be used yet: two files are
        not replaced at once."""
        if self._operator is None:
            return None
        try:
            return read_certificate(*self._operator)
        except (OSError, ValueError) as error:
            self._say(f"certificate-unusable {kind_of(error)} file={self._operator[0]}")
            return self.shown

    def _show(self, certificate: Certificate) -> None:
        former = self.shown
        if certificate.pin != former.pin:
            if not self._leads(former.pin, certificate.pin):
                self._announce(former, certificate)
            self.shown = certificate
            self._callers.show(certificate, self._cas)
        self._compare(former)

    def _compare(self, former: Certificate) -> None:
        """Say it where callers were shown another one last; whoever has its key announces."""
        path = self._folder / "shown.pem"
        last = pin_of(path.read_bytes()) if path.exists() else ""
        if last == self.shown.pin:
            return
        if last == former.pin and not self._leads(last, self.shown.pin):
            self._announce(former, self.shown)
        announced = self._leads(last, self.shown.pin)
        _log.log(
            logging.INFO if announced or not last else logging.WARNING,
            "new-pin pin=%s until=%s former=%s announced=%s",
            self.shown.pin,
            self.shown.ends.date(),
            last or "none",
            "yes" if announced else "no",
        )
        write_durable(path, self.shown.certificate_pem, mode=0o644)
        self._keep(self.notices)

    def _renewed(self, *, announce: bool) -> Certificate:
        """Another one of the host's own, announced under the one that it replaces."""
        made, former = self._made(), self._read_own()
        if announce and former is not None:
            self._announce(former, made)
        ends_soon = former is None or former.ends <= self._now() + self._renew
        return self._install(made, "ends" if ends_soon else "names")

    def _made(self) -> Certificate:
        return make_certificate(self._path, self._names, self._now())

    def _install(self, made: Certificate, why: str) -> Certificate:
        """Write certificate and key. Whenever this breaks off, one pair that fits is left."""
        beside = self._folder / "next.pem"
        write_durable(beside, made.certificate_pem, mode=0o644)
        write_durable(self._key_path, made.key_pem, mode=0o600)
        write_durable(self._path, made.certificate_pem, mode=0o644)
        beside.unlink()
        _log.info("new-certificate pin=%s until=%s why=%s", made.pin, made.ends.date(), why)
        return made

    def _read_own(self) -> Certificate | None:
        """The host's own; None where there is none, or none that can be used."""
        beside = self._folder / "next.pem"
        for path in (self._path, beside):
            try:
                found = read_certificate(path, self._key_path)
            except FileNotFoundError:
                continue
            except ValueError as error:
                _log.warning("certificate-unusable %s file=%s", kind_of(error), path)
                continue
            if path == beside:
                write_durable(self._path, found.certificate_pem, mode=0o644)
            beside.unlink(missing_ok=True)
            return Certificate(self._path, found.certificate_pem, found.key_pem)
        return None

    def _announce(self, former: Certificate, successor: Certificate) -> None:
        """Sign and keep the notice, before anybody is shown the successor."""
        now = int(self._now().timestamp())
        signed = sign_notice(former.certificate_pem, former.key, successor.certificate_pem, now)
        self._keep((*self.notices, signed))

    def _leads(self, former: str, successor: str) -> bool:
        now = int(self._now().timestamp())
        return bool(follow(self.notices, former, successor, now))

    def _keep(self, notices: tuple[SignedNotice, ...]) -> None:
        """Keep those that still say something."""
        kept = tuple(signed for signed in notices if self._holds(signed))[-MAX_NOTICES:]
        if kept != self._read_notices():
            write_durable(self._folder / "notices.json", notices_to_bytes(kept), mode=0o644)
        self.notices = kept

    def _holds(self, signed: SignedNotice) -> bool:
        try:
            verify_notice(signed, int(self._now().timestamp()))
        except Refusal:
            return False
        return True

    def _read_notices(self) -> tuple[SignedNotice, ...]:
        try:
            return notices_from_bytes((self._folder / "notices.json").read_bytes())
        except FileNotFoundError:
            return ()
        except Refusal:
            _log.warning("notices-unreadable file=%s", self._folder / "notices.json")
            return ()

    def _warn(self) -> None:
        """Once, that the operator's certificate ends soon: nobody else renews it."""
        if self._operator is not None and self.shown.ends <= self._now() + self._renew:
            self._say(f"certificate-ends pin={self.shown.pin} until={self.shown.ends.date()}")

    def _say(self, text: str) -> None:
        if text != self._warned:
            _log.warning(text)
            self._warned = text


def _configuration(
    certificate: Certificate, cas: bytes | None
) -> grpc.ServerCertificateConfiguration:
    pair = (certificate.key_pem, certificate.certificate_pem)
    return grpc.ssl_server_certificate_configuration([pair], cas)
