# SPDX-License-Identifier: Apache-2.0
"""config: which settings hold, and whence each is."""

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import typer

from placet.client.cli._frame import AsJSON, command, home, show, table
from placet.client.errors import SettingMissing, UsageRefused

app = typer.Typer()

_COLUMNS = ("setting", "value", "whence")


@command(app, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def config(context: typer.Context, as_json: AsJSON = False) -> None:
    """Show every setting and whence it is: of this home, and of a host that is started with the
    flags that follow (`placet config --max-puts 64`)."""
    found = [*_of_home(context), *_of_host(context.args)]
    rows = [tuple(_text(setting[column]) for column in _COLUMNS) for setting in found]
    show(found, as_json, table(_COLUMNS, rows, "There are no settings."))


def _of_home(context: typer.Context) -> list[dict[str, Any]]:
    """The home's folder, and what its configuration says."""
    whence = "PLACET_HOME" if os.environ.get("PLACET_HOME") else "default"
    if context.find_root().params.get("home") is not None:
        whence = "flag"
    settings = [{"setting": "home", "value": str(home().folder), "whence": whence}]
    try:
        host, pin = home().host()
    except SettingMissing:
        return settings
    where = str(home().config)
    return [
        *settings,
        {"setting": "host", "value": host, "whence": where},
        {"setting": "pin", "value": pin, "whence": where},
    ]


def _of_host(flags: list[str]) -> list[dict[str, Any]]:
    """What `placet host` would take from these flags; nothing where its packages are missing."""
    if importlib.util.find_spec("sqlalchemy") is None:
        return []
    told = subprocess.run(
        [sys.executable, "-m", "placet.host", "config", "--json", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        said = told.stderr.strip().rpartition("error: ")[2]
        raise UsageRefused(f"A host takes no such flags: {said}. See `placet host --help`.")
    settings: list[dict[str, Any]] = json.loads(told.stdout)
    return [{**each, "setting": _flag(each["setting"])} for each in settings]


def _flag(name: str) -> str:
    return "placet host --" + name.replace("_", "-")


def _text(value: object) -> str:
    return "none" if value in (None, []) else str(value)
