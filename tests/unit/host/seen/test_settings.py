# SPDX-License-Identifier: Apache-2.0
"""Settings: each bound has a flag, and is kept with whence it is. And the two forms of the log."""

import json
import logging
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from placet.host.__main__ import config_of, make_parser
from placet.host.config import NUMBERS, HostConfig
from placet.host.logs import JSONLines, Logfmt
from placet.host.settings import keep_settings


def record(message: str, *arguments: object) -> logging.LogRecord:
    error = ValueError("secret")
    made = (ValueError, error, None)
    return logging.LogRecord("placet.host.x", logging.WARNING, "f", 1, message, arguments, made)


def test_every_setting_has_a_flag() -> None:
    flags = {action.dest for action in make_parser()._actions} - {"help"}
    assert flags == {field.name for field in fields(HostConfig)} - {"given"}


def test_every_number_is_a_bound_with_a_word_for_it() -> None:
    numbers = {f.name for f in fields(HostConfig) if f.type in (int, float, "int", "float")}
    assert numbers == set(NUMBERS)


def test_settings_are_kept_with_whence_they_are(tmp_path: Path) -> None:
    words = ["--state", str(tmp_path), "--cpu", str(tmp_path.parent / "cpu"), "--max-queue", "256"]
    keep_settings(config_of([*words, "--name", "a.example", "--name", "b.example"]))
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert kept.keys() == {field.name for field in fields(HostConfig)} - {"given"}
    assert kept["max_queue"]["from"] == "--max-queue"  # though it is the default's value
    assert kept["max_queue"]["what"] == NUMBERS["max_queue"]
    assert (kept["max_puts"]["value"], kept["max_puts"]["from"]) == (16, "default")
    assert (kept["names"]["value"], kept["names"]["from"]) == ("a.example b.example", "--name")
    assert kept["enclave"]["value"] is None
    assert (tmp_path / "settings.json").stat().st_mode & 0o777 == 0o600


def test_a_line_of_json_says_what_the_line_of_text_says() -> None:
    line = JSONLines().format(record('exited code=%d reason=%s said="No room."', -9, "QUEUE_FULL"))
    found = json.loads(line)
    assert "\n" not in line
    assert found["event"] == "exited"
    assert (found["code"], found["reason"], found["said"]) == ("-9", "QUEUE_FULL", "No room.")
    assert (found["level"], found["logger"]) == ("warning", "placet.host.x")
    assert Logfmt().format(record("exited code=1")).startswith(f"ts={found['ts'][:13]}")


@pytest.mark.parametrize("form", [Logfmt(), JSONLines()], ids=["text", "json"])
def test_no_line_has_a_text_of_an_exception(form: logging.Formatter) -> None:
    line = form.format(record("fault kind=%s at=%s", "ValueError", "f.py:1"))
    assert "secret" not in line
    assert "f.py:1" in line


def test_nothing_said_takes_the_place_of_what_a_record_is() -> None:
    found = json.loads(JSONLines().format(record("fault level=info event=none ts=never")))
    assert (found["level"], found["event"]) == ("warning", "fault")
    assert found["ts"] != "never"


def test_a_host_logs_as_it_is_told(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(log_format="json"):
            pass

    run(body())
    lines = (world.folder / "state" / "logs" / "host.log").read_text().splitlines()
    assert "started" in {json.loads(line)["event"] for line in lines}


def test_settings_that_do_not_hold_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from placet.host.__main__ import main

    state = ["--state", str(tmp_path / "state"), "--cpu", str(tmp_path / "cpu")]
    for wrong in (["--metrics", "0.0.0.0:1"], ["--hang-seconds", "0"], ["--max-programs", "-1"]):
        monkeypatch.setattr(sys, "argv", ["host", *state, *wrong])
        assert main() == 2
        assert "placet host:" in capsys.readouterr().err
