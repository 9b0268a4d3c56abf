# SPDX-License-Identifier: Apache-2.0
"""Metrics: what they say of calls, work, enclaves and space, where they are served, and that nobody
is named."""

import asyncio
import re
from pathlib import Path
from typing import Any, cast

import pytest

from placet.host import HostConfig
from placet.host.callers.caller import Caller, Role, calling
from placet.host.seen.metrics import Metrics
from placet.host.space import space
from placet.proto.limits import ASK_KEY, RELEASE_KEY, TIME_KEY
from placet.proto.v1 import log_pb2, runs_pb2

ANY = {"metrics": "127.0.0.1:0"}
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class Untold:
    """The context of a call that nothing is said of."""

    def trailing_metadata(self) -> None:
        return None


async def scrape(address: str, request: str = "GET /metrics HTTP/1.1") -> str:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{request}\r\nHost: {host}\r\n\r\n".encode())
    try:
        return (await reader.read()).decode()
    except ConnectionResetError:
        return ""  # it was closed before the request was read
    finally:
        writer.close()


async def figures(address: str) -> dict[str, float]:
    """Each sample by its name and labels."""
    text = await scrape(address)
    return {f"{name}{{{labels}}}": float(value) for name, labels, value in SAMPLE.findall(text)}


def test_calls_and_refusals_are_counted(world: Any, run: Any, refused: Any) -> None:
    async def body() -> None:
        async with world.host(**ANY) as (host, client):
            request = log_pb2.GetCheckpointRequest()
            for _ in range(3):
                await client.log.GetCheckpoint(request, metadata=world.metadata)
            get = runs_pb2.GetRunRequest(id="nobody")
            await refused(client.runs.Get(get, metadata=world.metadata), "RUN_NOT_FOUND")
            await refused(client.runs.Get(get), "WIRE_VERSION")
            watch = runs_pb2.WatchRequest(id="nobody")
            await refused(client.runs.Watch(watch, metadata=world.metadata), "RUN_NOT_FOUND")
            found = await figures(host.metrics)
            calls = 'placet_calls_total{code="OK",method="Log/GetCheckpoint",role="principal"}'
            assert found[calls] == 3
            assert found['placet_refusals_total{method="Runs/Get",reason="RUN_NOT_FOUND"}'] == 1
            assert found['placet_refusals_total{method="Runs/Get",reason="WIRE_VERSION"}'] == 1
            assert found['placet_refusals_total{method="Runs/Watch",reason="RUN_NOT_FOUND"}'] == 1
            missing = 'placet_calls_total{code="NOT_FOUND",method="Runs/Get",role="principal"}'
            assert found[missing] == 1
            count = 'placet_call_seconds_count{method="Log/GetCheckpoint",role="principal"}'
            assert found[count] == 3
            assert found['placet_calls_open{method="Log/GetCheckpoint"}'] == 0

    run(body())


