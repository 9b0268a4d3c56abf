# SPDX-License-Identifier: Apache-2.0
"""The pages for members, owners, operators and auditors: short, and their commands are there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from placet.client.cli import app

ROOT = Path(__file__).resolve().parents[2]
ROLES = ("members", "owners", "operators", "auditors")
MOST_LINES = 90
MOST_WORDS = 35  # of a sentence
HOST = "placet host"  # which takes what the host takes


def page(role: str) -> str:
    return (ROOT / "docs" / f"for-{role}.md").read_text()


def commands(text: str) -> list[list[str]]:
    indented = re.sub(r" \\\n +", " ", text)
    found = re.findall(r"^    (placet .*)$|`(placet [^`]*)`", indented, re.MULTILINE)
    return [shlex.split(one or other) for one, other in found]


@pytest.mark.parametrize("role", ROLES)
def test_a_page_is_short_and_the_readme_names_it(role: str) -> None:
    assert len(page(role).splitlines()) <= MOST_LINES
    assert f"(docs/for-{role}.md)" in (ROOT / "README.md").read_text()


def test_members_are_told_in_words() -> None:
    text = page("members")
    assert not commands(text) and "`" not in text.replace("```", "`")
    prose = re.sub(r"\]\([^)]*\)", "]", text)
    sentences = re.split(r"(?<=[.!?:;])\s+|\n\n", prose)
    assert not [one for one in sentences if len(one.split()) > MOST_WORDS]


@pytest.mark.parametrize("role", ROLES[1:])
def test_commands_of_a_page_are_there(role: str) -> None:
    found = commands(page(role))
    assert found
    for words in found:
        if " ".join(words).startswith(HOST):
            continue
        here: Any = typer.main.get_command(app)
        rest = words[1:]
        while rest and hasattr(here, "commands"):
            assert rest[0] in here.commands, words
            here, rest = here.commands[rest[0]], rest[1:]
        options = {name for one in here.params for name in one.opts}
        assert {word for word in rest if word.startswith("--")} <= options, words
        if words[1] == "share":
            given = {word for word in rest if word.startswith("--")}
            wanted = {"--purpose", "--program", "--parameter", "--recipient", "--combine-with"}
            assert given >= {*wanted, "--uses", "--expires", "--privacy", "--witnesses"}


@pytest.mark.parametrize("role", ROLES)
def test_links_of_a_page_lead_somewhere(role: str) -> None:
    for target in re.findall(r"\]\(([^)]*)\)", page(role)):
        name, _, anchor = target.partition("#")
        path = ROOT / "docs" / name
        assert path.is_file(), target
        titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
        assert not anchor or anchor in {t.lower().replace(" ", "-") for t in titles}, target
