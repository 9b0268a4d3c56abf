# SPDX-License-Identifier: Apache-2.0
"""The home folder of a client: which host, its certificate's pin, and what was seen of the log.

    config.toml   host = "127.0.0.1:7433", pin = "sha256:..."
    council.json  the council by its charter's digest, and the newest checkpoint seen of its log
    entries.jsonl the log as far as it was read; documents/ has what its entries name
    login.json    the token of the newest login at the host; it lives for minutes
    cards/        an empty file for each service whose model card was shown, by its digest
    outbox/       sealed updates of federations whose receipts are not there yet

One home folder belongs to one council. It is `$PLACET_HOME`, or `~/.placet`.
"""

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from placet.client.errors import FileRefused, SettingMissing
from placet.client.files import read_file, write_file
from placet.client.log.memory import CouncilMemory

_MAX_CONFIG = 64 * 1024
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}")
_TOKEN = re.compile(r"[0-9a-f]{64}")
_PIN = re.compile(r"sha256:[0-9a-f]{64}")

_CONFIG = """\
# Where the council's host listens.
host = "{host}"
# SHA-256 of the host's TLS certificate (DER). `placet status` fails if another certificate answers.
pin = "{pin}"
"""
_KEY = """\
# Your key file, and whom you act for: commands without --key log in at the host by them.
key = {key}
as = {acting_as}
"""


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

    def configure(
        self,
        host: str,
        pin: str,
        charter: str = "",
        *,
        key: Path | None = None,
        acting_as: str = "",
    ) -> None:
        """Write the configuration, and pin the council by its charter's digest, where it exists
        already. key: the key file of whoever the home is of; without it the former one stays.

        Raises `FileRefused` for an address, pin or digest that is none, `OtherLog` for a home of
        another council.
        """
        _check(host, pin, self.config)
        if charter:
            if not _PIN.fullmatch(charter):
                raise FileRefused(
                    'A charter is named by "sha256:" and 64 hexadecimal digits. Ask another member '
                    "of the council for it."
                )
            self.memory().pin(charter)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if key is None and self.config.exists():
            key, acting_as = self.key()
        text = _CONFIG.format(host=host, pin=pin)
        if key is not None:  # JSON's strings are TOML's
            text += _KEY.format(key=json.dumps(str(key)), acting_as=json.dumps(acting_as))
        write_file(self.config, text.encode())

    def host(self) -> tuple[str, str]:
        """Address and pin of the host. Raises `SettingMissing` or `FileRefused`."""
        if not self.config.exists():
            raise SettingMissing(
                f"No host is configured in {self.folder}. Run: placet init --host ADDRESS:PORT "
                "--pin PIN",
                claim=str(self.config),
            )
        try:
            values = self._values()
            host, pin = str(values["host"]), str(values["pin"])
        except (ValueError, KeyError, RecursionError):
            raise FileRefused(
                f"{self.config} must have host and pin. Run: placet init --host ADDRESS:PORT --pin "
                "PIN"
            ) from None
        _check(host, pin, self.config)
        return host, pin

    def key(self) -> tuple[Path | None, str]:
        """The key file of whoever the home is of, and whom they act for; empty: as the file
        says."""
        try:
            values = self._values()
        except (FileRefused, ValueError, RecursionError):
            return None, ""
        named = values.get("key")
        return (Path(named) if isinstance(named, str) else None), str(values.get("as", ""))

    def _values(self) -> dict[str, object]:
        return tomllib.loads(read_file(self.config, _MAX_CONFIG).decode())

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
        try:
            value = json.loads(read_file(self.path, _MAX_CONFIG))
            token, ends = str(value["token"]), float(value["ends"])
            meant = (value["by"], value["pin"]) == (by, pin)
        except (FileRefused, ValueError, KeyError, TypeError, RecursionError):
            return "", 0.0
        return (token, ends) if meant and _TOKEN.fullmatch(token) else ("", 0.0)

    def save(self, by: str, pin: str, token: str, ends: float) -> None:
        """Keep a login; nothing is kept where there is no home folder yet."""
        if self.path.parent.is_dir():
            value = {"by": by, "pin": pin, "token": token, "ends": ends}
            write_file(self.path, json.dumps(value).encode(), mode=0o600)


def _check(host: str, pin: str, where: Path) -> None:
    if not _ADDRESS.fullmatch(host):
        raise FileRefused(f'In {where} the host must be "address:port", not {host!r}.')
    if not _PIN.fullmatch(pin):
        raise FileRefused(
            f'In {where} the pin must be "sha256:" and 64 hexadecimal digits; the host prints its '
            "pin when it starts."
        )
