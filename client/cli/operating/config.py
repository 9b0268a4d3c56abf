# SPDX-License-Identifier: Apache-2.0
"""config: every setting, its value, and whence that is."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from placet.client.cli._frame import AsJSON, command, home, lines, show, table
from placet.client.errors import FileRefused, SettingMissing
from placet.client.files import read_file

app = typer.Typer()
_MAX_SETTINGS = 256 * 1024
State = Annotated[
    Path | None,
    typer.Option(help="A host's state folder: also the settings that it was started with."),
]


@dataclass(frozen=True, slots=True)
class Setting:
    """`whence` is an option, a variable, a file or "default"; `what` says what a bound bounds."""

    name: str
    value: str
    whence: str
    what: str = ""


@command(app)
def config(state: State = None, as_json: AsJSON = False) -> None:
    """List the settings of this home, and those of a host, each with whence it is."""
    here = _of_home()
    host = [] if state is None else _of_host(state)
    value = {"home": [asdict(each) for each in here], "host": [asdict(each) for each in host]}

    def text(console: Console) -> None:
        _table(here)(console)
        if state is not None:
            lines(["", f"The host of {state}, as it was started last:"])(console)
            _table(host)(console)

    show(value, as_json, text)


def _table(settings: list[Setting]) -> Any:
    rows = [(each.name, each.value, each.whence, each.what) for each in settings]
    return table(("setting", "value", "from", ""), rows, "No settings.")


def _of_home() -> list[Setting]:
    folder, found = home(), list[Setting]()
    found.append(Setting("home", str(folder.folder), _whence_home(folder.folder)))
    try:
        host, pin = folder.host()
        found += [
            Setting("host", host, str(folder.config)),
            Setting("pin", pin, str(folder.config)),
        ]
    except SettingMissing:
        found += [Setting("host", "none", "default"), Setting("pin", "none", "default")]
    charter, kept = folder.memory().charter, str(folder.folder / "council.json")
    found.append(Setting("charter", charter or "none", kept if charter else "default"))
    key = os.environ.get("PLACET_KEY", "")
    found.append(Setting("key", key or "none", "PLACET_KEY" if key else "default"))
    secret = "PLACET_PASSPHRASE" if os.environ.get("PLACET_PASSPHRASE") else ""
    found.append(Setting("passphrase", "set" if secret else "asked for", secret or "default"))
    return found


def _whence_home(folder: Path) -> str:
    given = os.environ.get("PLACET_HOME")
    if given and Path(given) == folder:
        return "PLACET_HOME"
    return "default" if folder == Path.home() / ".placet" else "--home"


def _of_host(state: Path) -> list[Setting]:
    """What the host keeps in its state folder. Raises `FileRefused`."""
    path = state / "settings.json"
    try:
        kept: Mapping[str, Any] = json.loads(read_file(path, _MAX_SETTINGS))
        return [
            Setting(str(name), _shown(each["value"]), str(each["from"]), str(each["what"]))
            for name, each in kept.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FileRefused(
            f"{path} holds no settings of a host. Start the host anew.", claim=str(path)
        ) from None


def _shown(value: object) -> str:
    return "none" if value in (None, "") else str(value)
