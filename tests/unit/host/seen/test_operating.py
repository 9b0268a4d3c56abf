# SPDX-License-Identifier: Apache-2.0
"""`placet doctor` and `placet top`, beside a host."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from placet.client import Home
from placet.client.cli import app
from placet.client.cli.operating import _checks
from placet.client.cli.operating._scrape import parse
from placet.client.cli.operating.top import figures
from placet.governance.log import Checkpoint, NoteSigner, Tree, leaf_hash, sign_checkpoint

Command = Callable[..., Any]
CHECKS = ["home", "host", "pin", "version", "time", "authority", "store", "disk", "clock", "log"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def command(home: Home, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command line beside a host that runs in this loop: its exit code and what it wrote."""
    for name in ("PLACET_HOME", "PLACET_KEY", "PLACET_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    async def command(*words: str) -> tuple[int, Any]:
        given = ["--home", str(home.folder), *words]
        done = await asyncio.to_thread(CliRunner().invoke, app, given)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        written = done.stdout or done.stderr
        return done.exit_code, json.loads(written) if "--json" in words else written

    return command


def verdicts(told: Any) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in told["checks"]}


def test_a_doctor_finds_a_host_well(world: Any, run: Any, home: Home, command: Command) -> None:
    async def body() -> None:
        async with world.host() as (host, client):
            home.configure(host.address, host.pin)
            await client.until_health("placet.ready", serving=True)
            code, told = await command("doctor", "--json")
            assert [check["check"] for check in told["checks"]] == CHECKS
            assert (code, told["well"]) == (0, True)
            assert verdicts(told) == {**dict.fromkeys(CHECKS, "ok"), "log": "warn"}
            code, text = await command("doctor")
            assert (code, "placet init --charter" in text) == (0, True)

    run(body())


def test_a_doctor_says_that_an_authority_hangs(
    world: Any, run: Any, home: Home, command: Command
) -> None:
    async def body() -> None:
        async with world.host(hang_seconds=3.0) as (host, client):
            home.configure(host.address, host.pin)
            await client.until_health("placet.authority", serving=True)
            host._seen._authority._answered = asyncio.Event().wait
            await client.until_health("placet.authority", serving=False)
            code, told = await command("doctor", "--json")
            assert code == 1
            assert [name for name, found in verdicts(told).items() if found == "fail"] == [
                "authority"
            ]

    run(body())


def test_a_doctor_without_a_host(world: Any, run: Any, home: Home, command: Command) -> None:
    async def body() -> None:
        code, told = await command("doctor", "--json")
        assert (code, verdicts(told)) == (2, {"home": "fail"})
        async with world.host() as (host, _):
            home.configure(host.address, "sha256:" + "0" * 64)
            code, told = await command("doctor", "--json")
            assert (code, verdicts(told)["pin"], list(verdicts(told))[-1]) == (3, "fail", "pin")
        code, told = await command("doctor", "--json")
        assert (code, verdicts(told)) == (3, {"home": "ok", "host": "fail"})

    run(body())


@pytest.mark.parametrize(
    ("ahead", "verdict"), [(0, "ok"), (-1, "ok"), (10, "warn"), (-10, "warn"), (172_800, "fail")]
)
def test_clocks_are_compared(ahead: int, verdict: str) -> None:
    now = time.time()
    found = _checks.clock(str(int((now + ahead) * 1000)), now)
    assert found.verdict == verdict
    assert ("behind" in found.said) == (ahead < -1)


def test_a_host_that_tells_no_time_or_release_is_an_older_one() -> None:
    assert _checks.clock("", 0.0).verdict == "warn"
    assert _checks.release("").verdict == "warn"
    assert "\x1b" not in _checks.release("\x1b[31m0.1").said


ENTRIES = [b'{"at":[1700000000,1700000001],"kind":"%d"}' % number for number in range(3)]


@pytest.mark.parametrize(
    ("shown", "verdict", "said"),
    [
        (ENTRIES[:3], "ok", "has 3 entries; this home has 2"),
        (ENTRIES[:2], "ok", "has 2 entries"),
        (ENTRIES[:1], "fail", "rolled back"),
        (ENTRIES[1:], "fail", "forked"),
    ],
)
def test_the_host_s_log_is_compared_with_what_was_seen(
    home: Home, shown: list[bytes], verdict: str, said: str
) -> None:
    signer = NoteSigner.generate("example.org/log")

    def note(entries: list[bytes]) -> bytes:
        tree = Tree()
        tree.extend(map(leaf_hash, entries))
        root = tree.root()
        return sign_checkpoint(Checkpoint("example.org/log", tree.size, root), signer)

    memory = home.memory()
    memory.pin("sha256:" + "0" * 64)
    memory.learn(signer.verifier_key.to_text())
    memory.advance(note(ENTRIES[:2]), ENTRIES[:2])
    found = _checks.compared(home, note(shown))
    assert (found.verdict, said in found.said) == (verdict, True), found
    other = NoteSigner.generate("example.org/log")
    signer = other
    assert _checks.compared(home, note(shown)).verdict == "fail"


def test_top_shows_a_host(world: Any, run: Any, command: Command) -> None:
    async def body() -> None:
        async with world.host(metrics="127.0.0.1:0", max_queue=7) as (host, client):
            await client.run(world.ticket("release"))
            await client.until_health("placet.ready", serving=True)
            code, told = await command("top", "--metrics", host.metrics, "--json")
            assert code == 0
            assert told["ready"] == dict.fromkeys(("authority", "store", "disk", "clock"), True)
            assert told["jobs"] == {"queued": 0, "leased": 0, "running": 0}
            assert told["jobs_ended"] == {"FINISHED": 1}
            assert (told["authority"], told["limits"]["max_queue"]) == (True, 7)
            assert told["calls"]["Runs/Start"] == 1
            code, text = await command("top", "--metrics", host.metrics)
            assert code == 0
            for words in ("attached", "Runs/Start", "at most 7 wait", "job FINISHED"):
                assert words in text
        code, told = await command("top", "--metrics", host.metrics, "--json")
        assert (code, told["error"]["reason"]) == (3, "HOST_UNREACHABLE")
        code, told = await command("top", "--metrics", "nowhere", "--json")
        assert code == 2

    run(body())


def test_all_that_top_reads_is_there(world: Any, run: Any) -> None:
    """A metric that is renamed would be shown as nothing."""
    asked: set[str] = set()

    class Asked:
        def one(self, name: str) -> float:
            asked.add(name)
            return 0.0

        def by(self, name: str, *_: str) -> dict[str, float]:
            asked.add(name)
            return {}

    unread: Any = Asked()
    figures(unread)

    async def body() -> None:
        async with world.host() as (host, _):
            there = {
                family.name + {"counter": "_total"}.get(family.type, "")
                for family in host._metrics.registry.collect()
            }
            assert asked <= there

    run(body())


def test_samples_are_read_as_they_are_written() -> None:
    text = '# HELP x\nx_total{a="1",b="y z"} 2.0\nx_total{a="1",b="w"} 3e+01\ny 1.5\nz{} NaN\n'
    found = parse(text)
    assert found.by("x_total", "a") == {"1": 32.0}
    assert found.by("x_total", "a", "b") == {"1 w": 30.0, "1 y z": 2.0}
    assert (found.one("y"), found.one("none")) == (1.5, 0.0)
