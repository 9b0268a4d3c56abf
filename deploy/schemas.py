# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas of all documents and entries, made from the classes that read them:
docs/schemas/*.json.

    python deploy/schemas.py --out docs/schemas

Types, names and choices come from the classes, forms and words from schemas.toml, which has to have
a line for every field. A schema never refuses what the classes take; they check more.
"""

import argparse
import dataclasses
import inspect
import json
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from placet.governance import documents
from placet.governance.codec import MAX_DOCUMENT, MAX_ITEMS, Json
from placet.governance.documents.login import Login
from placet.governance.documents.passes import Pass
from placet.governance.documents.privacy import Cost
from placet.governance.entries.kind import COST, HEXADECIMAL, MEASUREMENT, NAMED
from placet.governance.entries.table import KINDS
from placet.governance.keys import PublicKey

WORDS = tomllib.loads(Path(__file__).with_name("schemas.toml").read_text())
DIALECT = "https://json-schema.org/draft/2020-12/schema"
INTEGER = {"type": "integer", "minimum": -(2**53), "maximum": 2**53}
DIGEST = "^sha256:[0-9a-f]{64}$"
FORMS: dict[str, Json] = {
    "digest": {"pattern": DIGEST},
    "digest or empty": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "identifier": {"pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
    "output": {"pattern": "^[a-z0-9][a-z0-9._-]{0,63}$", "not": {"const": "receipt.json"}},
    "nonce": {"pattern": "^[0-9a-f]{32}$"},
    "object": {"pattern": "^[0-9a-f]{32}$"},
    "hash": {"pattern": "^[0-9a-f]{64}$"},
    "hpke": {"pattern": "^hpke:[A-Za-z0-9_-]+$", "maxLength": 2048},
    "decimal": {"pattern": "^(0|[1-9][0-9]{0,17})(\\.[0-9]{1,18})?(e-?[1-9][0-9]?)?$"},
    "signed": {"pattern": "^-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,18})?(e-?[1-9][0-9]?)?$"},
    "reason": {"pattern": "^[A-Z][A-Z_]{0,63}$"},
    "name": {"minLength": 1, "maxLength": 200},
    "title": {"maxLength": 200},
    "line": {"minLength": 1, "maxLength": 512},
    "text": {"maxLength": 4000},
}
AMOUNT = {"type": "integer", "minimum": 0, "maximum": 2**53}
OWN: dict[Any, Json] = {
    PublicKey: {
        "type": "string",
        "pattern": "^(ed25519|p256):[A-Za-z0-9_-]+$",
        "description": "A public signing key.",
    },
    Cost: {
        "description": "Gaussian, epsilon and delta in their units, or no bound at all.",
        "anyOf": [
            {"const": "unbounded"},
            {"type": "array", "items": AMOUNT, "minItems": 3, "maxItems": 3},
        ],
    },
}
MARKED: dict[str, Json] = {
    NAMED: {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    HEXADECIMAL: {"type": "string", "pattern": "^([0-9a-f]{2})+$"},
    MEASUREMENT: {"type": "string", "pattern": "^([0-9a-f]{64}|[0-9a-f]{96})$"},
    COST: {"$ref": "#/$defs/Cost"},
}


class Schema:
    """One schema in the making: the classes that it needs gather in `$defs`."""

    def __init__(self) -> None:
        self.defs: dict[str, Json] = {}

    def of(self, hint: Any, form: str = "") -> Json:
        """The schema of a type; `form` is the word of schemas.toml."""
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        names, _, values = form.rpartition(">")
        if origin is typing.Annotated:
            return self.of(Cost) if args[1] == COST else MARKED[args[1]]
        if origin is typing.Literal:
            return {"enum": list(args)}
        if origin in (types.UnionType, typing.Union):
            return {"anyOf": [self.of(arg, form) for arg in args]}
        if hint == Json:
            return {"type": "object"}
        if origin in (tuple, list):
            return {"type": "array", "items": self.of(args[0], values), "maxItems": most(args[0])}
        if origin is dict:
            named = {"propertyNames": FORMS[names]} if names else {}
            values_ = self.of(args[1], values)
            return {"type": "object", **named, "additionalProperties": values_,
                    "maxProperties": most(args[1])}  # fmt: skip
        return self._plain(hint, values)

    def _plain(self, hint: Any, form: str) -> Json:
        if hint is str:
            return {"type": "string", **FORMS.get(form, {})}
        if hint is bool:
            return {"type": "boolean"}
        if hint is int:
            return ranged(form)
        if hint is type(None):
            return {"type": "null"}
        if hint.__name__ not in self.defs:
            self.defs[hint.__name__] = {}  # before the fields, which may need it again
            self.defs[hint.__name__] = OWN.get(hint) or self._record(hint)
        return {"$ref": f"#/$defs/{hint.__name__}"}

    def _record(self, cls: Any) -> Json:
        hints, words = typing.get_type_hints(cls), WORDS[cls.__name__]
        fields = [field.name for field in dataclasses.fields(cls)]
        if set(fields) != set(words):
            raise SystemExit(f"schemas.toml: [{cls.__name__}] has to name {', '.join(fields)}.")
        properties = {name: self.described(hints[name], words[name]) for name in fields}
        return {"description": inspect.getdoc(cls), **strict(properties)}

    def described(self, hint: Any, line: str) -> Json:
        """The schema of a field by its line."""
        form, bar, text = line.partition(" | ")
        found = self.of(hint, form if bar else "")
        text = text if bar else line
        return {**found, "description": text} if text else found

    def entry(self, name: str, fields: type) -> Json:
        """The schema of a kind of entry."""
        hints = typing.get_type_hints(fields, include_extras=True)
        properties: dict[str, Json] = {
            "kind": {"const": name},
            "at": {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 2,
                   "description": "at least and at most, Unix seconds"},
        }  # fmt: skip
        words = WORDS["Entry"]
        properties |= {n: {**self.of(h), "description": words[n]} for n, h in hints.items()}
        return strict(properties)


def strict(properties: dict[str, Json]) -> Json:
    """An object with these fields, all of them, and no others."""
    return {"type": "object", "properties": properties, "required": list(properties),
            "additionalProperties": False}  # fmt: skip


def most(hint: Any) -> int:
    """How many of a type stand in one list or table."""
    return int(getattr(hint, "MOST", MAX_ITEMS))


def ranged(form: str) -> Json:
    """An integer; `form` is "low..high", "low.." or "time"."""
    if form == "time":
        return {"type": "integer", "minimum": 0, "maximum": 2**40}
    low, dots, high = form.partition("..")
    if not dots:
        return INTEGER
    return {"type": "integer", "minimum": int(low), "maximum": int(high or 2**53)}


def envelope() -> Json:
    """DSSE as it is used here."""
    signature = strict({"keyid": {"type": "string", "description": "SHA-256 of the signing key's "
                        "text, in hexadecimal"}, "sig": {"type": "string"}})  # fmt: skip
    kinds = "application/vnd.placet.<kind>.v1+json, of a receipt application/vnd.in-toto+json"
    return strict(
        {
            "payload": {"type": "string", "description": "base64 of the document"},
            "payloadType": {"type": "string", "description": kinds},
            "signatures": {"type": "array", "items": signature, "minItems": 1, "maxItems": 64},
        }
    )


def schemas() -> dict[str, Json]:
    """Every schema by its name."""
    listed = (cls for cls in vars(documents).values() if hasattr(cls, "KIND"))
    found: dict[str, Json] = {}
    for cls in (*listed, Login, Pass):
        made = Schema()
        top = made.of(cls)
        found[cls.KIND] = {"title": f"{cls.KIND}: the payload of its envelope", **top,
                           "$defs": made.defs}  # fmt: skip
    made = Schema()
    entries = [made.entry(name, kind.fields) for name, kind in KINDS.items()]
    found["entry"] = {"title": "entry of the log", "oneOf": entries, "$defs": made.defs}
    title = f"DSSE envelope of any document, at most {MAX_DOCUMENT} bytes"
    return {**found, "envelope": {"title": title, **envelope()}}


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        text = json.dumps({"$schema": DIALECT, **schema}, indent=1, ensure_ascii=False)
        (out / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
