# SPDX-License-Identifier: Apache-2.0
"""Files and arguments that hold what no text holds: a typed refusal each, and never a traceback.

Half of a surrogate pair comes out of JSON (`"\\ud800"`), and out of arguments that are no UTF-8; a
NUL out of TOML.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from typer.testing import CliRunner

import placet.client
from placet.client import Client, EvidenceFile, Keys, ReceiptFile
from placet.client.cli import app
from placet.client.council.charters import CharterDraft
from placet.client.data.objects import SealedObject, seal_file
from placet.client.errors import FileRefused, PassphraseWrong
from placet.client.federations.receipts import UpdateReceipt
from placet.client.keys import PublicKeys
from placet.client.services.files import load_rows
from placet.client.trust.artifacts import ticket_from_bytes, ticket_to_bytes
from placet.governance.codec import encode
from placet.governance.documents import Charter, Constitution, Proposal
from placet.governance.documents.serving import Field
from placet.governance.envelope import digest_of, inspect, parse_envelope

DIGEST = "sha256:" + "12" * 32
JUNK = [
    b"",
    b"\xff",
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":"\\ud800"}',
    b'{"\\udfff":1}',
    b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":1e999}',
    b'{"a":NaN}',
]


def read(reader: Callable[[], object]) -> bool:
    """Whether it was read; raises whatever is no refusal."""
    try:
        reader()
    except Exception as error:
        if not (hasattr(error, "reason") and hasattr(error, "details")):
            raise
        str(error).encode()
        return False
    return True


def with_text(value: object, text: str) -> Iterator[object]:
    """The JSON value with the text in place of each text and name of it."""
    if isinstance(value, str):
        yield text
    elif isinstance(value, list):
        items = cast("list[object]", value)
        for at, item in enumerate(items):
            for changed in with_text(item, text):
                yield [*items[:at], changed, *items[at + 1 :]]
    elif isinstance(value, dict):
        table = cast("dict[str, object]", value)
        for name, item in table.items():
            yield {text if n == name else n: i for n, i in table.items()}
            for changed in with_text(item, text):
                yield {**table, name: changed}


@pytest.fixture
def files(
    founded: Client,
    constitution: Constitution,
    propose: Any,
    people: dict[str, Keys],
    tmp_path: Path,
) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """By kind: a good file, and what reads it."""
    key, rows = tmp_path / "a.key", tmp_path / "rows"
    people["alice"].save(key)
    rows.write_bytes(b"rows")
    sealed = seal_file(rows, tmp_path / "s", people["alice"].hpke.public, kind="dataset", labels=())
    ticket = founded.council.ticket(propose())
    charter = Charter.new(founded.log.key, digest_of(CharterDraft.payload_of(constitution)))
    draft = CharterDraft.make(constitution, charter)

    def keys(data: bytes) -> Keys:
        key.write_bytes(data)
        return Keys.load(key)

    def shown(data: bytes) -> object:
        return ticket_to_bytes(ticket_from_bytes(data))

    receipt = json.loads(ticket.proposal)
    rest = {"charter": receipt, "entry": "{}", "proof": "x"}
    return {
        "key": (key.read_bytes(), keys),
        "public keys": (people["alice"].public.to_bytes(), PublicKeys.from_bytes),
        "object": (sealed.to_bytes(), SealedObject.from_bytes),
        "ticket": (ticket_to_bytes(ticket), shown),
        "charter draft": (draft.to_bytes(), lambda data: CharterDraft.from_bytes(data).missing()),
        "evidence": (founded.authority.evidence().to_bytes(), EvidenceFile.from_bytes),
        "receipt": (
            encode({"constitutions": [receipt], "receipt": receipt, **rest}),
            lambda data: ReceiptFile.from_bytes(data).verify(DIGEST),
        ),
        "update": (
            encode({"update": receipt, **rest}),
            lambda data: UpdateReceipt.from_bytes(data).verify(DIGEST),
        ),
    }


def test_files_with_what_no_text_holds_are_refused(files: Any) -> None:
    for data, reader in files.values():
        for junk in JUNK:
            assert not read(lambda reader=reader, junk=junk: reader(junk))  # type: ignore[misc]
        value = json.loads(data)
        for text in ("\ud800", "\udcff", "\x00"):
            for changed in with_text(value, text):
                written = json.dumps(changed).encode()
                read(lambda reader=reader, written=written: reader(written))  # type: ignore[misc]
        read(lambda reader=reader, data=data: reader(data))  # type: ignore[misc]


def test_payloads_with_what_no_text_holds_are_refused(
    founded: Client, propose: Any, files: Any
) -> None:
    """The document in an envelope is JSON as well."""
    envelope = json.loads(founded.council.find(propose()).proposal.envelope)
    payload = json.loads(base64.b64decode(envelope["payload"]))
    for changed in with_text(payload, "\ud800"):
        inner = base64.b64encode(json.dumps(changed).encode()).decode()
        data = json.dumps({**envelope, "payload": inner}).encode()
        assert not read(lambda data=data: inspect(data, Proposal))  # type: ignore[misc]
        assert parse_envelope(data).payload


INPUTS = [Field("rows", "float32", (0, 2))]


@pytest.mark.parametrize("format", ["csv", "json", "npy", "npz"])
@pytest.mark.parametrize(
    "data", [*JUNK, b'"' + b"1" * 200_000, b"1,\x002\n", b"a\r\r\nb", b"1,\xef\xbf\xbd\n"]
)
def test_rows_that_are_none_are_refused(tmp_path: Path, format: Any, data: bytes) -> None:
    path = tmp_path / "rows"
    path.write_bytes(data)
    try:
        found: Any = load_rows(path, format, INPUTS)
    except FileRefused:
        return
    # What is no array of the model's is refused where it is asked about.
    assert isinstance(found, dict | np.ndarray)


TOML = [
    b"\xff",
    b"a = " + b"[" * 100_000,
    b"a = " + b"9" * 5000,
    b'program = "a\\u0000b"\n',
    b'object = "a\\u0000b"\n',
    b'purpose = "x\\u001b[2K"\nprogram = "p"\n',
    b'[model]\nobject = "a\\u0000b"\n',
    b"when = 0001-01-01T00:00:00+14:00\n",
]


@pytest.mark.parametrize("data", TOML)
@pytest.mark.parametrize(
    "command",
    [
        ["constitution", "draft"],
        ["constitution", "show"],
        ["terms"],
        ["propose", "--key", "a.key"],
        ["grant", "--key", "a.key", "-o", "g.json"],
    ],
)
def test_drafts_that_are_none_are_refused(
    tmp_path: Path,
    people: dict[str, Keys],
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    command: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    people["alice"].save(tmp_path / "a.key")
    for action in (b"", b'action = "federate"\n', b'action = "serve"\n'):
        Path("draft.toml").write_bytes(action + data)
        given = ["--home", str(tmp_path / "home"), *command, "draft.toml"]
        result = CliRunner().invoke(app, given)
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code in (1, 2)


ARGUMENTS: list[list[str | bytes]] = [
    ["watch", b"\xff"],
    ["explain", "proposal", b"\xff"],
    ["explain", "refusal", b"\xff"],
    ["explain", "rule", b"\xff", "--constitution", b"\xff.toml"],
    ["vote", b"\xff", "placet", "--key", b"\xff.key"],
    ["constitution", "draft", b"\xff.toml"],
    ["verify", "receipt", b"\xff", "--log", b"\xff"],
    ["keygen", b"\xff"],
    ["init", "--host", b"\xff:1"],
    ["init", "--host", b"\xff:1", "--pin", "x"],
    ["seal", b"\xff", "--owner", b"\xff.pub.json"],
    ["run", b"\xff", "--local", "--parameter", b"x=\xff"],
    ["delete", b"\xff", "--key", b"\xff.key"],
    ["grant", b"\xff.toml", "--key", b"\xff.key", "-o", b"\xff"],
    ["predict", b"\xff", "-i", b"\xff.csv", "-o", "x.csv", "--token", b"\xff"],
]


def test_arguments_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """One interpreter for all of them: it gets them as the system gives them, and what it writes is
    UTF-8."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom placet.client.cli import app\n"
        "for line in sys.argv[1].split('|'):\n"
        "    result = CliRunner().invoke(app, line.split(' '))\n"
        "    print(repr(result.exception), result.exit_code, ascii(result.output))\n"
    )
    line = b"|".join(b" ".join(os.fsencode(one) for one in arguments) for arguments in ARGUMENTS)
    environment = {**os.environ, "PLACET_HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", code, line],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    told = done.stdout.decode().splitlines()
    assert len(told) == len(ARGUMENTS)
    for one in told:
        assert one.startswith(("SystemExit(1)", "SystemExit(2)")), one
        assert "Traceback" not in one


def test_a_path_that_is_no_text_is_shown_and_used(tmp_path: Path) -> None:
    """Any path may be used; one that cannot be shown is escaped."""
    command: list[str | bytes] = [
        sys.executable,
        "-m",
        placet.client.__name__,
        "keygen",
        "alice",
        "-o",
        b"\xff\x1b[2K.key",
    ]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"\\udcff\\u001b[2K.key" in done.stdout
    assert b"\x1b" not in done.stdout


def test_a_passphrase_that_is_no_text_is_refused(people: dict[str, Keys], tmp_path: Path) -> None:
    with pytest.raises(PassphraseWrong, match="UTF-8"):
        people["alice"].save(tmp_path / "a.key", "\udcff")
