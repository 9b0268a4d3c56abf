# SPDX-License-Identifier: Apache-2.0
"""Drafts looked at at home, before anybody votes on them; each kind has a file of its own."""

import typer

from placet.client.cli.check import constitution, model, work

app = typer.Typer(
    help="Judge a draft at home as it will be judged, before anybody votes on it.",
    no_args_is_help=True,
)
for one in (model, work, constitution):
    app.registered_commands += one.app.registered_commands
