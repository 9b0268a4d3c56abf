# SPDX-License-Identifier: Apache-2.0
"""The schemas of documents and entries: they are those of the classes, others' validator takes by
them whatever the classes take, and they refuse what has another form."""

import base64
import copy
import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import jsonschema  # pyright: ignore[reportMissingTypeStubs]
import pytest

from placet.auditing.entry_form import has_form, named_documents
from placet.governance.codec import encode, from_plain
from placet.governance.documents.login import Login
from placet.governance.documents.passes import Pass
from placet.governance.entries.kind import COST, HEXADECIMAL, MEASUREMENT, NAMED
from placet.governance.entries.table import KINDS
from placet.governance.envelope import inspect
from placet.refusals import Refusal
from tests.support.samples import DIGEST, KEY, NOW, SAMPLES

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
TICKETS = sorted((ROOT / "tests" / "conformance" / "ticket").iterdir())
OWN = {
    "login": Login(DIGEST, "cleo", DIGEST, "ab" * 56),
    "pass": Pass(DIGEST, "cleo", KEY.public, ("run",), (DIGEST,), NOW, NOW + 10),
    "pass any": Pass(DIGEST, "cleo", KEY.public, ("put",), "any", NOW, NOW + 10),
}
DOCUMENTS: dict[str, Any] = {**SAMPLES, **OWN}
# Numbers at which some class draws a line, and texts of every form.
NUMBERS = [
    *(-1, 0, 1, 2, 3, 4, 10, 50, 256, 257, 1000, 1001, 4096),
    *(10**6, 2**20, 2**31, 2**40, 2**41, 2**53, True, None),
]
TEXTS = [
    *("", "a", "any", "none", "A", "a b", "a\nb", "1", "1e-6", DIGEST, "0f" * 16, "12" * 32),
    *("receipt.json", "x" * 64, "x" * 65, "x" * 201, "é" * 200, KEY.public.text),
]


def validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    dialect: Any = jsonschema.Draft202012Validator
    dialect.check_schema(schema)
    return dialect(schema)


def kind_of(document: object) -> type[Any]:
    return type(document)


def varied(value: Any) -> Iterator[Any]:
    """The value with another text or number in each place, one at a time."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        for name, item in table.items():
            for other in varied(item):
                yield {**table, name: other}
    elif isinstance(value, list):
        items = cast("list[object]", value)
        yield []
        for at, item in enumerate(items):
            for other in varied(item):
                yield [*items[:at], other, *items[at + 1 :]]
    else:
        yield from NUMBERS if isinstance(value, int) else [*TEXTS, None]


def test_the_schemas_are_those_of_the_classes(tmp_path: Path) -> None:
    """Else run: python deploy/schemas.py --out docs/schemas"""
    script = [sys.executable, str(ROOT / "deploy" / "schemas.py"), "--out", str(tmp_path)]
    subprocess.run(script, check=True)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in SCHEMAS.iterdir()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_the_classes_take_validates(name: str) -> None:
    document = DOCUMENTS[name]
    schema, plain = validator(document.KIND), json.loads(encode(document))
    schema.validate(plain)
    taken = 0
    for other in varied(plain):
        try:
            from_plain(kind_of(document), other)
        except Refusal:
            continue
        taken += 1
        schema.validate(other)
    assert taken


@pytest.mark.parametrize("name", DOCUMENTS)
def test_missing_unknown_and_mistyped_fields_are_refused(name: str) -> None:
    document = DOCUMENTS[name]
    schema, plain = validator(document.KIND), json.loads(encode(document))
    assert not schema.is_valid({**plain, "more": 1})
    for field in plain:
        assert not schema.is_valid({n: item for n, item in plain.items() if n != field})
        assert not schema.is_valid({**plain, field: 1.5})
        if isinstance(plain[field], str) and plain[field].startswith("sha256:"):
            assert not schema.is_valid({**plain, field: plain[field].upper()})


@pytest.mark.parametrize("folder", TICKETS, ids=lambda path: path.name)
def test_the_conformance_vectors_validate(folder: Path) -> None:
    """Each document that can be read; whether it counts is for the rules to say."""
    bundle = json.loads((folder / "ticket.json").read_text())
    envelopes = {"constitution": [json.loads((folder / "constitution.json").read_text())],
                 "proposal": [bundle["proposal"]], "ballot": bundle["ballots"]}  # fmt: skip
    checked = 0
    for kind, listed in envelopes.items():
        for envelope in listed:
            validator("envelope").validate(envelope)
            try:
                inspect(json.dumps(envelope).encode(), kind_of(SAMPLES.get(kind, SAMPLES["job"])))
            except Refusal:
                continue
            validator(kind).validate(json.loads(base64.b64decode(envelope["payload"])))
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_entries(kind: str) -> None:
    schema, entry = validator("entry"), entry_of(kind)
    assert has_form(entry)
    schema.validate(entry)
    for other in filter(has_form, varied(entry)):
        # The form takes any text for a digest; the judgement, made again, does not.
        digests = all(re.fullmatch(r"sha256:[0-9a-f]{64}", d) for d in named_documents(other))
        if other["kind"] == kind and digests:
            schema.validate(other)
    for wrong in ({**entry, "more": 1}, {**entry, "at": [1]}, {**entry, "kind": "unknown"}):
        assert not has_form(wrong)
        assert not schema.is_valid(wrong)
    for name in entry:
        less = copy.deepcopy(entry)
        del less[name]
        assert not schema.is_valid(less)


def entry_of(kind: str) -> dict[str, Any]:
    hints = typing.get_type_hints(KINDS[kind].fields, include_extras=True)
    fields = {name: example(hint) for name, hint in hints.items()}
    return {"kind": kind, "at": [NOW, NOW], **fields}


def example(hint: Any) -> Any:
    """A value of a type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        marked = {NAMED: DIGEST, HEXADECIMAL: "0f" * 16, MEASUREMENT: "12" * 32, COST: [1, 2, 3]}
        return marked[args[1]]
    if origin is typing.Literal:
        return args[0]
    if origin is list:
        return [example(args[0])]
    if origin is dict:
        return {"owner": example(args[1])}
    return {str: "word", int: 1}[hint]
