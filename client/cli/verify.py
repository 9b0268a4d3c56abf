# SPDX-License-Identifier: Apache-2.0
"""Verifying artifacts offline: verify receipt, update, ticket, evidence. And a service's worker,
from its host."""

import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from placet.attestation import Check, Policy
from placet.auditing.explain import explain_account, explain_charged
from placet.client.cli._frame import (
    EXIT_REFUSED,
    AsJSON,
    charter_of,
    client,
    command,
    home,
    lines,
    load_keys,
    show,
    table,
)
from placet.client.cli._terms import parse_time
from placet.client.cli._words import find_proposal, read_artifact
from placet.client.cli.charter import read_constitution
from placet.client.drafts.toml import load_toml
from placet.client.errors import FileRefused, UsageRefused
from placet.client.federations.adapters import layout_of, load_state
from placet.client.federations.models import model_bytes
from placet.client.federations.receipts import UpdateReceipt
from placet.client.federations.vectors import flatten
from placet.client.files import reading
from placet.client.services.chain import OfferRefused
from placet.client.trust.artifacts import ReceiptFile, ticket_from_bytes
from placet.client.trust.examination import Examination, examine_file
from placet.client.trust.openings import Opening
from placet.client.trust.verify import VerifiedReceipt
from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents import Constitution, Proposal
from placet.governance.envelope import digest_of, inspect
from placet.governance.evaluate import InForce, evaluate
from placet.governance.log import VerifierKey
from placet.refusals import Refusal

# What a log key alone does not show.
_LOG_ALONE = (
    (
        "Whose log it is: any council may have this key. Give --charter, with the digest that a "
        "member has told you."
    ),
    "Whether the constitution that it names is one of that council's.",
)

app = typer.Typer(help="Verify artifacts offline, and a service's worker.", no_args_is_help=True)

CharterText = Annotated[
    str, typer.Option("--charter", help="The council's charter, by its digest; else the home's.")
]
LogText = Annotated[str, typer.Option("--log", help="Only this key of a log, of whatever council.")]
At = Annotated[str, typer.Option("--at", help="Judge at this time (ISO 8601); else now.")]
ConstitutionFile = Annotated[
    Path,
    typer.Option(
        "--constitution",
        help="The constitution to judge by: drafted document, or what `constitution show --json` "
        "wrote.",
    ),
]


