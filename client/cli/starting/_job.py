# SPDX-License-Identifier: Apache-2.0
"""The way of one program through a council whose keys all lie here: each step by its command."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from placet.client.cli._terms import parse_scalar
from placet.client.cli.starting._council import DevCouncil
from placet.client.cli.starting._steps import near
from placet.client.errors import FileRefused, UsageRefused
from placet.client.files import write_file
from placet.client.jobs.bundles import build_bundle

_ANY = ("parameter", "combine-with", "witnesses", "privacy", "uses")
_JOB = """\
# Written by `placet dev run`.
action = "job"
program = {program}
purpose = {purpose}
reason = "A trial on this machine."
valid_for_seconds = 86400
deadline_seconds = 3600
recipients = [{{ id = {recipient}, key = {key} }}]
"""


@dataclass(frozen=True, slots=True)
class JobWords:
    """What was asked for: inputs are files in the clear, outputs their greatest sizes."""

    program: Path
    inputs: dict[str, Path]
    parameters: dict[str, str | int | bool]
    outputs: dict[str, int]
    purpose: str

    @classmethod
    def of(
        cls,
        program: Path,
        inputs: Sequence[str],
        parameters: Sequence[str],
        outputs: Sequence[str],
        purpose: str,
    ) -> "JobWords":
        """Raises `UsageRefused` or `FileRefused`, before anything is founded."""
        build_bundle(program)
        sizes = dict(_pair(one, "MAX_BYTES") for one in outputs)
        files = {name: Path(path) for name, path in (_pair(one, "PATH") for one in inputs)}
        for name, size in sizes.items():
            if not size.isdecimal():
                raise UsageRefused(f"{name}={size} is not NAME=MAX_BYTES with a number of bytes.")
        for path in files.values():
            if not path.is_file():
                raise FileRefused(f"Cannot read {path}: there is no such file. Check the path.")
            if program.is_dir() and path.resolve().is_relative_to(program.resolve()):
                raise UsageRefused(
                    f"The input {path} lies in the program's folder, and the host reads all of "
                    "that folder. Move the input elsewhere."
                )
        values = {
            name: parse_scalar(value) for name, value in (_pair(p, "VALUE") for p in parameters)
        }
        return cls(program, files, values, {n: int(s) for n, s in sizes.items()}, purpose)


def run_job(made: DevCouncil, words: JobWords, out: Path | None) -> list[str]:
    """Seal, put and grant each input; propose, vote, start, and fetch the result, whose files are
    returned. Raises `typer.Exit` where a step is refused."""
    step, owner = made.steps, made.submitter
    folder = _new_folder(made.folder)
    key = near(made.key_of(owner))
    objects: dict[str, str] = {}
    for name, path in words.inputs.items():
        step.title(f"{name} is sealed here; the host gets ciphertext, and the authority the key.")
        objects[name] = _share(made, words, name, path, folder)
    step.title("The council is asked, and every seat votes.")
    job = folder / "job.toml"
    write_file(job, _job_text(made, words, objects, job).encode())
    # Without inputs no label says what the data is: there is none.
    yes = [] if words.inputs else ["--yes"]
    proposal = step("propose", near(job), "--key", key, *yes, quiet=True)["proposal"]
    for seat in made.constitution.seats:
        voter, why = near(made.key_of(seat.id)), "A trial."
        step("vote", proposal, "placet", "--key", voter, "--rationale", why, "--yes", quiet=True)
    step.title("The program runs in an enclave of its own, and its result is opened here.")
    started = step("start", proposal, "--watch", quiet=True)
    result = out or folder / "result"
    told = step("result", started["id"], "--key", key, "--out", near(result), quiet=True)
    return [near(Path(path)) for path in told["outputs"].values()]


def _share(made: DevCouncil, words: JobWords, name: str, path: Path, folder: Path) -> str:
    """Seal a file, put it, grant its use to this program, and give away its key; the path of its
    description."""
    step, id = made.steps, made.submitter
    key, public = near(made.key_of(id)), near(made.key_of(id).with_name(f"{id}.pub.json"))
    sealed, described, grant = (
        near(folder / f"{name}.{end}") for end in ("sealed", "object.json", "grant.json")
    )
    labels = [word for one in made.constitution.labels[:1] for word in ("--label", one)]
    step("seal", near(path), "--owner", public, *labels, "--out", sealed, quiet=True)
    step("put", sealed, "--object", described, "--owner", public, quiet=True)
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    terms = ["--purpose", words.purpose, "--program", near(words.program), "--recipient", public]
    terms += ["--expires", until, *(word for one in _ANY for word in (f"--{one}", "any"))]
    step("grant", "--key", key, "--object", described, *terms, "--out", grant, quiet=True)
    step("provision", grant, "--object", described, "--key", key, "--simulated", quiet=True)
    return described


def _job_text(made: DevCouncil, words: JobWords, objects: dict[str, str], job: Path) -> str:
    """job.toml, its files named from its own folder."""
    id = made.submitter
    text = _JOB.format(
        program=_quoted(os.path.relpath(words.program, job.parent)),
        purpose=_quoted(words.purpose),
        recipient=_quoted(id),
        key=_quoted(os.path.relpath(made.key_of(id).with_name(f"{id}.pub.json"), job.parent)),
    )
    tables = [
        f"inputs.{_quoted(name)} = {{ object = {_quoted(Path(path).name)}, owner = {_quoted(id)} }}"
        for name, path in objects.items()
    ]
    tables += [f"parameters.{_quoted(n)} = {_quoted(v)}" for n, v in words.parameters.items()]
    tables += [f"outputs.{_quoted(n)}.max_bytes = {size}" for n, size in words.outputs.items()]
    return text + "\n".join(tables) + "\n"


def _new_folder(folder: Path) -> Path:
    """run-1, run-2, …: nothing of an earlier run is touched."""
    number = 1
    while (made := folder / f"run-{number}").exists():
        number += 1
    made.mkdir(parents=True)
    return made


def _pair(text: str, value: str) -> tuple[str, str]:
    name, sign, rest = text.partition("=")
    if not sign or not name:
        raise UsageRefused(f"{text!r} is not NAME={value}.")
    return name, rest


def _quoted(value: object) -> str:
    """A value as TOML has it, which JSON's are too."""
    return json.dumps(value, ensure_ascii=False)
