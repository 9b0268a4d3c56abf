# SPDX-License-Identifier: Apache-2.0
"""The command that installs a missing part of Placet: from wherever this one was installed."""

import json
import sys
from importlib import metadata
from pathlib import Path
from shlex import join
from urllib.parse import unquote, urlsplit

_PACKAGE = "placet"


def install(*extras: str) -> str:
    """A command line for these extras. What was installed from a folder, a clone for example, is
    installed from there again: the package index need not have it."""
    wanted = f"{_source()}[{','.join(extras)}]"
    return join([sys.executable, "-m", "pip", "install", wanted])


def _source() -> str:
    """The folder that this installation was made from, if it is still there; else the package."""
    try:
        told = metadata.distribution(_PACKAGE).read_text("direct_url.json")
        url = urlsplit(str(json.loads(told or "{}").get("url", "")))
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return _PACKAGE
    folder = Path(unquote(url.path))
    return (
        str(folder) if url.scheme == "file" and (folder / "pyproject.toml").is_file() else _PACKAGE
    )
