# SPDX-License-Identifier: Apache-2.0
"""Pages that a reader can follow and a reviewer can diff: short lines, and sentences with a
subject."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "deploy", "docs", "examples", "tests")
PATHS = (*ROOT.glob("*.md"), *(path for one in FOLDERS for path in (ROOT / one).rglob("*.md")))
PAGES = sorted(str(path.relative_to(ROOT)) for path in PATHS)
HARD = {"As", "Of", "That", "Those", "What", "Whoever"}


def prose(page: str) -> str:
    """The page without what cannot be wrapped."""
    fenced = re.sub(
        r"^ *```.*?^ *```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE
    )
    return re.sub(r"^(?:    | *\||#|<).*$", "", fenced, flags=re.MULTILINE)


def sentences(page: str) -> list[str]:
    fenced = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "code", fenced)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)|\|", text)
    found: list[str] = []
    for block in blocks:
        line = " ".join(re.sub(r"^\s*(?:[-*]|\d+\.|#+)\s+", "", block).split()).replace("**", "")
        found += re.split(r"(?<=[.!?])\s+(?=[A-Z\"“]|code)", line)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_lines_end_at_100_columns(page: str) -> None:
    long = [line for line in prose(page).splitlines() if len(line) > 100 and " " in line.strip()]
    assert not long


@pytest.mark.parametrize("page", PAGES)
def test_a_sentence_begins_with_its_subject(page: str) -> None:
    """Long sentences that begin with one of these words hide what they are about."""
    hard = [s for s in sentences(page) if s.split()[:1] and s.split()[0] in HARD]
    assert not [s for s in hard if len(s.split()) > 8]
