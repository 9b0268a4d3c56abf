# SPDX-License-Identifier: Apache-2.0
"""A remedy that says what to install works from where Placet was installed, a clone included."""

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from placet.client.installing import install


class Installed:
    """A distribution that was installed from an address, or from an index."""

    def __init__(self, url: str | None) -> None:
        self.url = url

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return None if self.url is None else json.dumps({"url": self.url})


def installed_from(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    def distribution(_: str) -> Installed:
        return Installed(url)

    monkeypatch.setattr(metadata, "distribution", distribution)


@pytest.mark.parametrize("name", ["clone", "my clone"])
def test_a_clone_is_installed_from_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    clone = tmp_path / name
    clone.mkdir()
    (clone / "pyproject.toml").touch()
    installed_from(monkeypatch, clone.as_uri())
    told = install("host", "enclave")
    assert told.startswith(f"{sys.executable} -m pip install ")
    assert f"{clone}[host,enclave]" in told and told.endswith("'")
    (clone / "pyproject.toml").unlink()
    assert install("host").endswith("'placet[host]'")


@pytest.mark.parametrize("url", [None, "https://example.org/placet.whl", "file:///nowhere"])
def test_all_else_is_installed_by_name(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    installed_from(monkeypatch, url)
    assert install("ratls").endswith(" -m pip install 'placet[ratls]'")
