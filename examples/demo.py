# SPDX-License-Identifier: Apache-2.0
"""Three hospitals train one model on data that none of them shows the others; then somebody cheats,
fifteen times over.

    python examples/demo.py [--state FOLDER]

With --state, FOLDER keeps what the host kept (host/), what the parties hold, and cpu/, which stands
for the inside of the processor. Everything runs on this machine, in simulation, and is marked as
that.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from cheating import cheat, cheat_with_the_log, snapshot
from decoy import cheat_with_a_decoy
from hospitals import HERE, Council, add_launcher, build_of, launcher_options, running_host
from made_up import cheat_with_a_made_up_council, cheat_with_a_second_founding
from rich.console import Console
from rich.table import Table
from safetensors import numpy as safetensors
from shares import HOSPITALS, Rows, Shares, accuracy, load_shares

from placet.auditing.explain import explain_charged, explain_proposal, explain_rule
from placet.client import Client, ReceiptFile, Result
from placet.governance.documents import Proposal

console = Console(highlight=False, width=110)
PARAMETERS = {"steps": 400, "learning_rate_percent": 30}


def main() -> None:
    arguments = _arguments()
    state: Path | None = arguments.state
    options = launcher_options(arguments)
    if arguments.ask:
        return
    with tempfile.TemporaryDirectory(prefix="placet-demo-") as temporary:
        folder = state or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        tell(folder, options)
        console.print(f"\n{time.monotonic() - started:.0f} seconds, everything SIMULATED.")
    print("demo: ok")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--state", type=Path, help="a new folder to keep everything in")
    add_launcher(parser)
    add("--ask", action="store_true", help="say whether the launcher is there, and end")
    return parser.parse_args()


def tell(folder: Path, options: Sequence[str] = ()) -> None:
    """The story, then the attacks. `options` are the host's."""
    shares = load_shares()
    council = Council(folder)
    council.build = build_of(options)
    with (
        running_host(folder, options=options) as (address, pin),
        council.connect(address, pin) as client,
    ):
        begin(client, council)
        grants = {name: share(client, council, name, shares.training[name]) for name in HOSPITALS}
        proposal = propose(client, council)
        result = train(client, council, proposal, folder)
        show(shares, council, result)
        check(client, result)
        snapshot(folder)
        step("And now fifteen ways to cheat.")
        cheat(console, client, council, proposal, grants, result)
        cheat_with_a_decoy(console, client, council)
    cheat_with_the_log(console, council, folder, options)
    cheat_with_a_made_up_council(console, council, options)
    cheat_with_a_second_founding(console, council, grants["south"], result, options)


def step(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def begin(client: Client, council: Council) -> None:
    step(
        "1. Five seats found the council; each checks the authority's evidence with a nonce of its "
        "own."
    )
    size = council.found(client)
    status = client.status()
    console.print(
        f"   the log begins: {size} entries, evidence {status.evidence}, {' '.join(status.marks)}"
    )
    for sentence in explain_rule(council.constitution().rules[0]):
        console.print(f"   {sentence}")


def share(client: Client, council: Council, hospital: str, rows: Rows) -> str:
    if hospital == HOSPITALS[0]:
        step(
            "2. Each hospital seals its patients at home and provisions the key under a grant of "
            "its own."
        )
    grant = council.seal_and_grant(client, hospital, rows)
    console.print(
        f"   Hospital {hospital.title()}: {len(rows)} patients sealed, grant {grant[:19]}…"
    )
    return grant


def propose(client: Client, council: Council) -> str:
    step("3. The university proposes a program, which everybody can read; three seats say placet.")
    proposal = council.propose(client, "breast_cancer", PARAMETERS, "model")
    document: Proposal = client.council.find(proposal).document
    for sentence in explain_proposal(document, client.council.verify().newest.document)[:8]:
        console.print(f"   {sentence}")
    council.vote(client, proposal, "north", "south", "privacy")
    return proposal


def train(client: Client, council: Council, proposal: str, folder: Path) -> Result:
    step("4. The job runs in an enclave that had to prove what it is before a key was opened.")
    job = client.runs.start(client.council.ticket(proposal))
    for state in client.runs.watch(job.id):
        console.print(f"   {state.state} {state.progress} %")
    return client.jobs.result(job.id, council.analyst, folder / "analyst" / "result")


def show(shares: Shares, council: Council, result: Result) -> None:
    step("5. The analyst opens the model. Judged on patients that no training has seen:")
    table = Table("trained by", "on patients", "accuracy")
    for name, rows in shares.training.items():
        table.add_row(
            f"Hospital {name.title()} alone",
            str(len(rows)),
            f"{_alone(council, name, shares.judging):.1%}",
        )
    model = load_model(result.outputs["model"])
    total = sum(len(rows) for rows in shares.training.values())
    table.add_row("the three together", str(total), f"{accuracy(model, shares.judging):.1%}")
    console.print(table)


def check(client: Client, result: Result) -> None:
    step("6. Anybody can check it afterwards, on their own laptop.")
    receipt = ReceiptFile.from_bytes(result.receipt_file.read_bytes()).verify(client.log.charter)
    said = receipt.receipt.predicate
    console.print(
        f"   receipt verified: approved by {', '.join(said.approved_by)}; evidence {said.evidence}"
    )
    console.print(f"   {' '.join(said.marks)}")
    for sentence in explain_charged(said.privacy):
        console.print(f"   {sentence}")
    report = client.log.audit()
    console.print(
        f"   log replayed: {report.checked} entries judged again, root {report.root[:23]}…"
    )


def _alone(council: Council, hospital: str, judging: Rows) -> float:
    """The same program, run by one hospital on its own rows: nobody needs an enclave for that."""
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable,
            "-m",
            "placet.client",
            "run",
            str(HERE / "breast_cancer"),
            "--local",
        ]
        command += ["--input", f"{hospital}={council.folder / hospital / 'patients.npy'}"]
        command += [f"--parameter={name}={value}" for name, value in PARAMETERS.items()]
        command += ["--output", "model=65536", "--output-dir", out]
        subprocess.run(command, check=True, capture_output=True)
        return accuracy(load_model(Path(out, "model")), judging)


def load_model(path: Path) -> dict[str, Any]:
    """The arrays of a safetensors file by name."""
    arrays: dict[str, Any] = cast("Any", safetensors).load_file(path)
    return arrays


if __name__ == "__main__":
    main()
