# SPDX-License-Identifier: Apache-2.0
"""Every sentence of the threat model has tests that there are, or says why it has none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
TABLE = (ROOT / "docs" / "threat-model-tests.md").read_text()
NUMBERED = ("Who is defended", "What each adversary", "What holds only with witnesses")
# How many sentences have no test. One more is somebody's decision, and no accident.
NOT_TESTED = 15
ROWS = re.findall(r"^\| ([DCW]\d+) \| (.*) \|$", TABLE, re.MULTILINE)


def ids() -> list[str]:
    return re.findall(r"^(?:\* \*\*|\| )([DCW]\d+)\b", PAGE, re.MULTILINE)


def blocks(section: str) -> list[str]:
    """Bullets, rows and paragraphs of a section, a line each."""
    lines = section.replace("\n  ", " ").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@cache
def functions(path: str) -> frozenset[str]:
    """The tests of a file that run: functions at its top."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    found = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in tree.body if isinstance(node, found))


def test_each_sentence_stands_once_in_the_table_and_no_other() -> None:
    assert len(ids()) > 100
    assert [name for name, _ in ROWS] == ids()
    for kind in "DCW":
        numbers = [int(name[1:]) for name in ids() if name[0] == kind]
        assert numbers == list(range(1, len(numbers) + 1))
    assert TABLE.count("\n| ") == len(ROWS) + 1, "a row that cannot be read"


def test_each_sentence_has_tests_or_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    untested = {name: cell for name, cell in ROWS if "`" not in cell}
    assert all(re.fullmatch("not tested[^:]*: .{10,}", cell) for cell in untested.values())
    with capsys.disabled():
        print(f"\nthreat model: {len(untested)} of {len(ROWS)} sentences are not tested")
    assert len(untested) == NOT_TESTED, sorted(untested)
    # A defence that nothing attacks is not one.
    assert not [name for name in untested if name.startswith("D")]


@pytest.mark.parametrize(("name", "cell"), [row for row in ROWS if "`" in row[1]])
def test_the_named_tests_are_there(name: str, cell: str) -> None:
    for test in cell.split("<br>"):
        found = re.fullmatch(r"`([\w/]+/test_\w+\.py)::(test_\w+)`", test)
        assert found, f"{name}: {test} is no path::name"
        path, function = found.groups()
        assert (ROOT / "tests" / path).is_file(), f"{name}: there is no tests/{path}"
        assert function in functions(path), f"{name}: tests/{path} has no {function}"


def test_whatever_is_claimed_has_a_number() -> None:
    """In the numbered sections a bullet is one numbered sentence; a paragraph is of a few that say
    how to read."""
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    found = [text for title, text in sections.items() if title.startswith(NUMBERED)]
    assert len(found) == len(NUMBERED)
    for block in (block for text in found for block in blocks(text)):
        if block.startswith("*"):
            assert re.match(r"\* \*\*[DCW]\d+\*\* \S.*[.]$", block), block
        elif block.startswith("|"):
            assert re.match(r"\| (C\d+|id|-+) ?\|", block) or block.startswith("|---"), block
