# SPDX-License-Identifier: Apache-2.0
"""Checkpoints are remembered, and a log may only grow."""

from pathlib import Path
from typing import Any

import pytest

from placet.client import AnswerMalformed, Client, CouncilMemory, FileRefused, Home
from placet.governance.log import EMPTY_ROOT, Checkpoint, NoteSigner, sign_checkpoint
from placet.proto.v1 import log_pb2
from placet.refusals import LogCheckpointInvalid, LogForked, LogTruncated, OtherLog
from tests.support.inside.hosted import OwnLog
from tests.support.inside.relay import Call

SIGNER = NoteSigner("a.example/log", bytes(32))
LOG = SIGNER.verifier_key.to_text()
CHARTER = "sha256:" + "c4" * 32


def note(size: int, signer: NoteSigner = SIGNER) -> bytes:
    root = bytes([size]) * 32 if size else EMPTY_ROOT
    return sign_checkpoint(Checkpoint(signer.verifier_key.name, size, root), signer)


ENTRIES = [b'{"kind":"%d"}' % number for number in range(6)]


def test_what_is_remembered_outlives_the_object(tmp_path: Path) -> None:
    memory = CouncilMemory(tmp_path / "home")
    assert (memory.charter, memory.log, memory.newest()) == ("", "", None)
    memory.pin(CHARTER)
    memory.learn(LOG)
    assert memory.advance(note(3), ENTRIES[:3])
    memory.keep_document(CHARTER, b"a document")
    again = CouncilMemory(tmp_path / "home")
    newest = again.newest()
    assert (again.charter, again.log) == (CHARTER, LOG)
    assert newest is not None and newest.size == 3
    assert list(again.entries()) == ENTRIES[:3]
    assert again.document(CHARTER) == b"a document"
    assert again.document("../council.json") is None
    for name in ("council.json", "entries.jsonl"):
        assert (tmp_path / "home" / name).stat().st_mode & 0o777 == 0o600


def test_two_processes_do_not_undo_each_other(tmp_path: Path) -> None:
    first = CouncilMemory(tmp_path)
    first.pin(CHARTER)
    first.learn(LOG)
    second = CouncilMemory(tmp_path)
    assert second.advance(note(5), ENTRIES[:5])
    assert not first.advance(note(4), ENTRIES[:4])  # it has to look again before it may
    newest = first.newest()
    assert newest is not None and newest.size == 5
    assert first.advance(note(6), ENTRIES)
    assert list(second.entries()) == ENTRIES


def test_entries_that_were_written_and_not_acknowledged_do_not_count(tmp_path: Path) -> None:
    memory = CouncilMemory(tmp_path)
    memory.pin(CHARTER)
    memory.learn(LOG)
    memory.advance(note(2), ENTRIES[:2])
    with (tmp_path / "entries.jsonl").open("ab") as file:
        file.write(b"another\nhalf a line")  # as a kill leaves it between the two files
    again = CouncilMemory(tmp_path)
    assert list(again.entries()) == ENTRIES[:2]
    assert again.advance(note(4), ENTRIES[:4])
    assert (tmp_path / "entries.jsonl").read_bytes().splitlines() == ENTRIES[:4]


def test_lost_entries_are_read_anew_and_the_checkpoint_stays(
    founded: Client, host: Any, propose: Any, home: Home
) -> None:
    propose()
    for damage in (b"", b'{"kind":"charter"}\n', (home.folder / "entries.jsonl").read_bytes()[:-9]):
        (home.folder / "entries.jsonl").write_bytes(damage)
        with Client.at_home(home) as client:
            assert client.log.checkpoint().size == len(host.entries)
            assert len(client.council.proposals()) == 1


