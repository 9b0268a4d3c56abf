# SPDX-License-Identifier: Apache-2.0
"""TOML as people write it, to the plain values that documents are read from.

Times are ISO 8601 with an offset (2027-01-31T12:00:00Z) and become Unix seconds. Whatever names a
file is taken from the folder of the TOML file. What is missing or unknown is refused by the
document itself, by name.
"""

import tomllib
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, cast

from placet.client.errors import FileRefused
from placet.client.files import read_file
from placet.client.keys import PublicKeys
from placet.governance.codec import Json

KeyOf = Callable[[str], str]
_MAX_TOML = 1024 * 1024
PUBLIC_SUFFIX = ".pub.json"


def load_toml(path: Path) -> Json:
    """The values of a TOML file, times as Unix seconds. Raises `FileRefused`."""
    try:
        values = tomllib.loads(read_file(path, _MAX_TOML).decode())
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"{path} is not TOML: {error}.", claim=str(path)) from None
    return {name: _plain(value, name, path) for name, value in values.items()}


def take(values: Json, path: Path, name: str, kind: type, *default: Any) -> Any:
    """Remove a field and return it, or the default where one is given. Raises `FileRefused`."""
    if name not in values and default:
        return default[0]
    value = values.pop(name, None)
    if type(value) is not kind:
        expected = {dict: "a table", str: "text", int: "a whole number or a time", list: "a list"}
        raise FileRefused(
            f"In {path} the field {name} must be {expected.get(kind, kind.__name__)}.",
            claim=name,
            expected=expected.get(kind, kind.__name__),
            actual="missing" if value is None else type(value).__name__,
        )
    return value


def take_action(values: Json, path: Path, action: str) -> None:
    """What the file asks for, where it says so. Raises `FileRefused` if it is something else."""
    found = take(values, path, "action", str, action)
    if found != action:
        raise FileRefused(
            f"In {path} the action must be {action!r} here, and is {found!r}.",
            claim="action",
            expected=action,
            actual=found[:40],
        )


def take_window(values: Json, path: Path, now: int) -> tuple[int, int]:
    """From when and until when, in Unix seconds."""
    not_before: int = take(values, path, "not_before", int, now)
    if "not_after" in values:
        return not_before, take(values, path, "not_after", int)
    return not_before, not_before + take(values, path, "valid_for_seconds", int)


def nothing_left(values: Json, path: Path) -> None:
    """Refuse fields that nobody took: a misspelt word must not be silently without effect."""
    if values:
        names = ", ".join(sorted(values))
        raise FileRefused(f"In {path} these fields are not known: {names}. Correct or remove them.")


def signing_key(text: Any, folder: Path) -> Any:
    """A signing key: its text, or the .pub.json file that holds it."""
    if isinstance(text, str) and text.endswith(PUBLIC_SUFFIX):
        return PublicKeys.load(folder / text).signing.text
    return text


def hpke_key(text: Any, folder: Path) -> Any:
    """An HPKE key: its text, or the .pub.json file that holds it."""
    if isinstance(text, str) and text.endswith(PUBLIC_SUFFIX):
        return PublicKeys.load(folder / text).hpke.to_text()
    return text


def _plain(value: Any, name: str, path: Path) -> Any:
    if isinstance(value, dict):
        table = cast("Json", value)
        return {key: _plain(item, f"{name}.{key}", path) for key, item in table.items()}
    if isinstance(value, list):
        return [_plain(item, f"{name}[]", path) for item in cast("list[object]", value)]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return int(value.timestamp())
    if isinstance(value, (date, time)):
        raise FileRefused(
            f"In {path} the time {name} needs date, time and offset, as in 2027-01-31T12:00:00Z.",
            claim=name,
            expected="2027-01-31T12:00:00Z",
            actual=str(value),
        )
    return value
