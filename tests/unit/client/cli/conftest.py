# SPDX-License-Identifier: Apache-2.0
"""Command lines in a folder with keys, and a council that they have founded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.attestation import SIMULATION_SIGNER
from placet.client import Home, Keys
from placet.client.cli import app
from placet.client.drafts.templates import constitution_template
from tests.support.policies import build

Run = Callable[..., Any]


@pytest.fixture
def run(
    home: Home, people: dict[str, Keys], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a command line in a folder of its own, at the analyst's home; checks the exit code and
    returns the JSON that it wrote."""
    own = home.folder / "analyst.key"
    people["analyst"].save(own)
    home.use_key(own)
    monkeypatch.chdir(tmp_path)
    for name in ("PLACET_HOME", "PLACET_KEY", "PLACET_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def line(*arguments: str, code: int = 0, text: bool = False, **settings: Any) -> Any:
        given = ["--home", str(home.folder), *arguments, *([] if text else ["--json"])]
        result = CliRunner().invoke(app, given, **settings)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        if text:
            return result.output
        written = result.stdout or result.stderr
        return json.loads(written.strip() if written.startswith(("{", "[")) else "null")

    return line


@pytest.fixture
def folder(tmp_path: Path, people: dict[str, Keys]) -> Path:
    """Key files, and a constitution that names them."""
    for id, keys in people.items():
        keys.save(tmp_path / f"{id}.key")
    template = constitution_template(build(), SIMULATION_SIGNER)
    parties = (
        '\n[[parties]]\nid = "owner"\norganisation = "hospital-b"\nkeys = ["owner.pub.json"]\n'
    )
    text = template.replace("# Every rule that applies", parties + "\n# Every rule that applies")
    (tmp_path / "constitution.toml").write_text(text)
    program = tmp_path / "program"
    program.mkdir()
    (program / "main.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def council(run: Run, folder: Path) -> str:
    """A council founded by commands; returns its log."""
    run("charter", "draft", "constitution.toml", "-o", "charter.json")
    for seat in ("alice", "bob"):
        run("charter", "sign", "charter.json", "--key", f"{seat}.key", "--yes")
    return str(run("charter", "submit", "charter.json")["log"])


PROGRAM = """
def main(job):
    assert job.inputs["rows"].read() == bytes(100_000)
    with job.output("model") as sink:
        sink.write(b"weights")
"""
JOB = """
program = "program"
purpose = "research"
reason = "To learn."
valid_for_seconds = 3600
uses = 2
deadline_seconds = 60
[inputs.rows]
object = "rows.object.json"
owner = "owner"
[outputs.model]
max_bytes = 1000
[[recipients]]
id = "analyst"
key = "analyst.pub.json"
"""


@pytest.fixture
def proposal(run: Run, council: str, folder: Path) -> str:
    """A proposal over an object that was sealed, put, granted and provisioned; by commands."""
    (folder / "rows").write_bytes(bytes(100_000))
    (folder / "job.toml").write_text(JOB)
    run("seal", "rows", "--owner", "owner.pub.json", "--label", "health", "-o", "rows.sealed")
    run("put", "rows.sealed", "--object", "rows.object.json", "--owner", "owner.pub.json")
    terms = "--purpose research --program program --parameter any --recipient analyst.pub.json"
    more = (
        "--combine-with none --uses 2 --expires 2099-01-01T00:00:00Z --privacy any --witnesses any"
    )
    flags = [*terms.split(), *more.split()]
    key = ["--key", "owner.key"]
    run("grant", "--object", "rows.object.json", *flags, *key, "-o", "rows.grant.json")
    run("provision", "--simulated", "rows.grant.json", "--object", "rows.object.json", *key)
    told = run("propose", "job.toml", "--key", "analyst.key")
    assert told["lacking"] == []
    return str(told["proposal"])


@pytest.fixture
def approved(run: Run, proposal: str) -> str:
    """The same, with the votes of both seats."""
    for seat in ("alice", "bob"):
        run("vote", proposal, "placet", "--key", f"{seat}.key", "--yes")
    return proposal
