# SPDX-License-Identifier: Apache-2.0
"""program: the files of a proposed program, to be read before a vote."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from placet.client.cli._frame import AsJSON, client, command, lines, show
from placet.client.cli._words import transfer
from placet.client.errors import AnswerMalformed
from placet.client.files import read_file
from placet.client.jobs.bundles import Bundle, blob_of
from placet.governance.bundles import MAX_BUNDLE

app = typer.Typer()


@command(app)
def program(
    proposal: Annotated[str, typer.Argument(help="The proposal's digest, or its beginning.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    as_json: AsJSON = False,
) -> None:
    """Fetch the program of a proposed job, and unpack it: these files are what an enclave would
    run, and no others."""
    with client() as connected, tempfile.TemporaryDirectory(prefix="placet-") as folder:
        digest = connected.council.find(proposal).document.job.program
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
    bundle.write(out)
    show(
        {"program": digest, "folder": str(out)}, as_json, lines([f"Wrote {out}: program {digest}."])
    )
