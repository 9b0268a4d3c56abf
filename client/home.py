# SPDX-License-Identifier: Apache-2.0
"""The home folder of a client: which host, its certificate's pin, and what was seen of the log.

    config.toml   host = "127.0.0.1:7433", pin = "sha256:...", or ca = "FILE" instead of a pin;
                  key, as and certificate of whoever the home is of
    pins.json     by which notices the host came to this pin from earlier ones
    council.json  the council by its charter's digest, and the newest checkpoint seen of its log
    entries.jsonl the log as far as it was read; documents/ has what its entries name
    login.json    the token of the newest login at the host; it lives for minutes
    cards/        an empty file for each service whose model card was shown, by its digest
    members/      public keys of those with whom the council was founded by links
    outbox/       sealed updates of federations whose receipts are not there yet

One home folder belongs to one council. It is `$PLACET_HOME`, or `~/.placet`. `$PLACET_KEY` and
`$PLACET_CERTIFICATE` take the place of what its configuration says; `$PLACET_PASS` names a pass.
"""

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from placet.auditing.pins import (
    MAX_NOTICES,
    SignedNotice,
    notices_from_bytes,
    notices_to_bytes,
)
from placet.client.connection.pins import Pins
from placet.client.errors import FileRefused, SettingMissing
from placet.client.files import read_file, write_file
from placet.client.log.memory import CouncilMemory
from placet.refusals import Refusal

_MAX_CONFIG = 64 * 1024
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
_TOKEN = re.compile(r"[0-9a-f]{64}")
_PIN = re.compile(r"sha256:[0-9a-f]{64}")

_MAX_NOTICES = MAX_CERTIFICATE = 1024 * 1024
_MAX_PASS = 64 * 1024
_HOST = """\
# Where the council's host listens.
host = {host}
"""
_OF_PIN = """\
# SHA-256 of the host's TLS certificate (DER). `placet status` fails if another certificate answers.
pin = {pin}
"""
_OF_CA = """\
# The CAs (PEM) one of which has to vouch for the host's certificate, in this name.
ca = {ca}
"""
_OF_KEY = """\
# Your key file, and whom you act for: commands without --key log in at the host by them.
key = {key}
as = {as}
"""
_OF_CERTIFICATE = """\
# Your certificate and its key (PEM), by which you reach a host that asks for one.
certificate = {certificate}
"""
_OWN = ("key", "as", "certificate")
_NAMES = ("host", "pin", "ca", *_OWN)
_VARIABLES = {"key": "PLACET_KEY", "pass": "PLACET_PASS", "certificate": "PLACET_CERTIFICATE"}


