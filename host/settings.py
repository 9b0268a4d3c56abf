# SPDX-License-Identifier: Apache-2.0
"""`python -m placet.host config`: every setting of a host that would be started with these flags,
and whence it is."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast


def tell(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Print the settings, one a line: name, value, and `flag` or `default`; `--json` for a list.
    Returns 0; flags that nobody knows end the process as they end a start."""
    as_json = "--json" in arguments
    flags = [argument for argument in arguments if argument != "--json"]
    effective: dict[str, Any] = vars(parser.parse_args(flags))
    # Where a name is there already, no default takes its place.
    nothing = argparse.Namespace(**dict.fromkeys(effective))
    given: dict[str, Any] = vars(parser.parse_args(flags, nothing))
    settings: list[dict[str, Any]] = [
        {"setting": name, "value": _plain(value), "whence": _whence(given[name])}
        for name, value in effective.items()
    ]
    if as_json:
        print(json.dumps(settings))
        return 0
    for setting in settings:
        flag = "--" + setting["setting"].replace("_", "-")
        print(f"{flag} {_shown(setting['value'])} ({setting['whence']})")
    return 0


def _whence(given: object) -> str:
    return "default" if given is None else "flag"


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    return ", ".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
