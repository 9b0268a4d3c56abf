# SPDX-License-Identifier: Apache-2.0
"""explain: rules, constitutions, proposals and refusals as sentences that a lawyer can check."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from placet.auditing.explain import (
    explain_constitution,
    explain_grant,
    explain_proposal,
    explain_refusal,
    explain_rule,
)
from placet.auditing.explain_standing import explain_standing
from placet.auditing.grants import explain_grant_standing
from placet.client.cli._frame import AsJSON, client, command, lines, show
from placet.client.cli._words import read_artifact, standing_json
from placet.client.cli.charter import read_constitution
from placet.client.cli.lookup.grants import find_grant, users_of
from placet.client.errors import UsageRefused
from placet.client.trust.artifacts import MAX_ARTIFACT, ticket_from_bytes
from placet.governance.documents import Constitution, Grant, Proposal
from placet.governance.envelope import inspect
from placet.governance.text import plain

app = typer.Typer(help="Say it in plain sentences.", no_args_is_help=True)

Source = Annotated[
    Path | None,
    typer.Option("--constitution", help="A TOML file or drafted document; else: in force."),
]


@command(app)
def rule(
    id: Annotated[str, typer.Argument(help="The rule's id.")],
    source: Source = None,
    as_json: AsJSON = False,
) -> None:
    """Explain one rule."""
    rules = {rule.id: rule for rule in _constitution(source).rules}
    if id not in rules:
        raise UsageRefused(f"There is no rule {id!r}. There are: {', '.join(rules)}.")
    _explain(explain_rule(rules[id]), as_json)


@command(app)
def constitution(source: Source = None, as_json: AsJSON = False) -> None:
    """Explain a constitution."""
    _explain(explain_constitution(_constitution(source)), as_json)


@command(app)
def proposal(
    name: Annotated[str, typer.Argument(metavar="PROPOSAL", help="Its digest, or a ticket file.")],
    as_json: AsJSON = False,
) -> None:
    """Explain a proposal; from a ticket file nothing is verified and no host is asked."""
    if Path(name).is_file():
        bundle = ticket_from_bytes(read_artifact(Path(name)))
        _explain(explain_proposal(inspect(bundle.proposal, Proposal), None), as_json)
        return
    with client() as connected:
        found = connected.council.find(name)
        how = connected.council.standing(found, whole=True)
    told = [*explain_standing(how), "", *explain_proposal(found.document, found.rules)]
    value = {"standing": standing_json(how), "sentences": told}
    show(value, as_json, lines(told))


@command(app)
def grant(
    name: Annotated[
        str, typer.Argument(metavar="GRANT", help="Its digest, its beginning, or a grant file.")
    ],
    as_json: AsJSON = False,
) -> None:
    """Explain a grant, what is left of it, and who has used it; from a file only its terms, which
    nothing verifies."""
    if Path(name).is_file():
        _explain(explain_grant(inspect(read_artifact(Path(name)), Grant)), as_json)
        return
    with client() as connected:
        found = find_grant(connected, name)
        users = users_of(connected, found.record)
    _explain([*explain_grant(found.grant), *explain_grant_standing(found, users)], as_json)


@command(app)
def refusal(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="REASON|FILE",
            help="A reason as RULE_NOT_MET, or what a command wrote with --json; else standard "
            "input.",
        ),
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Explain a refusal that a command wrote with --json (to standard error: 2> FILE), or its
    reason alone."""
    if source and re.fullmatch(r"[A-Z_]+", source) and not Path(source).exists():
        _explain([_meaning(source)], as_json)
        return
    data = read_artifact(Path(source)) if source else sys.stdin.buffer.read(MAX_ARTIFACT)
    try:
        value: Any = json.loads(data)
        told: Any = value.get("error") or value.get("refusal") or value
        details = {str(k): str(v) for k, v in cast("dict[Any, Any]", told["details"]).items()}
        sentences = explain_refusal(plain(told["reason"]), str(told["message"]), details)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise UsageRefused(
            "This is no refusal. Give what a command wrote with --json; it writes refusals to "
            "standard error (2> FILE)."
        ) from None
    _explain(sentences, as_json)


def _meaning(reason: str) -> str:
    sentence = explain_refusal(reason, "", {})[0]
    if sentence.endswith(f" {reason}."):
        raise UsageRefused(
            f"{reason} is no reason of this version. Update Placet if a host gave it."
        )
    return sentence


def _constitution(source: Path | None) -> Constitution:
    if source is not None:
        return read_constitution(source)
    with client() as connected:
        return connected.council.verify().newest.document


def _explain(sentences: list[str], as_json: bool) -> None:
    show({"sentences": sentences}, as_json, lines(sentences))
