# SPDX-License-Identifier: Apache-2.0
"""The map and the guide name files that there are, and name all that an addition touches."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
FILE = re.compile(r"`([\w./-]+(?:\.(?:py|c|toml|txt|proto|md)|/))`")
COMPONENTS = ("auditing", "client", "enclave", "governance", "host")
# What spells the example of a section, in which components. Host and client have no say in these.
EXAMPLES = {
    "A kind of demand": (r"\bNotice\b", COMPONENTS),
    "A document": (r"\bStop\b", ("auditing", "governance")),
    "A kind of entry": (r"\bLIFT\b", ("auditing", "enclave", "governance", "host")),
}


def section(title: str) -> str:
    found: list[str] = re.findall(rf"^### {title}.*?(?=^###|\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    return found[0]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    names = set(FILE.findall((ROOT / page).read_text()))
    assert len(names) > 20
    sources = {path.name for one in COMPONENTS for path in (ROOT / one).rglob("*")}
    missing = [n for n in names if not (ROOT / n).exists() and ("/" in n or n not in sources)]
    assert not missing


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_guide_names_every_file_that_an_addition_touches(title: str) -> None:
    pattern, components = EXAMPLES[title]
    spelled = {
        str(path.relative_to(ROOT))
        for component in components
        for path in (ROOT / component).rglob("*.py")
        if re.search(pattern, path.read_text())
    }
    assert spelled
    assert spelled <= set(FILE.findall(section(title)))


def test_a_folder_has_at_most_twenty_files() -> None:
    """A reader sees all of it at once; stubs that are made are not read."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not listed:
        pytest.skip("this is no checkout")
    folders = Counter(str(Path(name).parent) for name in listed if "_pb2" not in name)
    assert not {folder: count for folder, count in folders.items() if count > 20}
