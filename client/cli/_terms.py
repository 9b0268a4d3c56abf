# SPDX-License-Identifier: Apache-2.0
"""The terms of a grant from flags. Every term has to be given: nothing is unrestricted by being
left out."""

from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from placet.client.data.grants import GrantTerms
from placet.client.drafts.toml import PUBLIC_SUFFIX, KeyOf, hpke_key
from placet.client.errors import UsageRefused
from placet.client.jobs.bundles import build_bundle
from placet.governance.codec import Json, from_plain

Purposes = Annotated[list[str] | None, typer.Option(help='A purpose, or "any".')]
Programs = Annotated[list[str] | None, typer.Option(help='Digest, folder, or "any".')]
Parameters = Annotated[
    list[str] | None, typer.Option(help='NAME=VALUE, NAME=LOW..HIGH, "none" or "any".')
]
Recipients = Annotated[
    list[str] | None, typer.Option(help='.pub.json, key, the id of a member, or "any".')
]
CombineWith = Annotated[list[str] | None, typer.Option(help='An owner, "none" or "any".')]
HowMany = Annotated[str, typer.Option(help='How many jobs, or "any".')]
Until = Annotated[str, typer.Option(help="ISO 8601, as 2027-01-31T12:00:00Z.")]
Cost = Annotated[str, typer.Option(help='"any", "none" or EPSILON,DELTA.')]
Witnesses = Annotated[str, typer.Option(help='"any" or "demanded".')]
Approvals = Annotated[list[str] | None, typer.Option(help="A seat that must approve.")]

ANY = "any"
NONE = "none"
_DIGITS = 20  # more than any whole number in a document has


@dataclass(frozen=True, slots=True)
class GrantFlags:
    """The flags as they were given; None or empty where one was not."""

    purpose: list[str] | None
    program: list[str] | None
    parameter: list[str] | None
    recipient: list[str] | None
    combine_with: list[str] | None
    approval: list[str] | None
    uses: str
    expires: str
    privacy: str
    witnesses: str


def check_given(flags: GrantFlags) -> None:
    """Every term is said. Raises `UsageRefused`."""
    optional = ("approval",)
    missing = [
        "--" + field.name.replace("_", "-")
        for field in fields(flags)
        if field.name not in optional and not getattr(flags, field.name)
    ]
    if missing:
        raise UsageRefused(
            f'Give these too, or "any" where one is not to restrict: {", ".join(missing)}.'
        )


def terms_from_flags(flags: GrantFlags, key_of: KeyOf) -> GrantTerms:
    """The terms; `key_of` gives the HPKE key of a member by its id. Raises `UsageRefused` or
    `DocumentMalformed`."""
    check_given(flags)
    values: Json = {
        "purposes": _listed(flags.purpose),
        "programs": _listed([_program(one) for one in flags.program or []]),
        "parameters": _parameters(flags.parameter or []),
        "recipients": _listed([_recipient(one, key_of) for one in flags.recipient or []]),
        "combine_with": [] if flags.combine_with == [NONE] else _listed(flags.combine_with),
        "evidence": None,
        "witnesses": flags.witnesses,
        "approvals": list(flags.approval or []),
        "privacy": _privacy(flags.privacy),
        "uses": parse_scalar(flags.uses),
        "expires": parse_time(flags.expires),
        "recoverable": False,
    }
    return from_plain(GrantTerms, values)


def parse_time(text: str) -> int:
    """Unix seconds of an ISO 8601 time with an offset. Raises `UsageRefused`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageRefused(f"{text!r} is no time with date and offset, as 2027-01-31T12:00:00Z.")
    return int(found.timestamp())


def parse_scalar(text: str) -> str | int | bool:
    """A parameter's value: a whole number, true, false, or else text."""
    if text in ("true", "false"):
        return text == "true"
    whole = len(text) < _DIGITS and text.isascii() and text.removeprefix("-").isdecimal()
    return int(text) if whole else text


def _listed(values: list[str] | None) -> Any:
    return ANY if values == [ANY] else values


def _privacy(text: str) -> Any:
    """A budget as EPSILON,DELTA; or a word."""
    epsilon, comma, delta = text.partition(",")
    return {"epsilon": epsilon, "delta": delta} if comma else text


def _recipient(text: str, key_of: KeyOf) -> str:
    is_key = text == ANY or ":" in text or text.endswith(PUBLIC_SUFFIX)
    return hpke_key(text, Path()) if is_key else key_of(text)


def _program(text: str) -> str:
    return text if text == ANY or text.startswith("sha256:") else build_bundle(Path(text)).digest


def _parameters(texts: list[str]) -> Any:
    if texts == [ANY]:
        return ANY
    if texts == [NONE]:
        return {}
    found: Json = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageRefused(f"{text!r} is not NAME=VALUE or NAME=LOW..HIGH.")
        low, dots, high = value.partition("..")
        bounds = parse_scalar(low), parse_scalar(high)
        if dots and all(type(bound) is int for bound in bounds):
            found[name] = {"low": bounds[0], "high": bounds[1]}
        else:
            found[name] = {"exactly": parse_scalar(value)}
    return found
