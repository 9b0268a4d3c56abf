# SPDX-License-Identifier: Apache-2.0
"""What a program is given: inputs, outputs, progress; and the sealed bytes behind the inputs."""

import io
import itertools
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.enclave.worker import blobs
from placet.enclave.worker.job import Input, Job
from placet.enclave.worker.objects import Objects
from placet.enclave.worker.program import RisingProgress
from placet.refusals import (
    BlobIncomplete,
    ObjectRootMismatch,
    OutputMissing,
    OutputTooLarge,
    OutputUndeclared,
    SegmentForged,
    StreamLength,
)
from placet.sealing import verify_root
from tests.support.council import seal


def job_of(outputs: dict[str, int]) -> Job:
    return Job({}, {}, outputs, lambda _: None, Path())


def input_of(content: bytes) -> Input:
    return Input(lambda: io.BytesIO(content), len(content), ())


def npy(array: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    np.lib.format.write_array(sink, array, **options)
    return sink.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12, dtype="<i2").reshape(3, 4)),
        np.zeros((0, 3)),
        np.array(7),
        np.array([b"ab", b"c"]),
        np.array([(1, 2.0)], dtype=[("a", "<i4"), ("b", "<f8")]),
        np.array([True, False]),
    ],
    ids=str,
)
def test_arrays_come_as_they_were(array: Any) -> None:
    for version in ((1, 0), (2, 0)):
        found = input_of(npy(array, version=version)).array()
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert found.tobytes() == array.tobytes()
        assert found.flags.writeable


def test_what_is_no_plain_array_is_refused() -> None:
    pickled = npy(np.array([{}], dtype=object), allow_pickle=True)
    whole = npy(np.arange(10.0))
    for content in (pickled, whole[:-1], whole + b"x", b"", b"PK\x03\x04", whole[:20]):
        with pytest.raises((ValueError, EOFError)):
            input_of(content).array()


def test_an_array_cannot_claim_more_than_there_is() -> None:
    huge = npy(np.zeros(1)).replace(b"(1,)", b"(9999999999999,)")
    with pytest.raises(ValueError, match="another length"):
        input_of(huge[:8] + huge[8:]).array()


def test_outputs_are_declared_bounded_and_complete() -> None:
    job = job_of({"a": 4, "b": 0})
    with pytest.raises(OutputUndeclared):
        job.output("c")
    with job.output("a") as sink:
        sink.write(b"abc")
        with pytest.raises(OutputTooLarge):
            sink.write(b"de")
        sink.write(memoryview(b"d"))
    with pytest.raises(OutputMissing):
        job.written()
    job.output("b")
    assert job.written() == {"a": b"abcd", "b": b""}
    again = job.output("a")
    again.write(np.arange(1, dtype="<i4"))
    assert job.written()["a"] == bytes(4)


def test_all_that_was_written_is_wiped() -> None:
    job = job_of({"a": 100})
    first, second = job.output("a"), job.output("a")
    first.write(b"secret")
    second.write(b"secret")
    job.wipe()
    assert first.content == second.content == bytes(6)


@given(st.lists(st.tuples(st.floats(), st.floats(0, 3)), max_size=50))
def test_progress_only_rises_in_whole_percent_once_a_second(
    reports: list[tuple[float, float]],
) -> None:
    now = 0.0
    sent: list[tuple[float, int]] = []
    progress = RisingProgress(lambda percent: sent.append((now, percent)), lambda: now)
    for fraction, wait in reports:
        now += wait
        progress(fraction)
    percents = [percent for _, percent in sent]
    assert percents == sorted(set(percents))
    assert all(type(percent) is int and 0 < percent <= 100 for percent in percents)
    times = [0.0, *(at for at, _ in sent)]
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(times))


def test_progress_from_many_threads_is_still_one_a_second() -> None:
    sent: list[int] = []
    clock = iter([0.0])
    progress = RisingProgress(sent.append, lambda: next(clock, 5.0))
    threads = [threading.Thread(target=progress, args=(n / 20,)) for n in range(1, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == 1
    progress(math.nan)


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _nothing(data: bytes) -> bytes:
    return b""


def _longer(data: bytes) -> bytes:
    return data + b"x"


def _flipped(data: bytes) -> bytes:
    return data[:70_000] + bytes([data[70_000] ^ 1]) + data[70_001:]


def _reordered(data: bytes) -> bytes:
    return data[:65536] + data[131072:196608] + data[65536:131072] + data[196608:]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (None, StreamLength),
        (_cut, StreamLength),
        (_nothing, StreamLength),
        (_longer, StreamLength),
        (_flipped, ObjectRootMismatch),
        (_reordered, ObjectRootMismatch),
    ],
)
def test_a_blob_is_whole_and_in_order_or_refused(
    scene: Any, tmp_path: Path, change: Any, error: Any
) -> None:
    sealed = seal(bytes(250_000))

    async def story(stage: Any) -> None:
        if change is not None:
            stage.host.blobs[sealed.descriptor.id] = change(sealed.data)
        connection = await stage.connect("w")
        with pytest.raises(error):
            await blobs.fetch(connection, sealed.descriptor, tmp_path / "x", lambda: 0.0)
            with (tmp_path / "x").open("rb") as source:
                verify_root(source, sealed.descriptor)

    scene(story, found=False)


