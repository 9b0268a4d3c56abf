# SPDX-License-Identifier: Apache-2.0
"""Checkpoints are remembered, and a log may only grow."""

from pathlib import Path
from typing import Any

import pytest

from placet.client import CheckpointMemory, Client, FileRefused, Home
from placet.governance.errors import OtherLog
from placet.governance.log import (
    EMPTY_ROOT,
    Checkpoint,
    CheckpointInvalidError,
    LogForkedError,
    LogTruncatedError,
    NoteSigner,
    sign_checkpoint,
)

SIGNER = NoteSigner("a.example/log", bytes(32))
LOG = SIGNER.verifier_key.to_text()
CHARTER = "sha256:" + "c4" * 32


def note(size: int, signer: NoteSigner = SIGNER) -> bytes:
    root = bytes([size]) * 32 if size else EMPTY_ROOT
    return sign_checkpoint(Checkpoint(signer.verifier_key.name, size, root), signer)


def test_what_is_remembered_outlives_the_object(tmp_path: Path) -> None:
    path = tmp_path / "home" / "log.json"
    memory = CheckpointMemory(path)
    assert (memory.log, memory.newest()) == ("", None)
    memory.adopt(CHARTER, LOG)
    assert memory.advance(note(3))
    again = CheckpointMemory(path)
    newest = again.newest()
    assert (again.charter, again.log) == (CHARTER, LOG)
    assert newest is not None and newest.size == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_processes_do_not_undo_each_other(tmp_path: Path) -> None:
    first = CheckpointMemory(tmp_path / "log.json")
    first.adopt(CHARTER, LOG)
    second = CheckpointMemory(tmp_path / "log.json")
    assert second.advance(note(5))
    assert not first.advance(note(4))  # it has to look again before it may
    newest = first.newest()
    assert newest is not None and newest.size == 5


def test_another_log_is_refused(tmp_path: Path) -> None:
    memory = CheckpointMemory(tmp_path / "log.json")
    memory.adopt(CHARTER, LOG)
    with pytest.raises(OtherLog):
        memory.adopt(CHARTER, NoteSigner.generate("a.example/log").verifier_key.to_text())
    with pytest.raises(OtherLog):
        memory.adopt("sha256:" + "cd" * 32, LOG)
    memory.adopt(CHARTER, LOG)
    with pytest.raises(CheckpointInvalidError):
        CheckpointMemory().adopt(CHARTER, "no key")


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"charter": "", "log": "x", "checkpoint": "y"}']
)
def test_a_damaged_file_is_not_taken_for_a_new_home(tmp_path: Path, content: str) -> None:
    path = tmp_path / "log.json"
    path.write_text(content)
    with pytest.raises(FileRefused, match="backup"):
        CheckpointMemory(path)


def test_a_shorter_log_is_refused(founded: Client, host: Any, propose: Any) -> None:
    propose()
    host.shown_note = host.note(2)
    with pytest.raises(LogTruncatedError):
        founded.checkpoint()
    with pytest.raises(LogTruncatedError):
        founded.verify_authority()


def test_a_shorter_log_is_refused_by_the_next_client_of_the_home(
    founded: Client, host: Any, propose: Any, home: Home
) -> None:
    propose()
    host.shown_note = host.note(1)
    with Client.at_home(home) as client, pytest.raises(LogTruncatedError):
        client.checkpoint()


def test_another_history_is_refused(founded: Client, host: Any) -> None:
    size = founded.checkpoint().size
    for other in (size, size + 1):
        checkpoint = Checkpoint(host.signer.verifier_key.name, other, b"\x07" * 32)
        host.shown_note = sign_checkpoint(checkpoint, host.signer)
        if other > size:
            host.append_unjudged({"kind": "close", "at": [1, 1], "lease": "x", "why": "lost"})
        with pytest.raises(LogForkedError):
            founded.checkpoint()


def test_another_key_is_refused(founded: Client, host: Any) -> None:
    other = NoteSigner.generate(host.signer.verifier_key.name)
    host.shown_note = note(9, other)
    with pytest.raises(CheckpointInvalidError):
        founded.checkpoint()


def test_a_growing_log_is_followed(founded: Client, host: Any, propose: Any) -> None:
    sizes = [founded.checkpoint().size]
    for _ in range(3):
        propose()
        sizes.append(founded.checkpoint().size)
    assert sizes == [2, 3, 4, 5]
