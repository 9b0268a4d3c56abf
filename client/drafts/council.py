# SPDX-License-Identifier: Apache-2.0
"""Constitutions that a file says the particular things of: for a council on one machine, and for
one whose members are invited by links, before anybody has keys.

The file is as constitution.toml, with less in it. A seat or party may be its id alone: it is of an
organisation of the same name, a seat's role is `member`, and its term lasts ten years from now.
Whoever signs reads all of it in sentences.
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
from placet.governance.keys import SigningKey

Builds = Mapping[str, Mapping[str, str]]
_TEN_YEARS = 10 * 365 * 86400
_FIELDS = ("name", "labels", "organisations", "seats", "parties", "rules", "limits")
_MARK = "SIMULATED: "


def dev_values(path: Path | None) -> Json:
    """What the file says, and for the rest what dev.toml says; seats and parties are tables. Keys
    and evidence do not count. Raises `FileRefused`."""
    values: Json = tomllib.loads(template("dev"))
    if path is not None:
        given = load_toml(path)
        values |= {name: given.pop(name) for name in _FIELDS if name in given}
        for name in ("evidence", "witnesses", "recovery"):
            given.pop(name, None)
        nothing_left(given, path)
    return _with_tables(values, path)


def dev_constitution(
    values: Json, keys: Mapping[str, str], builds: Builds, now: int
) -> Constitution:
    """The constitution of these values: `keys` are texts by id, `builds` the measurements of what
    is installed. Raises `DocumentMalformed` or `ConstitutionInvalid`."""
    name = _MARK + str(values["name"]).removeprefix(_MARK)
    usual = _usual(builds)
    whole = _completed({**usual, **values, "name": name, "evidence": usual["evidence"]}, now)
    return from_plain(Constitution, _keyed(whole, keys))


def invited_values(path: Path, builds: Builds, now: int) -> Json:
    """The fields of a genesis constitution in which nobody has keys yet. Without evidence in the
    file, `builds` are the enclaves that are wanted, simulated.

    Raises `FileRefused`, `DocumentMalformed` or `ConstitutionInvalid`.
    """
    given = _with_tables({"parties": [], **load_toml(path)}, path)
    if not builds and "evidence" not in given:
        raise FileRefused(
            f"{path} has no table `evidence`. Add it, as in the template of placet init, or name a "
            "build of the enclaves (--enclave).",
            claim="evidence",
        )
    whole = _completed({**(_usual(builds) if builds else {}), **given}, now)
    if named := [one["id"] for one in _everybody(whole) if "keys" in one]:
        raise FileRefused(
            f"In {path} keys are listed for {', '.join(named)}. Leave them out: each of the "
            "invited makes keys, and the link brings them here.",
            claim="keys",
        )
    trial = {id: SigningKey.generate().public.text for id in ids_of(whole)}
    from_plain(Constitution, _keyed(whole, trial))
    return whole


def ids_of(values: Json) -> list[str]:
    """The seats, then the parties."""
    return [one["id"] for one in _everybody(values)]


def _everybody(values: Json) -> list[Json]:
    return [*values["seats"], *values["parties"]]


def _usual(builds: Builds) -> Json:
    """Evidence and limits as the template of `placet init` has them."""
    values = tomllib.loads(constitution_template(builds, SIMULATION_SIGNER))
    return {name: values[name] for name in ("evidence", "limits", "witnesses", "recovery")}


def _completed(values: Json, now: int) -> Json:
    """Values with what the file's short forms leave out."""
    term = {"term_start": now - 60, "term_end": now + _TEN_YEARS}
    named = {one["organisation"]: one["organisation"] for one in _everybody(values)}
    named |= {one["id"]: one["name"] for one in values.get("organisations", [])}
    return {
        **values,
        "seats": [{"role": "member", **term, **seat} for seat in values["seats"]],
        "organisations": [{"id": id, "name": name} for id, name in named.items()],
        "nonce": secrets.token_hex(16),
        "version": 1,
        "predecessor": None,
    }


def _keyed(values: Json, keys: Mapping[str, str]) -> Json:
    return {
        **values,
        **{
            kind: [{**one, "keys": [keys[one["id"]]]} for one in values[kind]]
            for kind in ("seats", "parties")
        },
    }


def _with_tables(values: Json, path: Path | None) -> Json:
    tables: Json = {}
    for kind in ("seats", "parties"):
        if not isinstance(values.get(kind), list):
            raise FileRefused(f"In {path} there must be a list of {kind}.", claim=kind)
        tables[kind] = [_table(one, path) for one in cast("list[object]", values[kind])]
    return {**values, **tables}


def _table(one: object, path: Path | None) -> Json:
    if isinstance(one, str):
        return {"id": one, "organisation": one}
    table: Json = dict(cast("Json", one)) if isinstance(one, dict) else {}
    if not isinstance(table.get("id"), str):
        raise FileRefused(f"In {path} a seat or party must be an id, or a table with one.")
    table.setdefault("organisation", table["id"])
    return table
