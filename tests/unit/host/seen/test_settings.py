# SPDX-License-Identifier: Apache-2.0
"""Settings: each has a flag. And the two forms of the log."""

import json
import logging
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from placet.host.__main__ import main
from placet.host.config import NUMBERS, HostConfig
from placet.host.logs import JSONLines, Logfmt


def record(message: str, *arguments: object) -> logging.LogRecord:
    error = ValueError("secret")
    made = (ValueError, error, None)
    return logging.LogRecord("placet.host.x", logging.WARNING, "f", 1, message, arguments, made)


def test_every_setting_has_a_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["host", "--help"])
    with pytest.raises(SystemExit):
        main()
    flags = set(re.findall(r"^  --([a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    names = {field.name for field in fields(HostConfig)} - {"names"} | {"name"}
    assert flags == {name.replace("_", "-") for name in names}


def test_every_number_is_a_bound_with_a_word_for_it() -> None:
    numbers = {f.name for f in fields(HostConfig) if f.type in (int, float, "int", "float")}
    assert numbers == set(NUMBERS)


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
    state = ["--state", str(tmp_path / "state"), "--cpu", str(tmp_path / "cpu")]
    for wrong in (["--metrics", "0.0.0.0:1"], ["--hang-seconds", "0"], ["--max-programs", "-1"]):
        monkeypatch.setattr(sys, "argv", ["host", *state, *wrong])
        assert main() == 2
        assert "placet host:" in capsys.readouterr().err