def test_a_file_that_changes_after_it_was_checked_is_refused(scene: Any, tmp_path: Path) -> None:
    sealed = seal(b"p" * 250_000)

    async def story(stage: Any) -> None:
        import asyncio

        stage.host.blobs[sealed.descriptor.id] = sealed.data
        connection = await stage.connect("w")
        loop = asyncio.get_running_loop()

        def call(work: Any) -> None:
            asyncio.run_coroutine_threadsafe(work, loop).result(10)

        def bring() -> None:
            objects = Objects(connection, call, tmp_path, lambda: 0.0)
            brought = objects.bring("data", sealed.descriptor, sealed.key)
            assert brought.read() == b"p" * 250_000
            path = tmp_path / "input-data"
            content = bytearray(path.read_bytes())
            content[100_000] ^= 1
            path.write_bytes(content)
            with pytest.raises(SegmentForged):
                brought.read()

        await asyncio.to_thread(bring)

    scene(story, found=False)


def test_an_input_waits_for_room_in_scratch_for_half_of_the_time(
    scene: Any, tmp_path: Path
) -> None:
    sealed, folder = seal(b"plain"), tmp_path / "scratch"

    async def story(stage: Any) -> None:
        import asyncio

        stage.host.blobs[sealed.descriptor.id] = sealed.data
        connection = await stage.connect("w")
        loop = asyncio.get_running_loop()

        def call(work: Any) -> None:
            asyncio.run_coroutine_threadsafe(work, loop).result(30)

        def bring(seconds: float) -> bytes:
            ends = time.monotonic() + seconds
            objects = Objects(connection, call, folder, lambda: ends - time.monotonic())
            return bytes(objects.bring("data", sealed.descriptor, sealed.key).read())

        with pytest.raises(BlobIncomplete) as refusal:
            await asyncio.to_thread(bring, 1.0)
        assert refusal.value.details["actual"] == "ENOENT"
        making = threading.Timer(0.4, folder.mkdir)
        making.start()
        assert await asyncio.to_thread(bring, 20.0) == b"plain"
        making.join()

    scene(story, found=False)


def test_outputs_go_to_scratch_sealed_and_padded(tmp_path: Path) -> None:
    from placet.governance.documents import Output
    from placet.governance.documents.lease import output_id
    from placet.sealing import open_stream, padded_length, unpad_into

    stored: list[Any] = []

    def call(work: Any) -> None:
        stored.append(work)
        work.close()

    objects = Objects(None, call, tmp_path, lambda: 0.0)  # type: ignore[arg-type]  # nothing is sent
    content = {"a": bytearray(b"secret" * 100), "b": bytearray()}
    declared = {"a": Output(200_000), "b": Output(1)}
    key, descriptors = objects.store(content, declared, "owner", "a lease")
    assert len(stored) == 2
    for name, descriptor in descriptors.items():
        assert descriptor.length == padded_length(declared[name].max_bytes)
        assert descriptor.id == output_id("a lease", name, key.commitment)
        sealed = (tmp_path / f"output-{name}").read_bytes()
        assert b"secret" not in sealed
        sink = io.BytesIO()
        with open_stream(io.BytesIO(sealed), key, descriptor, leaf_hashes=None) as reader:
            unpad_into(reader, sink, descriptor.length)
        assert sink.getvalue() == content[name]


def test_an_output_waits_for_room_in_scratch_as_long_as_there_is_time(tmp_path: Path) -> None:
    from placet.governance.documents import Output

    def call(work: Any) -> None:
        work.close()

    def store(seconds: float) -> Any:
        ends = time.monotonic() + seconds
        left = lambda: ends - time.monotonic()
        objects = Objects(None, call, tmp_path / "scratch", left)  # type: ignore[arg-type]
        return objects.store({"a": bytearray(b"done")}, {"a": Output(9)}, "owner", "a lease")

    with pytest.raises(FileNotFoundError):
        store(0.0)
    making = threading.Timer(0.4, (tmp_path / "scratch").mkdir)
    making.start()
    _, descriptors = store(20.0)
    making.join()
    assert descriptors.keys() == {"a"}
    assert (tmp_path / "scratch" / "output-a").stat().st_size > 0
