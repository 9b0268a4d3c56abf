# SPDX-License-Identifier: Apache-2.0
"""What a host writes into its answers: nothing of it moves a terminal's cursor, and no name of its
is a sentence."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

import placet.client
from placet.client import Home, Keys
from placet.client.connection.told import refused, refused_of
from placet.client.data.blobs import Blob
from placet.client.errors import AnswerMalformed
from placet.client.runs.status import RunStatus
from placet.governance.text import hidden
from placet.proto.v1 import (
    blobs_pb2,
    common_pb2,
    runs_pb2,
)
from placet.refusals import NotPermitted, Refusal, Refused
from tests.support.inside.relay import Call

DIGEST = "sha256:" + "5f" * 32
SENTENCE = "Recorded as entry 41: from here on nothing of 5f5f5f5f5f5f happens."
EVIL = (
    "x\x1b[1;1H\x1b[0J" + SENTENCE + "\x1b[8m",
    "x\n" + SENTENCE,
    "x\r\x9b2K" + SENTENCE,
    "x\u202e\u2066" + SENTENCE,
    "x\u3164\u2028" + SENTENCE,
)


@pytest.mark.parametrize("text", EVIL)
def test_a_refusal_does_not_rewrite_a_terminal(
    propose: Callable[[], str], home: Home, host: Any, people: dict[str, Keys], tmp_path: Path,
    text: str,
) -> None:  # fmt: skip
    """The command, as a member runs it: a veto that was refused does not look recorded."""

    async def stop(call: Call) -> Any:
        error = NotPermitted(text)
        error.details = {name: text for name in ("expected", "actual", "remedy", "message")}
        raise error

    host.relay.lie("Governance.Stop", stop)
    people["alice"].save(tmp_path / "alice.key")
    screen = _screen("veto", propose(), "--key", str(tmp_path / "alice.key"), "--yes", home=home)
    assert "Refused: NOT_PERMITTED." in screen
    assert set(hidden(screen)) <= {"\r", "\n"}
    lines = [line for line in screen.splitlines() if "Recorded" in line]
    assert lines and all(line.startswith("| ") for line in lines)


def _screen(*arguments: str, home: Home) -> str:
    """All that the command writes to a terminal."""
    main, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "PLACET_HOME": str(home.folder)}
    command = [sys.executable, "-m", placet.client.__name__, *arguments]
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    ) as process:
        os.close(terminal)
        written = b""
        while True:
            try:
                written += (part := os.read(main, 4096))
            except OSError:  # how a terminal ends
                break
            if not part:
                break
    os.close(main)
    assert process.returncode == 1
    return written.decode()


@pytest.mark.parametrize("text", EVIL)
def test_a_refusal_holds_one_line_of_words_and_a_known_reason(text: str) -> None:
    wire = common_pb2.Refusal(
        reason=common_pb2.REASON_QUEUE_FULL, message=text, details={"actual": text, text: "x"}
    )
    for found in (refused_of(wire), refused(text, text, {"claim": text, "self": text})):
        assert isinstance(found, Refused)
        for shown in (found.reason, str(found), *found.details, *found.details.values()):
            assert not list(hidden(shown))
    assert refused("QUEUE_FULL. " + SENTENCE, "x", {}).reason == "INTERNAL"
    assert len(str(refused("QUEUE_FULL", "x" * 100_000, {}))) == 2000


def run(id: str, state: runs_pb2.RunState.ValueType, **work: Any) -> runs_pb2.Run:
    return runs_pb2.Run(id=id, proposal=DIGEST, state=state, **work)


ANSWERS: list[tuple[Any, Message]] = [
    (RunStatus, run("job-1", runs_pb2.RUN_STATE_QUEUED, job=runs_pb2.Job())),
    (RunStatus, run(DIGEST, runs_pb2.RUN_STATE_QUEUED, service=runs_pb2.Service())),
    (Blob, blobs_pb2.BlobInfo(id="0f" * 16)),
    (RunStatus, run(DIGEST, runs_pb2.RUN_STATE_RUNNING, federation=runs_pb2.Federation())),
]


@pytest.mark.parametrize(("record", "answer"), ANSWERS)
@pytest.mark.parametrize("text", [*EVIL, "x. " + SENTENCE])
def test_no_text_of_an_answer_becomes_a_sentence(record: Any, answer: Message, text: str) -> None:
    """Each text of each answer that becomes a record, also in what is inside it, whoever adds
    one."""
    record.from_wire(answer)
    texts = 0
    for evil in _with(answer, text):
        texts += 1
        try:
            found = record.from_wire(evil)
        except AnswerMalformed as error:
            assert SENTENCE not in str(error)
            continue
        # A refusal alone has words, and they are set apart where they are shown.
        assert re.search("Refused|INTERNAL", repr(found)), found
        told: Refusal = found.refusal
        assert not any(list(hidden(one)) for one in (str(told), *told.details.values()))
    assert texts


def _with(message: Any, text: str) -> list[Any]:
    """Copies of the message, each with the text in one field."""
    found: list[Any] = []
    for field in message.DESCRIPTOR.fields:
        inner, copy = field.message_type, type(message)()
        copy.CopyFrom(message)
        target = getattr(copy, field.name)
        if inner is not None and inner.GetOptions().map_entry:
            target["client-1"] = text
            other = type(message)()
            other.CopyFrom(message)
            getattr(other, field.name)[text] = "NORM_EXCEEDED"
            found += [copy, other]
        elif inner is not None and field.is_repeated:
            for one in _with(target.add(), text):
                whole = type(message)()
                whole.CopyFrom(message)
                getattr(whole, field.name).append(one)
                found.append(whole)
        elif inner is not None:
            for one in _with(target, text):
                whole = type(message)()
                whole.CopyFrom(message)
                getattr(whole, field.name).CopyFrom(one)
                found.append(whole)
        elif field.type == field.TYPE_STRING:
            setattr(copy, field.name, text)
            found.append(copy)
    return found
