# SPDX-License-Identifier: Apache-2.0
"""Founding a council: charter draft, sign, submit. And its constitution: draft, show, amend."""

from pathlib import Path
from typing import Annotated

import typer

from placet.auditing.explain import explain_constitution
from placet.client.blocking import Client
from placet.client.cli._frame import (
    ActingAs,
    AsJSON,
    KeyFile,
    OutFile,
    Yes,
    client,
    command,
    confirm,
    home,
    lines,
    load_keys,
    say,
    show,
)
from placet.client.cli._words import read_artifact, write_artifact
from placet.client.cli.starting._drafts import fetch_draft
from placet.client.council.charters import CharterDraft
from placet.client.drafts.job import load_constitution
from placet.client.drafts.successor import check_predecessor
from placet.client.errors import SettingMissing, UsageRefused
from placet.client.links import CouncilLink, spoken
from placet.governance.codec import decode, encode
from placet.governance.documents import Amendment, Constitution
from placet.governance.envelope import digest_of

charter = typer.Typer(help="Found a council.", no_args_is_help=True)
constitution = typer.Typer(help="Draft, read and change the constitution.", no_args_is_help=True)

DraftFile = Annotated[Path, typer.Argument(help="The draft of the charter.")]


@command(charter, "draft")
def charter_draft(
    source: Annotated[Path, typer.Argument(help="constitution.toml, or a drafted constitution.")],
    out: OutFile = Path("charter.json"),
    as_json: AsJSON = False,
) -> None:
    """Check the authority's evidence, and draft a charter that binds the constitution to its
    log."""
    document = read_constitution(source)
    _keep_signed(out)
    with client() as connected:
        draft = connected.founding.draft(document)
    write_artifact(out, draft.to_bytes())
    told = [f"Wrote {out}. Each seat signs it: placet charter sign {out} --key SEAT.key"]
    show(_state(draft, out), as_json, lines(told))


@command(charter, "sign")
def charter_sign(
    draft_file: DraftFile, key: KeyFile, yes: Yes = False, as_json: AsJSON = False
) -> None:
    """Read the constitution, check the authority's evidence with a nonce of your own, and sign."""
    draft = CharterDraft.from_bytes(read_artifact(draft_file))
    keys = load_keys(key)
    if not yes:
        say(*explain_constitution(draft.read_constitution()))
    confirm(f"Sign constitution {digest_of(draft.constitution)} and the charter?", yes)
    with client() as connected:
        draft = connected.founding.sign(draft, keys)
    write_artifact(draft_file, draft.to_bytes())
    missing = ", ".join(draft.missing()) or "nobody: submit it"
    show(_state(draft, draft_file), as_json, lines([f"Signed. Still to sign: {missing}."]))


@command(charter, "submit")
def charter_submit(
    draft_files: Annotated[list[Path], typer.Argument(help="The draft, or its signed copies.")],
    as_json: AsJSON = False,
) -> None:
    """Found the log with a draft that every seat has signed."""
    drafts = [CharterDraft.from_bytes(read_artifact(path)) for path in draft_files]
    merged = drafts[0]
    for draft in drafts[1:]:
        merged = merged.merge(draft)
    with client() as connected:
        recorded = connected.founding.found(merged)
        log = connected.log.key
    value = {"index": recorded.index, "log": log, **charter_names()}
    show(value, as_json, lines([f"Founded. The log is {log}.", *told_names()]))


@command(charter, "show")
def charter_show(as_json: AsJSON = False) -> None:
    """Show which council this home folder belongs to, for another member: digest, spoken form,
    link."""
    show(charter_names(), as_json, lines(told_names()))


def charter_names() -> dict[str, str]:
    """The ways to name the council of this home folder. Raises `SettingMissing`."""
    host, pin = home().host()
    digest = home().memory().charter
    if not digest:
        raise SettingMissing(
            "This home folder knows no council. Run: placet init --charter sha256:...",
            claim="charter",
        )
    named = {"charter": digest, "spoken": spoken(digest)}
    # A link says a pin, and this home trusts a CA instead.
    return {**named, "link": str(CouncilLink(host, pin, digest))} if pin else named