def test_another_council_is_refused(tmp_path: Path) -> None:
    memory = CouncilMemory(tmp_path)
    memory.pin(CHARTER)
    memory.pin(CHARTER)
    with pytest.raises(OtherLog):
        memory.pin("sha256:" + "cd" * 32)
    with pytest.raises(LogCheckpointInvalid):
        memory.learn("no key")


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"charter": "", "log": "x", "checkpoint": "y"}']
)
def test_a_damaged_file_is_not_taken_for_a_new_home(tmp_path: Path, content: str) -> None:
    (tmp_path / "council.json").write_text(content)
    with pytest.raises(FileRefused, match="backup"):
        CouncilMemory(tmp_path)


def test_a_shorter_log_is_refused(founded: Client, host: Any, propose: Any) -> None:
    propose()
    host.show(2)
    with pytest.raises(LogTruncated):
        founded.log.checkpoint()
    with pytest.raises(LogTruncated):
        founded.authority.verify()


def test_a_shorter_log_is_refused_by_the_next_client_of_the_home(
    founded: Client, host: Any, propose: Any, home: Home
) -> None:
    propose()
    host.show(1)
    with Client.at_home(home) as client, pytest.raises(LogTruncated):
        client.log.checkpoint()


def test_another_history_is_refused(founded: Client, host: Any) -> None:
    size, forged = founded.log.checkpoint().size, OwnLog(host.entries)
    for other in (size, size + 1):
        checkpoint = Checkpoint(host.signer.verifier_key.name, other, b"\x07" * 32)
        if other > size:
            forged.append({"kind": "close", "at": [1, 1], "lease": "x", "why": "lost"})
        host.show_log(forged.entries, sign_checkpoint(checkpoint, host.signer))
        with pytest.raises(LogForked):
            founded.log.checkpoint()


def test_another_history_is_refused_where_the_entries_were_lost(
    founded: Client, host: Any, propose: Any, home: Home
) -> None:
    """The checkpoint that was seen stays, and what is read anew has to begin with it."""
    propose()
    (home.folder / "entries.jsonl").unlink()
    forged = OwnLog(host.entries[:2])
    for _ in range(2):  # as long as what was seen, then longer
        entry = {"kind": "proposal", "at": [1, 1], "proposal": "x", "nonce": "y", "proposer": "z"}
        forged.append(entry)
        host.show_log(forged.entries, forged.note(host.signer))
        with Client.at_home(home) as client, pytest.raises(LogForked):
            client.log.checkpoint()


def test_another_key_is_refused(founded: Client, host: Any) -> None:
    other = NoteSigner.generate(host.signer.verifier_key.name)
    host.show_log(host.entries, note(9, other))
    with pytest.raises(LogCheckpointInvalid):
        founded.log.checkpoint()


def test_a_growing_log_is_followed(founded: Client, host: Any, propose: Any) -> None:
    sizes = [founded.log.checkpoint().size]
    for _ in range(3):
        propose()
        sizes.append(founded.log.checkpoint().size)
    assert sizes == [2, 3, 4, 5]


def test_a_host_that_gives_more_than_its_checkpoint_covers_is_cut_off(
    founded: Client, host: Any, home: Home
) -> None:
    """Nor is more kept of its answer than that."""
    given: list[int] = []

    newest, entries = host.note(), host.entries

    async def endless(call: Call) -> Any:
        yield log_pb2.EntriesResponse(checkpoint=newest)
        while True:
            given.append(1)
            yield log_pb2.EntriesResponse(entries=[entries[0]] * 100)

    host.relay.lie("Log.GetEntries", endless)
    (home.folder / "entries.jsonl").unlink()
    with Client.at_home(home) as client, pytest.raises(AnswerMalformed, match="checkpoint covers"):
        client.log.checkpoint()


def test_a_host_that_gives_nothing_is_no_new_log(founded: Client, host: Any) -> None:
    async def nothing(call: Call) -> Any:
        return
        yield

    host.relay.lie("Log.GetEntries", nothing)
    with pytest.raises(LogCheckpointInvalid):
        founded.log.checkpoint()
