# SPDX-License-Identifier: Apache-2.0
"""The tutorials' commands, typed in order into one shell, print what their page says.

In a ```console block a line `$ …` is a command, the lines after it what it prints: a line of "…"
stands for any lines, "…" within a line for any text. A command has to succeed unless the page shows
the reason of a refusal.
"""

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "docs/tutorial.md",
    "docs/tutorial-federation.md",
    "docs/tutorial-inference.md",
    "examples/tutorial/by-links.md",
)
MARK = "@@@ placet tutorial"


@dataclass(frozen=True)
class Command:
    text: str
    expected: tuple[str, ...]

    @property
    def refused(self) -> bool:
        return any(re.search(r"[A-Z]+_[A-Z_]+", line) for line in self.expected)


def commands(page: str) -> list[Command]:
    found: list[Command] = []
    for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            text, *expected = part.splitlines()
            found.append(Command(text, tuple(expected)))
    return found


def pattern(expected: tuple[str, ...]) -> str:
    lines = (
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in expected
    )
    return "".join(lines)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(found: list[Command], folder: Path) -> list[tuple[int, str]]:
    """Exit code and output of each command, all in one shell."""
    script = "".join(f"{c.text}\ncode=$?; echo; echo '{MARK}' $code\n" for c in found)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PLACET": str(ROOT),
        "COLUMNS": "200",
    }
    script = script.replace("7433", str(free_port()))
    shell = subprocess.run(
        ["bash"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment,
        timeout=280,
        check=False,
    )
    parts = re.split(rf"\n?{MARK} (\d+)\n", shell.stdout)
    return [(int(code), text) for text, code in zip(parts[::2], parts[1::2], strict=False)]


@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_works_as_printed(page: str, tmp_path: Path) -> None:
    found = commands((ROOT / page).read_text())
    assert len(found) > 10
    results = run(found, tmp_path)
    assert len(results) == len(found), results[-1]
    for command, (code, output) in zip(found, results, strict=True):
        assert (code != 0) == command.refused, f"$ {command.text}\n{output}"
        wanted = pattern(command.expected).replace("7433", r"\d+")
        text = output if output.endswith("\n") or not output else output + "\n"
        assert re.fullmatch(wanted, text), f"$ {command.text}\n{output}\nnot like\n{wanted}"
