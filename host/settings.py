# SPDX-License-Identifier: Apache-2.0
"""What a host was started with, kept in its state folder for `placet config --state`: each setting
with its value, and whence that is."""

import json
from dataclasses import fields
from typing import cast

from placet.host.config import NUMBERS, HostConfig
from placet.host.store.durable import write_durable


def keep_settings(config: HostConfig) -> None:
    """Write state/settings.json. Raises OSError."""
    found: dict[str, object] = {}
    for field in fields(config):
        if field.name == "given":
            continue
        found[field.name] = {
            "value": _plain(getattr(config, field.name)),
            "from": _flag(field.name) if field.name in config.given else "default",
            "what": NUMBERS.get(field.name, ""),
        }
    data = json.dumps(found, indent=1).encode()
    write_durable(config.state / "settings.json", data, mode=0o600)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(map(str, cast("tuple[object, ...]", value)))
    return value if isinstance(value, int | float) or value is None else str(value)


def _flag(name: str) -> str:
    return "--name" if name == "names" else f"--{name.replace('_', '-')}"
