# SPDX-License-Identifier: Apache-2.0
"""Every command of the README runs, and so does its Python."""

import contextlib
import io
import re
import shutil
import sys
from pathlib import Path

import pytest

from placet.client import Home

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
sys.path.insert(0, str(ROOT / "examples"))

from hospitals import Council, running_host
from shares import HOSPITALS, load_shares

from tests.support import demos


def console_blocks() -> list[list[str]]:
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    return [re.findall(r"^\$ (.*)$", block, re.MULTILINE) for block in blocks]


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_readme_has_the_blocks_that_are_tested_here() -> None:
    first, own, demo, federation, install = console_blocks()
    assert first[:2] == [
        "git clone CLONE_ADDRESS placet && cd placet",
        "make setup && export PATH=$PWD/.venv/bin:$PATH",
    ]
    assert len(first) == 3 and len(own) == 2
    assert demo == ["make demo"]
    assert federation == ["make demo-federation"]
    assert [command.split()[0] for command in install] == ["python3", "venv/bin/placet"]


def placet(command: str, folder: Path) -> str:
    """A command as one types it who has set up a clone."""
    return demos.bash(f'export PATH="{Path(sys.executable).parent}:$PATH"\n{command}', folder, 120)


def test_the_first_commands_end_with_a_result_on_the_first_screen(tmp_path: Path) -> None:
    demos.bash("make setup", ROOT, 280)
    shutil.copytree(ROOT / "examples" / "first", tmp_path / "examples" / "first")
    shutil.copy(ROOT / "examples" / "patients.csv", tmp_path / "examples")
    shown = placet(console_blocks()[0][2], tmp_path)
    (end,) = re.findall(r"^Result: .*$", README, re.MULTILINE)
    assert end in shown.splitlines()
    assert README.splitlines().index(end) < 40
    (line,) = re.findall(r"`(age: .*?)`", README)
    assert line in (tmp_path / end.removeprefix("Result: ")).read_text().splitlines()


def test_the_program_of_the_readme(tmp_path: Path) -> None:
    program, _ = python_blocks()
    assert len(program[program.index("def main") :].splitlines()) < 10
    (tmp_path / "main.py").write_text(program)
    shutil.copy(ROOT / "examples" / "patients.csv", tmp_path)
    local, council = console_blocks()[1]
    placet(local, tmp_path)
    placet(council, tmp_path)
    results = {
        (tmp_path / path).read_text() for path in ("out/mean", "placet-dev/run-1/result/mean")
    }
    assert len(results) == 1 and float(results.pop()) == pytest.approx(56.17, abs=0.01)


def test_the_first_demo_shows_what_the_readme_says(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    _, shown = demos.run(tmp_path_factory, console_blocks()[2][0])
    for line in re.findall(r"^[│ ].*%.*│$", README, re.MULTILINE):
        assert line in shown
    cheated = re.findall(r"^ ?\d+\. .*\n    [A-Z_]+ .* …$", README, re.MULTILINE)
    assert len(cheated) == 3
    for way in cheated:
        assert way.removesuffix("…").rstrip() in shown
    assert shown.rstrip().endswith("demo: ok")


def test_the_federation_s_demo_runs_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two rounds instead of fifteen: tests/demo looks at more of it."""
    _, shown = demos.federation(tmp_path_factory)
    assert shown.rstrip().endswith("demo-federation: ok")


def test_installing_as_the_readme_says(tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "*.so", "__pycache__", ".*cache")
    copy = tmp_path / "placet"
    shutil.copytree(ROOT, copy, ignore=left_out)
    commands = [c.replace("python3", sys.executable, 1) for c in console_blocks()[4]]
    shown = demos.bash("\n".join(commands), copy, 280)
    assert "Nothing decrypts without the council's placet." in shown


def test_the_python_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, snippet = python_blocks()
    monkeypatch.setenv("PLACET_HOME", str(tmp_path / "home"))
    council = Council(tmp_path)
    with running_host(tmp_path) as (address, pin), council.connect(address, pin) as client:
        council.found(client)
        shares = load_shares().training
        for hospital in HOSPITALS:
            council.seal_and_grant(client, hospital, shares[hospital])
        parameters = {"steps": 10, "learning_rate_percent": 30}
        digest = council.propose(client, "breast_cancer", parameters, "model")
        council.vote(client, digest, "north", "south", "privacy")
        Home.default().configure(address, pin, client.log.charter)
        names = {"digest": digest, "keys": council.analyst, "folder": tmp_path / "result"}
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102 - our own page
    assert "finished 100" in shown.getvalue()
    assert (tmp_path / "result" / "model").stat().st_size > 0
