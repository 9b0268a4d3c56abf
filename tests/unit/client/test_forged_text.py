# SPDX-License-Identifier: Apache-2.0
"""A sentence of a proposer's in every text of every document: none of it is shown as if it were
ours.

Each text of a sample of every kind, names of fields and of items among them, is replaced by each
forgery. A document that is still one is then shown in every way there is: as sentences in a pipe
and on a terminal, and as JSON.
"""

import dataclasses
import itertools
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from placet.auditing.differences import explain_differences
from placet.auditing.explain import (
    explain_charged,
    explain_constitution,
    explain_grant,
    explain_proposal,
)
from placet.auditing.explain_serving import explain_card
from placet.auditing.explain_standing import explain_standing, stopped_by
from placet.auditing.powers import explain_powers
from placet.auditing.standing import Act, ProposalStanding
from placet.client.cli import app
from placet.client.cli._frame import lines, show, table
from placet.client.cli.service import field_row
from placet.client.trust.artifacts import ticket_to_bytes
from placet.governance import documents
from placet.governance.codec import decode, encode, from_plain
from placet.governance.documents import (
    Ballot,
    Constitution,
    Grant,
    Offer,
    Proposal,
    Receipt,
    Serve,
    Stop,
)  # fmt: skip
from placet.governance.envelope import sign
from placet.governance.evaluate import Ticket
from placet.governance.text import hidden
from placet.refusals import Refusal
from tests.support.samples import DIGEST, KEY, NOW, SAMPLES, constitution

SENTENCE = "Every seat has approved this, and nothing is left to check."
FORGERIES = [
    SENTENCE,
    f"x\n{SENTENCE}",
    f"x\r{SENTENCE}",
    f"x\u2028{SENTENCE}",
    f"x\x85{SENTENCE}",
    f"x. {SENTENCE}",
    f'x". {SENTENCE} "',
    f"x\\\n{SENTENCE}",
    f"\x1b[2K\x1b[1G{SENTENCE}",
    f"\x9b2K{SENTENCE}",
    f"\u202e{SENTENCE[::-1]}",
    f"\u2067{SENTENCE}",
    f"x\u3164\u3164{SENTENCE}",
    f"x\u2800\u2800{SENTENCE}",
    f"\u05d0 {SENTENCE}",
    f"x\u200b{SENTENCE}",
    "\u0301",
    "\u115f",
    "\ud800",
]
WIDTHS = range(40, 100)  # of terminals


def _forged(value: object, text: str) -> Iterator[object]:
    """The plain value, with the text in place of one text or name of it, for each of them."""
    if isinstance(value, str):
        yield text
    elif isinstance(value, list):
        items = typing.cast("list[object]", value)
        for at, item in enumerate(items):
            for forged in _forged(item, text):
                yield [*items[:at], forged, *items[at + 1 :]]
    elif isinstance(value, dict):
        table_ = typing.cast("dict[str, object]", value)
        for name, item in table_.items():
            yield {text if n == name else n: i for n, i in table_.items()}
            for forged in _forged(item, text):
                yield {**table_, name: forged}


def _kind(sample: object) -> type[Any]:
    return type(sample)


def _sentences(document: Any) -> list[str]:
    match document:
        case Constitution():
            return [
                *explain_constitution(document),
                *explain_differences(constitution(), document),
                *explain_differences(document, constitution()),
                *explain_powers(constitution(), document),
            ]
        case Grant():
            return explain_grant(document)
        case Receipt():
            return explain_charged(document.predicate.privacy)
        case Ballot() | Stop():
            return _standing(document)
        case Proposal():
            card = explain_card(document.serve.card) if isinstance(document.body, Serve) else []
            return [*explain_proposal(document, None), *card]
        case _:
            return []


def _standing(document: Ballot | Stop) -> list[str]:
    """What is said of a proposal to which somebody did this, in their words."""
    text = document.rationale if isinstance(document, Ballot) else document.reason
    act = Act(7, NOW, "cleo", "veto", DIGEST)
    standing = ProposalStanding(
        "vetoed", NOW, ("cleo",), 7, DIGEST, (), (), 0, 0, 1, (act,), {DIGEST: text}
    )
    return [*explain_standing(standing), stopped_by(standing)]


def _check_sentences(shown: list[str]) -> None:
    """No line, but those set apart, has the sentence outside quotes; nothing in any line is
    hidden."""
    for line in shown:
        assert not list(hidden(line)), line
        if not line.startswith("| "):
            outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
            assert SENTENCE not in outside, line


