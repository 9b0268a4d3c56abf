# SPDX-License-Identifier: Apache-2.0
"""Transfers that break off go on where they stopped."""

import os
from pathlib import Path
from typing import Any

import pytest

from placet.client import AnswerMalformed, Client, FileRefused
from placet.refusals import Refused

MIB = 1 << 20
ID = "ab" * 16


@pytest.fixture
def data() -> bytes:
    """More than a few chunks."""
    return os.urandom(5 * MIB + 123)


def test_a_put_resumes_after_the_connection_broke_off(
    client: Client, host: Any, data: bytes, tmp_path: Path
) -> None:
    source = tmp_path / "data"
    source.write_bytes(data)
    host.break_puts_after = 3 * MIB + MIB // 2
    told: list[tuple[int, int]] = []
    blob = client.blobs.put(ID, source, progress=lambda done, total: told.append((done, total)))
    assert blob.complete
    assert bytes(host.blobs[ID][1]) == data
    assert host.calls == ["Put 0", f"Put {4 * MIB}"]
    assert told[-1] == (len(data), len(data))


def test_a_put_resumes_in_another_client(client: Client, host: Any, data: bytes) -> None:
    host.blobs[ID] = (len(data), bytearray(data[: 2 * MIB]))
    assert client.blobs.put(ID, data).complete
    assert host.calls == [f"Put {2 * MIB}"]
    assert bytes(host.blobs[ID][1]) == data


def test_what_is_there_is_not_sent_again(client: Client, host: Any, data: bytes) -> None:
    client.blobs.put(ID, data)
    assert client.blobs.put(ID, data).complete
    assert host.calls == ["Put 0", f"Put {len(data)}"]


def test_a_get_resumes(client: Client, host: Any, data: bytes, tmp_path: Path) -> None:
    client.blobs.put(ID, data)
    host.break_gets_after = 2 * MIB
    sink = client.blobs.get(ID, tmp_path / "got")
    assert sink.read_bytes() == data
    assert [c for c in host.calls if c.startswith("Get")] == ["Get 0", f"Get {2 * MIB}"]
    assert not (tmp_path / "got.part").exists()


def test_a_get_goes_on_with_what_an_earlier_one_left(
    client: Client, host: Any, data: bytes, tmp_path: Path
) -> None:
    client.blobs.put(ID, data)
    (tmp_path / "got.part").write_bytes(data[:1000])
    assert client.blobs.get(ID, tmp_path / "got").read_bytes() == data
    assert "Get 1000" in host.calls


def test_more_bytes_than_there_may_be_are_not_taken(
    client: Client, host: Any, tmp_path: Path
) -> None:
    true = host.Get

    async def more(request: Any, context: Any) -> Any:
        async for chunk in true(request, context):
            chunk.data += b"x"
            yield chunk

    host.Get = more
    host.blobs[ID] = (10, bytearray(10))
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
