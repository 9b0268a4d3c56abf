# SPDX-License-Identifier: Apache-2.0
"""Jobs: submit, jobs, watch, cancel, result, and run --local."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from placet.auditing.explain import explain_charged, explain_refusal
from placet.client.blocking import Client
from placet.client.cli._frame import (
    EXIT_REFUSED,
    ActingAs,
    AsJSON,
    KeyFile,
    client,
    command,
    lines,
    load_keys,
    say,
    say_json,
    show,
    table,
)
from placet.client.cli._terms import parse_scalar
from placet.client.cli._words import (
    JOB_COLUMNS,
    about_proposal,
    find_ticket,
    job_json,
    job_row,
    transfer,
)
from placet.client.errors import FileRefused, UsageRefused
from placet.client.jobs.bundles import build_bundle
from placet.client.jobs.status import JobStatus

app = typer.Typer()

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


@command(app)
def submit(
    ticket: Annotated[str, typer.Argument(help="A ticket file, or a proposal's digest.")],
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until it has ended.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Submit a job under a ticket."""
    with client() as connected:
        job = connected.jobs.submit(find_ticket(connected, ticket))
        if watch:
            say(
                f"Submitted {job.id}. Should this be interrupted, go on with: placet watch {job.id}"
            )
            job = _follow(connected, job.id, as_json)
    _tell(job, as_json)


@command(app)
def jobs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: AsJSON = False,
) -> None:
    """List the newest jobs."""
    with client() as connected:
        found = connected.jobs.list(limit)
    rows = [job_row(job) for job in found]
    show([job_json(job) for job in found], as_json, table(JOB_COLUMNS, rows, "No jobs."))


@command(app)
def watch(id: JobId, as_json: AsJSON = False) -> None:
    """Follow a job until it has ended; exits with 1 if it failed or was stopped."""
    with client() as connected:
        job = _follow(connected, id, as_json)
    _tell(job, as_json)


@command(app)
def cancel(
    id: JobId,
    key: KeyFile,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Cancel a job's proposal: takes its proposer or a seat."""
    keys = load_keys(key, acting_as)
    with client() as connected:
        proposal = connected.jobs.proposal(id)
        if not as_json:
            say("\n".join(about_proposal(proposal)))
        recorded = connected.jobs.cancel(keys, id, reason=reason)
    value = {"stop": recorded.digest, "index": recorded.index}
    show(value, as_json, lines([f"Cancelled: entry {recorded.index}."]))


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


def _follow(connected: Client, id: str, as_json: bool) -> JobStatus:
    """Watch with a bar on a terminal, with a line a change elsewhere, and with a JSON line a change
    for --json."""
    console = Console(stderr=True)
    if console.is_terminal and not as_json:
        return _follow_bar(connected, id, console)
    last: JobStatus | None = None
    for last in connected.jobs.watch(id):
        if as_json:
            say_json(job_json(last))
        else:
            say(f"{last.id} {last.state} {last.progress}% attempt {last.attempt}")
    assert last is not None, "watch ends with a job that has ended"
    return last


def _follow_bar(connected: Client, id: str, console: Console) -> JobStatus:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    last: JobStatus | None = None
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(id, total=100)
        for last in connected.jobs.watch(id):
            bar.update(task, completed=last.progress, description=last.state)
    assert last is not None, "watch ends with a job that has ended"
    return last


def _tell(job: JobStatus, as_json: bool) -> None:
    show(job_json(job), as_json, table(JOB_COLUMNS, [job_row(job)], ""))
    if job.refusal is not None:
        if not as_json:
            refusal = job.refusal
            say(*explain_refusal(refusal.reason, str(refusal), refusal.details))
        raise typer.Exit(EXIT_REFUSED)