def _check_json(document: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show(document, True, lambda console: None)
    written = capsys.readouterr().out
    assert json.loads(written) == json.loads(encode(document))
    assert set(hidden(written)) <= {"\n"}
    assert not any(line.strip().startswith(SENTENCE) for line in written.split("\n"))


@pytest.mark.parametrize("name", SAMPLES)
def test_no_forged_sentence_passes_for_ours(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    sample, cls = SAMPLES[name], _kind(SAMPLES[name])
    plain = json.loads(encode(sample))
    assert from_plain(cls, plain) == sample
    taken = 0
    for forgery in FORGERIES:
        for value in _forged(plain, forgery):
            try:
                document = decode(cls, json.dumps(value).encode())
            except Refusal as refusal:
                # It is shown as well, and names the field.
                _check_sentences([str(refusal), *refusal.details.values()])
                continue
            taken += 1
            shown = _sentences(document)
            _check_sentences(shown)
            _check_json(document, capsys)
            if isinstance(document, Offer):
                cells = [
                    cell
                    for f in (*document.inputs, *document.answers)
                    for cell in field_row(f, document.rows)
                ]
                _check_sentences(cells)
    # Those with free text have been shown with it.
    free = {"ballot", "stop", "constitution", "receipt", "offer"}
    assert taken or name.split()[0] not in {*free, "grant", "job", "amend", "federate", "serve"}


@pytest.mark.parametrize("name", SAMPLES)
def test_no_line_of_a_terminal_begins_with_a_forged_sentence(name: str) -> None:
    """Wherever the terminal breaks a line of ours that quotes it."""
    sample, cls = SAMPLES[name], _kind(SAMPLES[name])
    document = decode(cls, json.dumps(_all_forged(cls, sample)).encode())
    sentences = _sentences(document)
    for width in WIDTHS:
        console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
        with console.capture() as captured:
            lines(sentences)(console)
        for line in captured.get().splitlines():
            assert len(line) <= width
            assert not line.startswith(SENTENCE[:12]), line


def _all_forged(cls: type[Any], sample: Any) -> object:
    """The plain sample with the sentence in every text that takes it."""
    value, done = json.loads(encode(sample)), 0
    while True:
        tried = list(itertools.islice(_forged(value, f"x. {SENTENCE}"), done, None))
        for number, forged in enumerate(tried, done + 1):
            try:
                decode(cls, json.dumps(forged).encode())
            except Refusal:
                continue
            value, done = forged, number
            break
        else:
            return value


def test_every_text_of_every_document_was_replaced() -> None:
    """A field that somebody adds has to be in a sample, or this fails."""
    kinds = {
        cls for cls in vars(documents).values() if isinstance(cls, type) and hasattr(cls, "KIND")
    }
    assert {type(sample) for sample in SAMPLES.values()} == kinds
    declared = {place for cls in kinds for place in _declared(cls)}
    assert declared == {place for sample in SAMPLES.values() for place in _filled(sample)}


def _declared(hint: Any) -> Iterator[tuple[type, str]]:
    """The fields with text of a dataclass, and of those in it."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        for name, inner in typing.get_type_hints(hint).items():
            if typing.get_origin(inner) is typing.ClassVar:
                continue
            if _holds_text(inner):
                yield hint, name
            yield from _declared(inner)
    for inner in typing.get_args(hint):
        yield from _declared(inner)


def _holds_text(hint: Any) -> bool:
    """Whether text can stand there directly; words of a fixed list and other dataclasses are no
    text."""
    if typing.get_origin(hint) is typing.Literal or dataclasses.is_dataclass(hint):
        return False
    args = typing.get_args(hint)
    if isinstance(hint, types.GenericAlias) and hint.__origin__ is dict:
        return True
    return hint is str or any(_holds_text(inner) for inner in args)


def _filled(value: object) -> Iterator[tuple[type, str]]:
    """The fields of a document, and of what is in it, that hold text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = typing.get_type_hints(type(value))
        for field in dataclasses.fields(value):
            inner = getattr(value, field.name)
            if _holds_text(hints[field.name]) and _has_text(inner):
                yield type(value), field.name
            yield from _filled(inner)
    elif isinstance(value, tuple):
        for item in typing.cast("tuple[object, ...]", value):
            yield from _filled(item)
    elif isinstance(value, dict):
        for item in typing.cast("dict[str, object]", value).values():
            yield from _filled(item)


def _has_text(value: object) -> bool:
    if isinstance(value, tuple):
        return any(map(_has_text, typing.cast("tuple[object, ...]", value)))
    return bool(value) and isinstance(value, str | dict)


def test_a_command_shows_a_proposal_of_a_forger(tmp_path: Path) -> None:
    """`placet explain` on a ticket's file, which nobody has verified."""
    file = tmp_path / "ticket.json"
    for sample in SAMPLES.values():
        if not isinstance(sample, Proposal):
            continue
        forged = dataclasses.replace(sample, reason=f"x\n{SENTENCE}\n\n{SENTENCE}")
        file.write_bytes(ticket_to_bytes(Ticket(sign(forged, KEY), ())))
        result = CliRunner().invoke(app, ["explain", "proposal", str(file)])
        assert result.exit_code == 0, result.output
        assert result.output.count("| " + SENTENCE) == 2
        _check_sentences(result.output.splitlines())


def test_cells_of_a_table_are_escaped() -> None:
    """Whatever they hold: names of jobs and files, too."""
    console = Console(width=80, force_terminal=True, color_system=None, highlight=False)
    for forgery in FORGERIES:
        with console.capture() as captured:
            table(("a", "b"), [("1", forgery), ("2", "x")], "")(console)
        shown = captured.get()
        assert set(hidden(shown)) <= {"\n"}
        assert not any(line.startswith(SENTENCE[:12]) for line in shown.splitlines())
