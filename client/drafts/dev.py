# SPDX-License-Identifier: Apache-2.0
"""The constitution of a council on one machine: what a file says of it, and all else made up.

Whoever has a constitution.toml can play it through: keys are made here, and the enclaves wanted are
the simulated ones of this installation, whatever the file says.
"""

import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from placet.attestation import SIMULATION_SIGNER
from placet.client.drafts.templates import constitution_template, template
from placet.client.drafts.toml import load_toml, nothing_left
from placet.client.errors import FileRefused
from placet.governance.codec import Json, from_plain
from placet.governance.documents import Constitution

_TEN_YEARS = 10 * 365 * 86400
_FIELDS = ("name", "labels", "organisations", "seats", "parties", "rules", "limits")
_MARK = "SIMULATED: "
_MEMBER: Json = {"role": "member"}


def dev_values(path: Path | None) -> Json:
    """What the file says, and for the rest what dev.toml says; seats and parties are tables.
    Raises `FileRefused`."""
    values: Json = tomllib.loads(template("dev"))
    if path is not None:
        given = load_toml(path)
        values |= {name: given.pop(name) for name in _FIELDS if name in given}
        for name in ("evidence", "witnesses", "recovery"):
            given.pop(name, None)
        nothing_left(given, path)
    for kind in ("seats", "parties"):
        values[kind] = [_table(one, path) for one in cast("list[object]", values[kind])]
    return values


def dev_constitution(
    values: Json, keys: Mapping[str, str], builds: Mapping[str, Mapping[str, str]], now: int
) -> Constitution:
    """The constitution of these values: `keys` are texts by id, `builds` the measurements of what
    is installed. Raises `DocumentMalformed` or `ConstitutionInvalid`."""
    usual = tomllib.loads(constitution_template(builds, SIMULATION_SIGNER))
    term = {"term_start": now - 60, "term_end": now + _TEN_YEARS}
    seats = [{**_MEMBER, **term, **seat, "keys": [keys[seat["id"]]]} for seat in values["seats"]]
    parties = [{**party, "keys": [keys[party["id"]]]} for party in values["parties"]]
    named = {one["organisation"]: one["organisation"] for one in (*seats, *parties)}
    named |= {one["id"]: one["name"] for one in values.get("organisations", [])}
    return from_plain(
        Constitution,
        {
            "limits": usual["limits"],
            **values,
            "name": _MARK + str(values["name"]).removeprefix(_MARK),
            "organisations": [{"id": id, "name": name} for id, name in named.items()],
            "seats": seats,
            "parties": parties,
            "evidence": usual["evidence"],
            "nonce": secrets.token_hex(16),
            "version": 1,
            "predecessor": None,
            "witnesses": "none",
            "recovery": "none",
        },
    )


def ids_of(values: Json) -> list[str]:
    """The seats, then the parties."""
    return [one["id"] for one in (*values["seats"], *values["parties"])]


def _table(one: object, path: Path | None) -> Json:
    if isinstance(one, str):
        return {"id": one, "organisation": one}
    table: Json = dict(cast("Json", one)) if isinstance(one, dict) else {}
    if not isinstance(table.get("id"), str):
        raise FileRefused(f"In {path} a seat or party must be an id, or a table with one.")
    table.setdefault("organisation", table["id"])
    return table
