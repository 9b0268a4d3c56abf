# SPDX-License-Identifier: Apache-2.0
"""What evidence of a machine is judged with: collateral fetch."""

import time
from pathlib import Path
from typing import Annotated

import typer

from placet.attestation import MAX_EVIDENCE_BYTES, Claims, Evidence, verify_evidence
from placet.client.cli._frame import AsJSON, command, lines, show
from placet.client.cli._words import when
from placet.client.connection.web import Web
from placet.client.files import read_file
from placet.client.trust.collateral import fetch_collateral, read_quote

app = typer.Typer(help="What evidence of a machine is judged with.", no_args_is_help=True)


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    pass


@command(app)
def fetch(
    quote: Annotated[
        Path, typer.Argument(help="A quote or report of the machine, or evidence that holds one.")
    ],
    source: Annotated[
        str, typer.Option("--from", help="A PCCS or KDS (https://...); else Intel's or AMD's own.")
    ] = "",
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Its certificate authority, PEM; else the system's.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the file.")] = Path(),
    as_json: AsJSON = False,
) -> None:
    """Fetch the collateral of a machine into a dated file, once a quote of it verifies with it."""
    kind, found = read_quote(read_file(quote, MAX_EVIDENCE_BYTES))
    now = int(time.time())
    bundle = fetch_collateral(kind, found, Web(ca), source, now=now, verify=_verify)
    path = bundle.write(out, now)
    claims = bundle.claims
    value = {
        "file": str(path),
        "kind": kind,
        "machine": bundle.machine,
        "tcb_status": claims.tcb_status,
        "expires": claims.collateral_expires,
    }
    told = [
        f"Wrote {path}: the quote verifies with it, {claims.tcb_status}.",
        f"It is valid until {when(claims.collateral_expires)}. Fetch it again before that.",
    ]
    show(value, as_json, lines(told))


def _verify(evidence: Evidence, now: int) -> Claims:
    return verify_evidence(evidence, now=now)