@command(app)
def receipt(
    file: Annotated[
        Path,
        typer.Argument(
            help="The receipt of a job (`placet result`) or a model (`placet federation model "
            "--receipt`)."
        ),
    ],
    charter: CharterText = "",
    log: LogText = "",
    held: Annotated[
        Path | None,
        typer.Option("--file", help="Also that this file is an output: its recipient's key opens."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", help="With --file: only the output of this name will do.")
    ] = "",
    key: Annotated[
        Path | None,
        typer.Option("--key", "-k", help="With --file: the recipient's key, else the home's."),
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Verify a receipt: of this council, signed by its log's key, in the log, and what the entry
    there names. With --file: that a file is what was released."""
    shown = ReceiptFile.from_bytes(read_artifact(file))
    if log and charter:
        raise UsageRefused("Give --charter or --log. A charter names its log's key.")
    verified = shown.verify_by_log_key(_log(log)) if log else shown.verify(charter_of(charter))
    found = _held(shown, verified, held, output, key) if held else None
    not_checked = _LOG_ALONE if log else ()
    told = [*_receipt_told(verified), *(f"Not checked: {text}" for text in not_checked)]
    value: dict[str, object] = {
        "digest": verified.digest,
        "receipt": verified.receipt,
        "not_checked": not_checked,
    }
    if found:
        value["file"] = {"output": found[0], "sha256": found[1]}
        told.append(f"{held} is the output {found[0]}, to the byte: SHA-256 {found[1][7:]}.")
    show(value, as_json, lines(told))


def _receipt_told(verified: VerifiedReceipt) -> list[str]:
    said = verified.receipt.predicate
    return [
        (
            f"Receipt {verified.digest} holds: entry {said.entry} of the council "
            f"{said.header.charter}."
        ),
        f"Marks: {' '.join(said.marks) or 'none'}. Evidence: {said.evidence}.",
        (
            f"Proposal {said.proposal}, program {said.program}, approved by "
            f"{', '.join(said.approved_by)}."
        ),
        *explain_charged(said.privacy),
        *(f"Output {name}: object {d.digest}." for name, d in sorted(said.outputs.items())),
    ]


def _held(
    shown: ReceiptFile, verified: VerifiedReceipt, path: Path, output: str, key: Path | None
) -> tuple[str, str]:
    """Which output a file is, and its SHA-256. Raises `FileRefused`, or as `Opening.verify`."""
    key = key or home().key()[0]
    if key is None:
        raise UsageRefused("Only a recipient's key opens what a receipt is about. Give --key.")
    opening = Opening.opened(shown.opening, verified.digest, load_keys(key).hpke)
    try:
        with reading(path) as file:
            return opening.find(file, verified, output)
    except FileRefused:
        if path.suffix not in (".npz", ".safetensors") or not path.is_file():
            raise
        # `placet federation model` writes arrays by name; what was released are their numbers.
        state = load_state(path)
        with BytesIO(model_bytes(flatten(state, layout_of(state)))) as numbers:
            return opening.find(numbers, verified, output)


@command(app)
def update(
    file: Annotated[Path, typer.Argument(help="What `placet federate join --receipts` wrote.")],
    charter: CharterText = "",
    as_json: AsJSON = False,
) -> None:
    """Verify an update's receipt: the log has the update. Nothing in it says what the update
    holds."""
    verified = UpdateReceipt.from_bytes(read_artifact(file)).verify(charter_of(charter))
    said = verified.update
    told = [
        f"Update {verified.digest} is entry {verified.index} of the council {said.header.charter}.",
        f"Sent by {said.client} for round {said.round} of {said.federation}.",
    ]
    show({"digest": verified.digest, "index": verified.index, "update": said}, as_json, lines(told))


@command(app)
def ticket(
    file: Annotated[Path, typer.Argument(help="What `placet ticket --out FILE` wrote.")],
    constitution: ConstitutionFile,
    charter: CharterText = "",
    at: At = "",
    as_json: AsJSON = False,
) -> None:
    """Judge a ticket on paper: signatures, seats, rules, window; not stops, uses or grants.

    A demand that takes what only the log shows is named as not judged.
    """
    bundle = ticket_from_bytes(read_artifact(file))
    document = read_constitution(constitution)
    in_force = InForce(document, _digest_under(document, bundle.proposal), charter_of(charter))
    now = _time(at)
    account = evaluate(bundle, in_force, Times(now, now))
    value = {
        "proposal": account.proposal,
        "valid": not account.refusals,
        "ballots": account.ballots,
        "rules": account.rules,
        "not_judged": account.not_judged,
        "refusals": [{"reason": r.reason, "message": str(r)} for r in account.refusals],
    }
    show(value, as_json, lines(explain_account(account)))
    if account.refusals:
        raise typer.Exit(EXIT_REFUSED)


@command(app)
def evidence(
    file: Annotated[
        Path,
        typer.Argument(
            help="The file that `placet status --evidence FILE` wrote, or evidence alone."
        ),
    ],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="The policy to judge by, as TOML.")
    ] = None,
    constitution: Annotated[
        Path | None, typer.Option("--constitution", help="Or a constitution, whose policy it is.")
    ] = None,
    role: Annotated[
        str, typer.Option("--role", help="Which of its policies: authority or worker.")
    ] = "authority",
    log: LogText = "",
    at: At = "",
    as_json: AsJSON = False,
) -> None:
    """Verify evidence: every check with what was expected and found, and what was not checked."""
    wanted = _policy(policy, constitution, role)
    found = examine_file(read_artifact(file), wanted, now=_time(at), log=log or home().memory().log)
    claims = found.claims
    value = {
        "accepted": found.accepted,
        "log": found.log,
        "kind": claims.kind,
        "measurement": claims.measurement,
        "tcb_status": claims.tcb_status,
        "simulated": claims.kind == "simulation",
        "checks": found.checks,
        "not_checked": found.not_checked,
    }
    show(value, as_json, lambda console: _draw(console, found))
    if not found.accepted:
        raise typer.Exit(EXIT_REFUSED)


@command(app)
def service(
    name: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", help="The digest of its proposal, or enough of its beginning."
        ),
    ],
    as_json: AsJSON = False,
) -> None:
    """Verify a worker that serves, from the log's key down to the key that questions are sealed to:
    every check."""
    with client() as connected:
        id = find_proposal(connected, name)
        try:
            found = connected.services.verify(id)
        except OfferRefused as refused:
            if not as_json:
                Console(stderr=True).print("What had held before:")
                _checks(Console(highlight=False), refused.checks)
            raise
    value = {
        "service": id,
        "lease": found.lease.digest,
        "worker": found.lease.document.worker,
        "offer": found.offer.digest,
        "simulated": found.simulated,
        "checks": found.checks,
    }
    verdict = f"The worker {found.lease.document.worker} serves {id}"
    verdict += ", SIMULATED." if found.simulated else "."

    def text(console: Console) -> None:
        _checks(console, found.checks)
        lines([verdict])(console)

    show(value, as_json, text)


def _checks(console: Console, checks: Sequence[Check]) -> None:
    rows = [("ok" if one.passed else "NO", one.name, one.expected, one.found) for one in checks]
    table(("", "check", "expected", "found"), rows, "")(console)


def _policy(policy: Path | None, constitution: Path | None, role: str) -> Policy:
    if (policy is None) == (constitution is None):
        raise UsageRefused(
            "Say what is wanted: --policy FILE or --constitution FILE, and one of them."
        )
    if policy is not None:
        return Policy.from_dict(load_toml(policy))
    if role not in ("authority", "worker"):
        raise UsageRefused("--role is authority or worker.", claim="role", actual=role)
    evidence = read_constitution(cast("Path", constitution)).evidence
    return Policy.from_dict(evidence.authority if role == "authority" else evidence.worker)


def _draw(console: Console, found: Examination) -> None:
    _checks(console, found.checks)
    verdict = (
        "holds, and is what is wanted" if found.accepted else "is genuine, and NOT what is wanted"
    )
    told = [f"Not checked: {one}" for one in found.not_checked]
    lines([f"The evidence {verdict}.", *told])(console)


def _digest_under(document: Constitution, proposal: bytes) -> str:
    """A constitution's digest; the TOML form has none of its own, so it is refused where the digest
    matters."""
    digest = digest_of(encode(document))
    named = inspect(proposal, Proposal).constitution
    if digest != named:
        raise UsageRefused(
            "The ticket is under another constitution. Name the drafted document (.json) that it "
            "names.",
            claim="constitution",
            expected=named,
            actual=digest,
        )
    return digest


def _log(text: str) -> str:
    try:
        return VerifierKey.from_text(text).to_text()
    except Refusal:
        raise UsageRefused(
            f"{text[:80]!r} is no key of a log. Give <origin>+<key id>+<key>, as a charter names "
            "it.",
            claim="log",
        ) from None


def _time(text: str) -> int:
    return parse_time(text) if text else int(time.time())
