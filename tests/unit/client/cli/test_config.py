# SPDX-License-Identifier: Apache-2.0
"""`placet config`: every setting, and whence it is."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.client import Home, Keys
from placet.client.cli import app
from placet.host.calls.tls import make_certificate, utc_now
from placet.host.config import LIMITS, SPACE

PIN = "sha256:" + "ab" * 32


def said(*arguments: str, env: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(app, arguments, env={"PLACET_HOME": "", **(env or {})})


def settings(*arguments: str, env: dict[str, str] | None = None) -> dict[str, tuple[Any, str]]:
    told = json.loads(said(*arguments, "--json", env=env).stdout)
    return {each["setting"]: (each["value"], each["whence"]) for each in told}


def test_every_limit_of_a_host_is_there_with_its_value_and_whence(tmp_path: Path) -> None:
    found = settings("--home", str(tmp_path), "config", "--max-puts", "7", "--min-free", "0")
    for name in (*LIMITS, *SPACE):
        assert f"placet host --{name.replace('_', '-')}" in found
    assert found["placet host --max-puts"] == (7, "flag")
    assert found["placet host --min-free"] == (0, "flag")
    assert found["placet host --max-puts-waiting"] == (256, "default")
    assert found["placet host --put-wait-seconds"] == (600.0, "default")
    assert found["placet host --name"] == ([], "default")


def test_a_home_says_by_which_ca_and_key_it_goes(tmp_path: Path) -> None:
    home, key, ca = Home(tmp_path / "home"), tmp_path / "ada.key", tmp_path / "ca.pem"
    ca.write_bytes(make_certificate(ca, (), utc_now()).certificate_pem)
    home.configure("127.0.0.1:1", "", ca=ca)
    home.use_key(key, "ada")
    found, where = settings("--home", str(home.folder), "config"), str(home.config)
    assert found["ca"] == (str(ca), where) and "pin" not in found
    assert found["key"] == (str(key), where) and found["as"] == ("ada", where)


def test_whoever_is_logged_in_is_asked_for_no_passphrase(tmp_path: Path) -> None:
    """Where the home trusts a CA, the pin of the login is only known once the host answers."""
    home, key, ca = Home(tmp_path / "home"), tmp_path / "ada.key", tmp_path / "ca.pem"
    Keys.generate("ada").save(key, "a passphrase")
    ca.write_bytes(make_certificate(ca, (), utc_now()).certificate_pem)
    home.configure("127.0.0.1:1", "", ca=ca)
    home.use_key(key)
    arguments = ("--home", str(home.folder), "runs")
    assert "Passphrase" in said(*arguments).output
    home.login().save("ada", PIN, "0" * 64, time.time() + 500)
    done = said(*arguments)
    assert "Passphrase" not in done.output
    assert done.exit_code == 3  # nobody answers there
    assert home.login().load("ada", "") == ("", 0.0)


def test_a_home_says_whence_it_is(tmp_path: Path) -> None:
    Home(tmp_path).configure("127.0.0.1:7433", PIN)
    file = str(tmp_path / "config.toml")
    found = settings("--home", str(tmp_path), "config")
    assert found["home"] == (str(tmp_path), "flag")
    assert found["host"] == ("127.0.0.1:7433", file)
    assert found["pin"] == (PIN, file)
    found = settings("config", env={"PLACET_HOME": str(tmp_path / "other")})
    assert found["home"] == (str(tmp_path / "other"), "PLACET_HOME")
    assert "host" not in found


def test_flags_that_a_host_does_not_take_are_refused() -> None:
    wrong = said("config", "--max-putts", "7")
    assert wrong.exit_code == 2
    assert "unrecognized arguments: --max-putts 7" in wrong.stderr


@pytest.mark.parametrize("column", ["max-puts", "whence"])
def test_it_is_a_table_for_people(tmp_path: Path, column: str) -> None:
    assert column in said("--home", str(tmp_path), "config").stdout