def told_names() -> list[str]:
    """The same in words, for another member."""
    names = charter_names()
    told = [f"Charter: {names['charter']}", f"To compare aloud: {names['spoken']}"]
    if "link" not in names:
        join = f"placet init --host {home().host()[0]} --ca FILE --charter {names['charter']}"
        return [*told, "Whoever joins trusts the same CA, whose file you hand on:", f"  {join}"]
    return [
        *told,
        (
            "Hand it to whoever joins, with the host's address, from member to member, as a "
            "message or a QR code:"
        ),
        f"  placet init {names['link']}",
    ]


@command(constitution, "draft")
def constitution_draft(
    source: Annotated[Path, typer.Argument(help="A TOML file; `placet init` writes a template.")],
    out: OutFile = Path("constitution.json"),
    amends: Annotated[
        bool, typer.Option("--amends", help="It shall follow the constitution in force.")
    ] = False,
    founds: Annotated[
        bool, typer.Option("--founds", help="It is for a new council, though this home has one.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Make the document of a constitution from TOML."""
    if amends:
        with client() as connected:
            current = connected.council.verify().newest
        document = load_constitution(
            source, version=current.document.version + 1, predecessor=current.digest
        )
    else:
        document = load_constitution(source)
        if not founds:
            check_predecessor(document, home().memory())
    payload = encode(document)
    write_artifact(out, payload)
    value = {"constitution": digest_of(payload), "version": document.version, "file": str(out)}
    told = [f"Wrote {out}: constitution {digest_of(payload)}, version {document.version}."]
    show(value, as_json, lines(told))


@command(constitution, "show")
def constitution_show(
    source: Annotated[
        Path | None, typer.Argument(help="A TOML file or a drafted constitution; else: in force.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Show a constitution in plain sentences."""
    if source is not None:
        document = read_constitution(source)
    else:
        with client() as connected:
            document = connected.council.verify().newest.document
    show(document, as_json, lines(explain_constitution(document)))


@command(constitution, "amend")
def constitution_amend(
    proposal: Annotated[str, typer.Argument(help="The approved proposal, by its digest.")],
    key: KeyFile,
    source: Annotated[
        Path | None, typer.Argument(help="The draft that it names; else as the host has it.")
    ] = None,
    acting_as: ActingAs = "",
    as_json: AsJSON = False,
) -> None:
    """Put a constitution in force under an approved proposal; takes the key of one of its seats."""
    given = None if source is None else read_constitution(source)
    keys = load_keys(key, acting_as)
    with client() as connected:
        document = given or _proposed(connected, proposal)
        recorded = connected.council.amend(keys, proposal, document)
    value = {"constitution": recorded.digest, "index": recorded.index}
    show(value, as_json, lines([f"In force: {recorded.digest} (entry {recorded.index})."]))


def _proposed(connected: Client, proposal: str) -> Constitution:
    """The draft that a proposal names, from the host. Raises `UsageRefused`."""
    body = connected.council.find(proposal).document.body
    draft = fetch_draft(connected, body.constitution) if isinstance(body, Amendment) else None
    if draft is None:
        raise UsageRefused(
            "The host has no draft for this proposal. Name the drafted constitution's file.",
            claim="constitution",
        )
    return draft


def read_constitution(path: Path) -> Constitution:
    """A constitution from TOML or from its document; a document keeps its digest."""
    if path.suffix == ".toml":
        return load_constitution(path)
    return decode(Constitution, read_artifact(path))


def _keep_signed(path: Path) -> None:
    """Raises `UsageRefused` where a draft lies that seats have signed."""
    if not path.exists():
        return
    signed = CharterDraft.from_bytes(read_artifact(path)).signed_by()
    if signed:
        raise UsageRefused(
            f"{path} is a draft that {', '.join(sorted(signed))} signed. Name another file with "
            "--out."
        )


def _state(draft: CharterDraft, path: Path) -> dict[str, object]:
    return {
        "file": str(path),
        "constitution": digest_of(draft.constitution),
        "charter": digest_of(draft.charter),
        "log": draft.read_charter().log,
        "signed_by": sorted(draft.signed_by()),
        "missing": list(draft.missing()),
    }
