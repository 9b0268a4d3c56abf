# SPDX-License-Identifier: Apache-2.0
"""Jobs: result, and run --local."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.explain import explain_charged
from placet.client.cli._frame import (
    EXIT_REFUSED,
    AsJSON,
    KeyFile,
    client,
    command,
    lines,
    load_keys,
    say,
    show,
)
from placet.client.cli._terms import parse_scalar
from placet.client.cli._words import (
    transfer,
)
from placet.client.errors import FileRefused, UsageRefused
from placet.client.jobs.bundles import build_bundle

app = typer.Typer()

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@command(app)
def result(
    id: JobId,
    key: KeyFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write into.")],
    recipient: Annotated[
        str, typer.Option(help="Your name in the proposal, if not the key's id.")
    ] = "",
    as_json: AsJSON = False,
) -> None:
    """Fetch what a job released: verify the receipt, then fetch, verify and open the outputs."""
    keys = load_keys(key)
    with client() as connected, transfer("fetching", as_json) as progress:
        found = connected.jobs.result(id, keys, out, recipient=recipient or None, progress=progress)
    said = found.receipt.receipt.predicate
    value = {
        "receipt": found.receipt.digest,
        "receipt_file": str(found.receipt_file),
        "marks": list(said.marks),
        "privacy": said.privacy,
        "outputs": {name: str(path) for name, path in found.outputs.items()},
    }
    told = [
        (
            f"Receipt {found.receipt.digest} (entry {said.entry}), "
            f"{' '.join(said.marks) or 'no marks'}."
        ),
        *explain_charged(said.privacy),
        *(f"Wrote {path}." for path in found.outputs.values()),
    ]
    show(value, as_json, lines(told))


@command(app)
def run(
    program: Annotated[Path, typer.Argument(help="A folder with main.py, or one file.")],
    local: Annotated[bool, typer.Option("--local", help="Here, without any protection.")] = False,
    input: Annotated[list[str] | None, typer.Option(help="NAME=PATH, in the clear.")] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE")] = None,
    output: Annotated[list[str] | None, typer.Option(help="NAME=MAX_BYTES")] = None,
    output_dir: Annotated[Path, typer.Option(help="Where outputs are written.")] = Path("out"),
) -> None:
    """Try a program here as a worker would run it, on data in the clear, with no council."""
    if not local:
        raise UsageRefused("Only --local runs without a council. To run under one: placet propose.")
    bundle = build_bundle(program)
    output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="placet-") as folder:
        path = Path(folder, "bundle.tar")
        path.write_bytes(bundle.data)
        arguments = [sys.executable, "-I", "-m", "placet.enclave", "local", "--bundle", str(path)]
        for one in input or []:
            arguments += ["--input", _as_input(one)]
        for one in parameter or []:
            arguments += ["--parameter", _as_json(one)]
        for one in output or []:
            arguments += ["--output", _as_output(one)]
        arguments += ["--output-dir", str(output_dir)]
        code = subprocess.run(arguments, check=False).returncode
    if code:
        say(f"The program did not end well (exit code {code}); the lines above say why.")
        raise typer.Exit(EXIT_REFUSED)


def _as_input(text: str) -> str:
    _, path = _pair(text, "PATH")
    if not Path(path).is_file():
        raise FileRefused(f"Cannot read {path}: there is no such file. Check the path.", claim=path)
    return text


def _as_output(text: str) -> str:
    _, size = _pair(text, "MAX_BYTES")
    if not size.isdecimal():
        raise UsageRefused(f"{text!r} is not NAME=MAX_BYTES with a number of bytes.")
    return text


def _pair(text: str, value: str) -> tuple[str, str]:
    name, sign, rest = text.partition("=")
    if not sign or not name:
        raise UsageRefused(f"{text!r} is not NAME={value}.")
    return name, rest


def _as_json(text: str) -> str:
    name, value = _pair(text, "VALUE")
    return f"{name}={json.dumps(parse_scalar(value))}"