@dataclass(frozen=True, slots=True)
class Home:
    """A home folder; nothing is read before it is asked for."""

    folder: Path

    @classmethod
    def default(cls) -> "Home":
        """`$PLACET_HOME`, or `~/.placet`."""
        return cls(Path(os.environ.get("PLACET_HOME") or Path.home() / ".placet"))

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def configure(self, host: str, pin: str, charter: str = "", *, ca: Path | None = None) -> None:
        """Write the configuration, and pin the council by its charter's digest, where it exists
        already. The pin is the host's, or empty where a file of CAs is trusted instead. Key and
        certificate that the home had stay.

        Raises `FileRefused` for an address, pin or digest that is none, `OtherLog` for a home of
        another council.
        """
        _check(host, pin, self.config, by_ca=ca is not None)
        if charter:
            self.know(charter)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {"host": host, "pin": pin}
        if ca is not None:
            read_file(ca, MAX_CERTIFICATE)
            values = {"host": host, "ca": str(ca.resolve())}
        if self.config.exists():
            values |= {n: v for n, v in self._read().items() if n in _OWN}
        self._notices.unlink(missing_ok=True)  # whoever gives a pin anew gives up earlier ones
        self._write(values)

    def know(self, charter: str) -> None:
        """Pin the council by its charter's digest. Raises `FileRefused` or `OtherLog`."""
        if not _PIN.fullmatch(charter):
            raise FileRefused(
                'A charter is named by "sha256:" and 64 hexadecimal digits. Ask another member '
                "of the council for it."
            )
        self.memory().pin(charter)

    def use_key(self, key: Path, acting_as: str = "") -> None:
        """The key file of whoever the home is of, and whom they act for; empty: as the file says.
        Raises `SettingMissing` or `FileRefused`."""
        self._write({**self.settings(), "key": str(key.absolute()), "as": acting_as})

    def use_certificate(self, file: Path) -> None:
        """The certificate of whoever the home is of, and its key, in one file (PEM). Raises
        `SettingMissing` or `FileRefused`."""
        self._write({**self.settings(), "certificate": str(file.absolute())})

    def said(self) -> dict[str, tuple[str, str]]:
        """Each setting that there is by its name, and whence it is: a variable of the environment,
        or else the configuration. Raises `FileRefused`."""
        written = self.settings() if self.config.exists() else {}
        given = {n: (os.environ[v], v) for n, v in _VARIABLES.items() if os.environ.get(v)}
        if "key" in given:
            written.pop("as", None)  # it goes with the key that is written down
        return {**{n: (value, str(self.config)) for n, value in written.items()}, **given}

    def key(self) -> tuple[Path | None, str]:
        """The key file, and whom it acts for, empty: as the file says; None where there is
        none."""
        said = self.said()
        return (Path(said["key"][0]) if "key" in said else None), said.get("as", ("",))[0]

    def certificate(self) -> bytes:
        """The certificate and its key (PEM) for a host that asks for one; empty without. Raises
        `FileRefused`."""
        return self._file("certificate", MAX_CERTIFICATE)

    def pass_(self) -> bytes:
        """The pass by which the key logs in in another's name; empty without. Raises
        `FileRefused`."""
        return self._file("pass", _MAX_PASS)

    def _file(self, name: str, most: int) -> bytes:
        said = self.said()
        return read_file(Path(said[name][0]), most) if name in said else b""

    def host(self) -> tuple[str, str]:
        """Address and pin of the host; the pin is empty where CAs are trusted instead. Raises
        `SettingMissing` or `FileRefused`."""
        values = self.settings()
        return values["host"], values.get("pin", "")

    def ca(self) -> bytes:
        """The CAs that are trusted (PEM); empty where the host is known by a pin. Raises
        `SettingMissing` or `FileRefused`."""
        path = self.settings().get("ca", "")
        return read_file(Path(path), MAX_CERTIFICATE) if path else b""

    def pins(self) -> Pins:
        """The pin of the host, and the earlier ones that it followed; one that it follows later is
        written down here.

        Raises `SettingMissing` or `FileRefused`.
        """
        notices: tuple[SignedNotice, ...] = ()
        if self._notices.exists():
            try:
                notices = notices_from_bytes(read_file(self._notices, _MAX_NOTICES))
            except Refusal:
                raise FileRefused(
                    f"{self._notices} is no file of notices. Delete it: it is only needed while a "
                    "host goes over to another certificate."
                ) from None
        return Pins(self.host()[1], notices, learned=self._learned)

    @property
    def _notices(self) -> Path:
        return self.folder / "pins.json"

    def _learned(self, pins: Pins) -> None:
        """The notices first: with them alone nothing is lost, the host is asked for them again."""
        write_file(self._notices, notices_to_bytes(pins.notices[-MAX_NOTICES:]))
        self._write({**self.settings(), "pin": pins.pin})

    def settings(self) -> dict[str, str]:
        """All that the configuration says, by its names there. Raises `SettingMissing` or
        `FileRefused`."""
        if not self.config.exists():
            raise SettingMissing(
                f"No host is configured in {self.folder}. Run: placet init --host ADDRESS:PORT "
                "--pin PIN",
                claim=str(self.config),
            )
        found = self._read()
        if "host" not in found or not found.keys() & {"pin", "ca"}:
            raise self._unread()
        _check(found["host"], found.get("pin", ""), self.config, by_ca="ca" in found)
        return found

    def _read(self) -> dict[str, str]:
        try:
            values = tomllib.loads(read_file(self.config, _MAX_CONFIG).decode())
        except (ValueError, RecursionError):
            raise self._unread() from None
        return {name: str(values[name]) for name in _NAMES if name in values}

    def _unread(self) -> FileRefused:
        return FileRefused(
            f"{self.config} must have host, and pin or ca. Run: placet init --host ADDRESS:PORT "
            "--pin PIN"
        )

    def _write(self, values: dict[str, str]) -> None:
        parts = [_HOST, _OF_CA if "ca" in values else _OF_PIN]
        parts += [_OF_KEY] if "key" in values else []
        parts += [_OF_CERTIFICATE] if "certificate" in values else []
        # As TOML has it, which knows no surrogates.
        told = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
        write_file(self.config, "".join(parts).format_map(told).encode())

    @property
    def members(self) -> Path:
        """The public keys of those with whom the council was founded by links."""
        return self.folder / "members"

    @property
    def outbox(self) -> Path:
        """Where sealed updates wait for their receipts."""
        return self.folder / "outbox"

    def login(self) -> "LoginFile":
        """The newest login at the host."""
        return LoginFile(self.folder / "login.json")

    def knows_card(self, service: str) -> bool:
        """Whether the model card of a service was shown before."""
        return self._card(service).exists()

    def remember_card(self, service: str) -> None:
        """The model card of a service has been shown."""
        self._card(service).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self._card(service), b"")

    def _card(self, service: str) -> Path:
        return self.folder / "cards" / service.removeprefix("sha256:")

    def memory(self) -> CouncilMemory:
        """Which council it is, and what was seen of its log."""
        return CouncilMemory(self.folder)