def test_work_enclaves_and_space_are_shown(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(**ANY, collect_seconds=0.1, max_queue=77) as (host, client):
            job = await client.run(world.ticket("release"))
            assert job.state == runs_pb2.RUN_STATE_FINISHED
            found = await figures(host.metrics)
            assert found['placet_jobs_ended_total{reason="",state="FINISHED"}'] == 1
            assert found["placet_authority_attached{}"] == 1
            assert found["placet_log_entries{}"] > 0
            assert found["placet_checkpoint_lag_entries{}"] == 0
            assert found['placet_limit{limit="max_queue"}'] == 77
            assert found['placet_ready{what="authority"}'] == 1
            assert found["placet_certificate_left_seconds{}"] > 86_400
            assert found['placet_evidence_age_seconds{part="keys"}'] > 0
            assert {f'placet_jobs{{state="{s}"}}' for s in ("queued", "leased", "running")} <= {
                *found
            }
            assert found["placet_disk_free_bytes{}"] > 0
            while not found.get('placet_enclave_ends_total{enclave="worker",reason="DONE"}'):
                await asyncio.sleep(0.1)
                found = await figures(host.metrics)
            assert found['placet_space_bytes{what="blobs"}'] >= len(world.bundle)
            assert found['placet_space_bytes{what="database"}'] > 0
            assert found['placet_space_owner_bytes{rank="1"}'] >= len(world.bundle)

    run(body())


def test_a_job_that_waits_and_one_that_runs_are_shown(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(**ANY, max_workers=1) as (host, client):
            first = await client.submit(world.ticket("hang"))
            await client.until(first.id, runs_pb2.RUN_STATE_RUNNING)
            await client.submit(world.ticket("hang"))
            await asyncio.sleep(0.3)
            found = await figures(host.metrics)
            assert (
                found['placet_jobs{state="running"}'] == found['placet_jobs{state="queued"}'] == 1
            )
            assert 0.2 < found["placet_queue_age_seconds{}"] < 30
            assert found["placet_leases_open{}"] == 1
            assert 0 <= found["placet_lease_age_seconds{}"] < 30
            assert found['placet_workers{phase="busy"}'] == 1
            assert found["placet_spares_wanted{}"] >= 1

    run(body())


def test_an_authority_that_ends_is_counted(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(**ANY) as (host, client):
            await client.until_health("placet.authority", serving=True)
            world.launcher.running("authority")[-1].kill()
            ended = 'placet_enclave_ends_total{enclave="authority",reason="'
            while not any(name.startswith(ended) for name in await figures(host.metrics)):
                await asyncio.sleep(0.1)

    run(body())


def test_a_call_is_counted_under_the_role_of_its_caller() -> None:
    metrics, context = Metrics(), cast("Any", Untold())

    async def call(role: Role) -> None:
        with metrics.call("Runs/Get", context):
            calling(Caller(role))

    async def body() -> None:
        roles = (Role.PRINCIPAL, Role.STRANGER, Role.STRANGER)
        await asyncio.gather(*(asyncio.create_task(call(role)) for role in roles))

    asyncio.run(body())
    counted = metrics.registry.get_sample_value
    for role, count in (("principal", 1), ("stranger", 2)):
        labels = {"method": "Runs/Get", "role": role, "code": "OK"}
        assert counted("placet_calls_total", labels) == count


def test_no_label_names_anybody(world: Any, run: Any) -> None:
    """Labels are words of ours. A digest, an id or a principal in one would have no bound."""

    async def body() -> None:
        async with world.host(**ANY, collect_seconds=0.1) as (host, client):
            ticket = world.ticket("release")
            await client.put(b"data", "cd" * 16, owner=world.key.public.text)
            job = await client.run(ticket)
            await asyncio.sleep(0.3)
            text = await scrape(host.metrics)
            for name in (job.id, world.digest(ticket.proposal), world.key.public.text, 'owner"'):
                assert name not in text
            labels = set(re.findall(r'="([^"]*)"', text))
            assert not [label for label in labels if re.search(r"[0-9a-f]{12}|sha256|:", label)]

    run(body())


def test_only_metrics_are_served_there_and_little_is_held(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host(**ANY) as (host, _):
            assert "404" in (await scrape(host.metrics, "GET / HTTP/1.1")).splitlines()[0]
            assert "404" in (await scrape(host.metrics, "POST /metrics HTTP/1.1")).splitlines()[0]
            address, _, port = host.metrics.rpartition(":")
            silent = [await asyncio.open_connection(address, int(port)) for _ in range(8)]
            await asyncio.sleep(0.1)
            assert await scrape(host.metrics) == ""  # all places are taken, for five seconds
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()
            assert "placet_jobs" in await scrape(host.metrics)
            reader, writer = await asyncio.open_connection(address, int(port))
            writer.write(b"x" * 100_000)
            assert await reader.read() == b""
            writer.close()

    run(body())


def test_without_the_flag_nothing_is_served(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (host, _):
            assert host.metrics == ""

    run(body())


def test_metrics_leave_the_machine_only_if_told(tmp_path: Path) -> None:
    def config(**settings: Any) -> HostConfig:
        return HostConfig(tmp_path / "state", tmp_path / "cpu", "example.org/log", **settings)

    for address in ("127.0.0.1:1", "[::1]:1", "localhost:1", "127.8.0.1:0"):
        assert config(metrics=address).metrics == address
    for address in ("0.0.0.0:1", "10.0.0.1:1", "127.0.0.1.example.org:1", "[::]:1"):
        with pytest.raises(ValueError, match="--metrics-anywhere"):
            config(metrics=address)
        assert config(metrics=address, metrics_anywhere=True)
    with pytest.raises(ValueError, match="address:port"):
        config(metrics="127.0.0.1")


def test_a_caller_who_asks_is_told_time_and_release(world: Any, run: Any) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            request = log_pb2.GetCheckpointRequest()
            for asked in (True, False):
                more = ((ASK_KEY, "1"),) if asked else ()
                call = client.log.GetCheckpoint(request, metadata=(*world.metadata, *more))
                await call
                told = {key for key, _ in await call.trailing_metadata()}
                assert ({TIME_KEY, RELEASE_KEY} <= told) == asked

    run(body())


def test_who_takes_the_space(
    world: Any, run: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def body() -> None:
        async with world.host() as (_, client):
            await client.put(bytes(3 * 2**20), "cd" * 16, owner=world.key.public.text)

    run(body())
    assert space(["--state", str(world.folder / "state")]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"3\.0 MiB  blobs of {re.escape(world.key.public.text)}", told)
    assert re.search(r"3\.0 MiB  blobs\n", told)
    assert space(["--state", str(tmp_path / "none")]) == 2
