# SPDX-License-Identifier: Apache-2.0
"""Programs: program, the files of a proposed one, to be read before a vote; and run --local, which
tries one at home."""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from placet.client.blocking import Client
from placet.client.cli._frame import EXIT_REFUSED, AsJSON, client, command, lines, say, show
from placet.client.cli._terms import parse_scalar
from placet.client.cli._words import transfer
from placet.client.cli.check._rounds import Initial, Updates, Weights, as_plain, told, tried
from placet.client.drafts.federation import FederationDraft
from placet.client.drafts.job import JobDraft
from placet.client.drafts.serve import ServeDraft
from placet.client.drafts.work import load_work
from placet.client.errors import AnswerMalformed, FileRefused, UsageRefused
from placet.client.federations.adapters import save_state
from placet.client.federations.trial import TriedRound
from placet.client.files import read_file
from placet.client.jobs.bundles import Bundle, blob_of, build_bundle
from placet.client.services.files import files_of, format_of, load_rows, save_answers
from placet.client.services.trial import LocalModel
from placet.governance.bundles import MAX_BUNDLE
from placet.governance.documents import Federate, Serve

app = typer.Typer()


@command(app)
def program(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DIGEST", help="A proposal's digest or its beginning, or a program's digest."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to make; else only a list.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Fetch the program of a proposed job and list its files, or unpack them: these files are what
    an enclave would run, and no others."""
    with client() as connected, tempfile.TemporaryDirectory(prefix="placet-") as folder:
        digest = _program_of(connected, name)
        with transfer("fetching", as_json) as progress:
            path = connected.blobs.get(blob_of(digest), Path(folder, "bundle"), progress=progress)
        bundle = Bundle(read_file(path, MAX_BUNDLE))
    if bundle.digest != digest:
        raise AnswerMalformed(
            "The host gave other bytes than the proposal names. Do not read them; ask the proposer "
            "for the program.",
            claim="program",
            expected=digest,
            actual=bundle.digest,
        )
    files = {file: len(content) for file, content in bundle.files().items()}
    told = [f"{size:>10} bytes  {file}" for file, size in files.items()]
    if out is not None:
        bundle.write(out)
        told = [f"Wrote {out}: program {digest}.", *told]
    value = {"program": digest, "folder": str(out) if out else None, "files": files}
    show(value, as_json, lines(told))


def _program_of(connected: Client, name: str) -> str:
    """The program that a proposal names; a digest in full that is no proposal's is a program's."""
    is_digest = re.fullmatch(r"sha256:[0-9a-f]{64}", name) is not None
    if is_digest and name not in connected.log.ledger().state.proposals:
        return name
    return connected.council.find(name).document.job.program


@command(app)
def run(
    program: Annotated[
        Path,
        typer.Argument(help="A folder with main.py, or one file; or a draft (.toml)."),
    ],
    local: Annotated[bool, typer.Option("--local", help="Here, without any protection.")] = False,
    input: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH, in the clear; of a service the rows' file.")
    ] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE")] = None,
    output: Annotated[list[str] | None, typer.Option(help="NAME=MAX_BYTES")] = None,
    update: Updates = None,
    weight: Weights = None,
    model: Initial = None,
    output_dir: Annotated[Path, typer.Option(help="Where outputs are written.")] = Path("out"),
    heading: Annotated[
        bool | None,
        typer.Option("--heading/--no-heading", help="Whether a .csv begins with names of columns."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Of a round or a question: JSON, not text.")
    ] = False,
) -> None:
    """Try a program, a job, a federation's round or a question to a service here, as a worker would
    run it, on data in the clear, with no council."""
    if not local:
        raise UsageRefused("Only --local runs without a council. To run under one: placet propose.")
    draft = load_work(program, int(time.time())) if program.suffix == ".toml" else None
    if isinstance(draft, FederationDraft):
        found = tried(draft.body, update or [], weight or [], model)
        _show_round(draft.body, found, output_dir, as_json)
        return
    if isinstance(draft, ServeDraft):
        _ask(draft.body, model, input or [], heading, output_dir, as_json)
        return
    flags = [_as_json(one) for one in parameter or []], [_as_output(one) for one in output or []]
    _run_job(draft, program, [_as_input(one) for one in input or []], flags, output_dir)


def _run_job(
    draft: JobDraft | None,
    program: Path,
    inputs: list[str],
    flags: tuple[list[str], list[str]],
    output_dir: Path,
) -> None:
    """A program, or that of a draft, whose parameters and outputs stand behind those of flags."""
    parameters, outputs = flags
    if draft is None:
        _run_program(build_bundle(program), inputs, parameters, outputs, output_dir)
        return
    _check_inputs(draft, inputs)
    body = draft.body
    parameters = [f"{n}={json.dumps(v)}" for n, v in body.parameters.items()] + parameters
    outputs = [f"{n}={one.max_bytes}" for n, one in body.outputs.items()] + outputs
    _run_program(draft.bundle, inputs, parameters, outputs, output_dir)


def _run_program(
    bundle: Bundle, inputs: list[str], parameters: list[str], outputs: list[str], output_dir: Path
) -> None:
    output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="placet-") as folder:
        path = Path(folder, "bundle.tar")
        path.write_bytes(bundle.data)
        arguments = [sys.executable, "-I", "-m", "placet.enclave", "local", "--bundle", str(path)]
        for flag, texts in (("input", inputs), ("parameter", parameters), ("output", outputs)):
            for text in texts:
                arguments += [f"--{flag}", text]
        arguments += ["--output-dir", str(output_dir)]
        code = subprocess.run(arguments, check=False).returncode
    if code:
        say(f"The program did not end well (exit code {code}); the lines above say why.")
        raise typer.Exit(EXIT_REFUSED)


def _check_inputs(draft: JobDraft, given: list[str]) -> None:
    """The job's inputs in the clear, and no others. Raises `UsageRefused`."""
    found, wanted = {one.partition("=")[0] for one in given}, set(draft.body.inputs)
    if found != wanted:
        raise UsageRefused(
            f"The job takes the inputs {', '.join(sorted(wanted)) or 'none'}, and "
            f"{', '.join(sorted(found)) or 'none'} are given. Give each with --input NAME=PATH."
        )


def _show_round(terms: Federate, found: TriedRound, folder: Path, as_json: bool) -> None:
    sentences = told(terms, found)
    if found.model is not None:
        folder.mkdir(parents=True, exist_ok=True)
        save_state(folder / "model.npz", found.model)
        sentences.append(f"Wrote {folder / 'model.npz'}: the model of the round.")
    show(as_plain(found), as_json, lines(sentences))
    if found.model is None:
        raise typer.Exit(EXIT_REFUSED)


def _ask(
    terms: Serve,
    file: Path | None,
    rows: list[str],
    heading: bool | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Ask a model about the rows of a file, and write the answers in the same format."""
    if file is None or len(rows) != 1:
        raise UsageRefused("A service is tried with --model FILE.onnx and one --input ROWS.")
    source = Path(rows[0])
    reading, out = format_of(source), folder / f"answers{source.suffix}"
    with LocalModel(file, terms) as model:
        asked = load_rows(source, reading, model.inputs, heading, model.rows)
        files = files_of(out, reading, [answer.name for answer in model.answers])
        answers = model.predict(asked)
    folder.mkdir(parents=True, exist_ok=True)
    save_answers(out, reading, answers)
    names = [str(path) for path in dict.fromkeys(files.values())]
    sentence = f"Wrote {', '.join(names)}: what users would be answered under these terms."
    show({"files": names}, as_json, lines([sentence]))


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