@dataclass(frozen=True, slots=True)
class LoginFile:
    """A login of this home, from one command to the next."""

    path: Path

    def load(self, by: str, pin: str) -> tuple[str, float]:
        """The token of a principal at a host, and the Unix time of its end; empty where there is
        none. A token is shown to the host that gave it and to no other."""
        token, ends, where = self._held(by)
        return (token, ends) if where == pin else ("", 0.0)

    def ends(self, by: str) -> float:
        """The Unix time at which the login of a principal ends, at whichever host; 0 without
        one."""
        return self._held(by)[1]

    def _held(self, by: str) -> tuple[str, float, str]:
        try:
            value = json.loads(read_file(self.path, _MAX_CONFIG))
            token, ends, pin = str(value["token"]), float(value["ends"]), str(value["pin"])
            meant = value["by"] == by
        except (FileRefused, ValueError, KeyError, TypeError, RecursionError):
            return "", 0.0, ""
        return (token, ends, pin) if meant and _TOKEN.fullmatch(token) else ("", 0.0, "")

    def save(self, by: str, pin: str, token: str, ends: float) -> None:
        """Keep a login; nothing is kept where there is no home folder yet."""
        if self.path.parent.is_dir():
            value = {"by": by, "pin": pin, "token": token, "ends": ends}
            write_file(self.path, json.dumps(value).encode(), mode=0o600)


def _check(host: str, pin: str, where: Path, *, by_ca: bool) -> None:
    if not _ADDRESS.fullmatch(host):
        raise FileRefused(f'In {where} the host must be "address:port", not {host!r}.')
    if by_ca and pin:
        raise FileRefused(f"{where} has a pin and a CA. Name one of them, by placet init.")
    if not by_ca and not _PIN.fullmatch(pin):
        raise FileRefused(
            f'In {where} the pin must be "sha256:" and 64 hexadecimal digits; the host prints its '
            "pin when it starts."
        )
