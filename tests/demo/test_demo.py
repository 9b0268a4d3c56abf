# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end, and what the host is left with: nothing that was sealed, in any form
that we can think of."""

import base64
import contextlib
import os
import re
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from placet.client import CouncilMemory, Keys, SealedObject
from tests.support import demos

ROOT = Path(__file__).resolve().parents[2]
HOSPITALS = ("north", "south", "west")


# In order. A way that is not refused, or for another reason, ends the demo with an error.
REFUSALS = (
    "RULE_NOT_MET",
    "RULE_NOT_MET",
    "VETOED",
    "TICKET_USED_UP",
    "SIGNATURE_INVALID",
    "LAUNCHED_FOR_MISMATCH",
    "OBJECT_ROOT_MISMATCH",
    "GRANT_WITHDRAWN",
    "SIGNATURE_INVALID",
    "USAGE",
    "LOG_TRUNCATED",
    "NOT_FOUNDED",
    "SETTING_MISSING",
    "OTHER_LOG",
    "SIGNATURE_INVALID",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of one whole run, and what it said."""
    folder, said = demos.whole(tmp_path_factory)
    assert said.splitlines()[-1] == "demo: ok"
    return folder / "state", said


@pytest.fixture(scope="module")
def state(ran: tuple[Path, str]) -> Path:
    """The folder alone."""
    return ran[0]


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret as it might be lying about: raw, in hexadecimal, in base64 at each of the three
    alignments."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)
        # Characters that other bytes share with the secret are left out.
        yield text[4 if shift else 0 : len(text) - 4]
        yield base64.urlsafe_b64encode(bytes(shift) + secret)[4 if shift else 0 : len(text) - 4]


def found(folder: Path, secrets: dict[str, bytes]) -> list[str]:
    """Which secrets lie anywhere below the folder, and where."""
    wanted = [(name, form) for name, secret in secrets.items() for form in forms(secret)]
    hits: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            hits += [f"{name} in {path.name}" for name, form in wanted if form in content]
    return hits


def row_secrets(state: Path) -> dict[str, bytes]:
    """Values of patients as float bytes and as text: sixteen bytes and more of neighbours. Of eight
    bytes one form in base64 is four characters long, and chance finds them in a database."""
    secrets: dict[str, bytes] = {}
    for hospital in HOSPITALS:
        rows = np.load(state / hospital / "patients.npy")
        for number in (0, len(rows) // 2, len(rows) - 1):
            values = [float(value) for value in rows[number, 3:7]]
            secrets[f"{hospital} row {number} as float64"] = struct.pack("<2d", *values[:2])
            secrets[f"{hospital} row {number} as float32"] = struct.pack("<4f", *values)
            secrets[f"{hospital} row {number} as text"] = f"{values[0]}, {values[1]}".encode()
    return secrets


def key_secrets(state: Path) -> dict[str, bytes]:
    """Private keys of everybody, the data keys, and what stands for the inside of the processor."""
    secrets = {"cpu": (state / "cpu" / "secret").read_bytes()}
    for path in state.glob("*/*.key"):
        keys = Keys.load(path)
        secrets[f"signing {keys.id}"] = keys.signing.private.private_bytes_raw()  # type: ignore[union-attr]
        secrets[f"hpke {keys.id}"] = keys.hpke.to_bytes()[-32:]
    for hospital in HOSPITALS:
        made = SealedObject.from_bytes((state / hospital / "patients.object.json").read_bytes())
        owner = Keys.load(state / hospital / f"{hospital}-data.key")
        secrets[f"data key {hospital}"] = made.open_key(owner.hpke).to_bytes()
    return secrets


def output_secrets(state: Path) -> dict[str, bytes]:
    """What programs released, which only the analyst may see."""
    model = (state / "analyst" / "result" / "model").read_bytes()
    report = (state / "analyst" / "stolen" / "report").read_bytes()
    return {"model": model[-64:], "model head": model[200:264], "report": report[:64]}


def stored(host: Path) -> dict[str, bytes]:
    """The secrets that a host keeps, as they were wrapped, by their names."""
    with contextlib.closing(sqlite3.connect(host / "placet.db")) as database:
        return dict(database.execute("SELECT name, wrapped FROM secrets"))


def test_each_way_to_cheat_is_refused(ran: tuple[Path, str]) -> None:
    told = re.findall(r"^ ?(\d+)\. .*\n    ([A-Z_]+) ", ran[1], re.MULTILINE)
    assert [(int(number), reason) for number, reason in told] == list(enumerate(REFUSALS, 1))


def test_a_digest_in_full_vetoes_the_proposal_and_not_its_decoy(ran: tuple[Path, str]) -> None:
    assert "    USAGE 2 proposals of the log begin with sha256:" in ran[1]
    assert "… is vetoed, and the decoy is not." in ran[1]


def test_councils_that_an_operator_made_up_are_given_no_key(state: Path) -> None:
    owners = {name: secret for name, secret in key_secrets(state).items() if "data" in name}
    assert len(owners) == 9
    for folder in ("made-up", "second"):
        assert found(state / folder / "host", {**owners, **row_secrets(state)}) == []
    assert stored(state / "made-up" / "host").keys() == {"root"}


def test_the_second_founding_is_of_the_same_authority(state: Path) -> None:
    assert stored(state / "second" / "host")["root"] == stored(state / "host")["root"]
    real, second = (
        CouncilMemory(folder / "analyst" / "memory").log for folder in (state, state / "second")
    )
    assert real and second and real != second


def test_the_host_keeps_nothing_of_what_was_sealed(state: Path) -> None:
    secrets = {**row_secrets(state), **key_secrets(state), **output_secrets(state)}
    assert len(secrets) > 40
    assert found(state / "host", secrets) == []


def test_logs_hold_no_words_of_people(state: Path) -> None:
    logs = state / "host" / "logs"
    assert any(path.stat().st_size for path in logs.iterdir())
    words = {"rationale": b"has read the program", "reason": b"A model to read biopsies by"}
    assert found(logs, words) == []
    # They are in documents, which are for everybody to read.
    assert found(state / "host", {"rationale": base64.b64encode(b"has read the program")[4:-4]})


@pytest.mark.parametrize("form", range(4))
def test_the_search_finds_what_is_there(state: Path, tmp_path: Path, form: int) -> None:
    secrets = {**row_secrets(state), **key_secrets(state)}
    for name, secret in secrets.items():
        planted = list(forms(secret))[form]
        (tmp_path / "planted").write_bytes(os.urandom(5000) + planted + os.urandom(77))
        assert f"{name} in planted" in found(tmp_path, {name: secret})
