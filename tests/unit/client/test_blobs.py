# SPDX-License-Identifier: Apache-2.0
"""Transfers that break off go on where they stopped."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from placet.client import AnswerMalformed, Client, FileRefused, Home, HostUnreachable, Keys
from placet.host.blobs.blob_files import PART
from placet.proto.v1 import blobs_pb2
from placet.refusals import BlobDigest, Refused
from tests.support.inside.lies import break_get, break_put
from tests.support.inside.relay import Call

MIB = 1 << 20
ID = "ab" * 16


@pytest.fixture
def data() -> bytes:
    """More than a few chunks, and more than a part."""
    return os.urandom(PART + MIB + 123)


@pytest.fixture(autouse=True)
def council(founded: Client) -> Client:
    """There is one, or else nobody could log in."""
    return founded


def test_a_put_resumes_after_the_connection_broke_off(
    client: Client, host: Any, data: bytes, tmp_path: Path
) -> None:
    source = tmp_path / "data"
    source.write_bytes(data)
    offsets = break_put(host.relay, PART + MIB // 2)
    told: list[tuple[int, int]] = []
    blob = client.blobs.put(ID, source, progress=lambda done, total: told.append((done, total)))
    assert blob.complete
    assert client.blobs.get(ID, tmp_path / "back").read_bytes() == data
    assert offsets == [0, PART]
    assert told[-1] == (len(data), len(data))


def test_a_put_resumes_in_another_client(
    client: Client, host: Any, home: Home, people: dict[str, Keys], data: bytes, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("placet.client.data.puts.TRIES", 1)
    offsets = break_put(host.relay, PART + MIB // 2)
    with (
        Client.at_home(home, keys=people["analyst"]) as other,
        pytest.raises(HostUnreachable),
    ):
        other.blobs.put(ID, data)
    assert client.blobs.put(ID, data).complete
    assert offsets == [0, PART]
    assert client.blobs.get(ID, tmp_path / "back").read_bytes() == data


def test_what_is_there_is_not_sent_again(client: Client, host: Any, data: bytes) -> None:
    sent = look(host.relay)
    client.blobs.put(ID, data)
    assert client.blobs.put(ID, data).complete
    whole = [data[start : start + MIB] for start in range(0, len(data), MIB)]
    assert [message.chunk for message in sent[1:-2]] == whole
    digest = hashlib.sha256(data).digest()
    assert not sent[0].header.sha256  # it is made while the bytes are sent
    assert sent[-2].sha256 == digest
    assert (sent[-1].header.offset, sent[-1].header.sha256) == (len(data), digest)


def look(relay: Any) -> list[Any]:
    """What puts send, from now on."""
    sent = list[Any]()

    async def pass_on(call: Call) -> Any:
        async def all() -> AsyncIterator[Any]:
            async for request in call.requests():
                sent.append(request)
                yield request

        async for answer in call.forward(all()):
            return answer

    relay.lie("Blobs.Put", pass_on)
    return sent


def test_a_put_that_goes_on_with_other_bytes_begins_anew(
    client: Client, host: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = break_put(host.relay, PART + MIB // 2)
    with monkeypatch.context() as patch, pytest.raises(HostUnreachable):
        patch.setattr("placet.client.data.puts.TRIES", 1)
        client.blobs.put(ID, data)
    other = data[::-1]
    assert client.blobs.put(ID, other).complete
    assert offsets == [0, PART, 0]
    with pytest.raises(Refused) as refused:
        client.blobs.put(ID, data)
    assert refused.value.reason == "BLOB_CONFLICT"
    assert offsets[3:] == [len(data)]  # the digest is said first, and nothing sent


def test_a_put_begins_anew_only_once(client: Client, host: Any, data: bytes) -> None:
    offsets = list[int]()

    async def differ(call: Call) -> Any:
        async for request in call.requests():
            if request.HasField("header"):
                offsets.append(request.header.offset)
        raise BlobDigest("Told by a test.")

    async def half(call: Call) -> Any:
        return blobs_pb2.BlobInfo(id=ID, length=len(data), received=PART)

    host.relay.lie("Blobs.Put", differ)
    host.relay.lie("Blobs.Stat", half)
    with pytest.raises(Refused) as refused:
        client.blobs.put(ID, data)
    assert (refused.value.reason, offsets) == ("BLOB_DIGEST", [PART, 0])


def test_a_get_resumes(client: Client, host: Any, data: bytes, tmp_path: Path) -> None:
    client.blobs.put(ID, data)
    offsets = break_get(host.relay, 2 * MIB)
    sink = client.blobs.get(ID, tmp_path / "got")
    assert sink.read_bytes() == data
    assert offsets == [0, 2 * MIB]
    assert not (tmp_path / "got.part").exists()


def test_a_get_goes_on_with_what_an_earlier_one_left(
    client: Client, host: Any, data: bytes, tmp_path: Path
) -> None:
    client.blobs.put(ID, data)
    (tmp_path / "got.part").write_bytes(data[:1000])
    offsets = break_get(host.relay, len(data))
    assert client.blobs.get(ID, tmp_path / "got").read_bytes() == data
    assert offsets == [1000]


def test_more_bytes_than_there_may_be_are_not_taken(
    client: Client, host: Any, tmp_path: Path
) -> None:
    async def more(call: Call) -> Any:
        async for chunk in call.forward():
            chunk.data += b"x"
            yield chunk

    client.blobs.put(ID, bytes(10))
    host.relay.lie("Blobs.Get", more)
    with pytest.raises(AnswerMalformed):
        client.blobs.get(ID, tmp_path / "got", length=5)


def test_a_blob_that_is_not_there(client: Client, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        client.blobs.get(ID, tmp_path / "got")
    assert refused.value.reason == "BLOB_NOT_FOUND"


def test_files_that_cannot_be_read_or_written(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        client.blobs.put(ID, tmp_path / "none")
    with pytest.raises(FileRefused):
        client.blobs.get(ID, tmp_path / "no" / "folder", length=3)
