# SPDX-License-Identifier: Apache-2.0
"""A root secret over updates of the machine: kept while the earlier key is given, else refused."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from placet.attestation import SealingKey
from placet.enclave.authority.sealed_root import open_root, seal_root
from placet.proto.v1 import common_pb2, enclaves_pb2
from placet.refusals import KeyUnwrapRefused, Refused

ROOT = bytes(range(32))
ENCLAVE, OTHER = "aa" * 32, "bb" * 48
OLD, NEW, NEWEST = (SealingKey(ENCLAVE, f"0{n}", bytes([n]) * 32) for n in (1, 2, 3))
CHANGED = '{"copies":[{"measurement":"m","tcb":"t","wrapped":"xx"}]}'


def test_a_machine_that_gives_both_keys_carries_it_over_an_update_and_back() -> None:
    sealed = seal_root(ROOT, (OLD,))
    assert open_root(sealed, (OLD,)) == (ROOT, None)
    root, updated = open_root(sealed, (NEW, OLD))
    assert root == ROOT
    assert updated is not None
    assert open_root(updated, (NEW,)) == (ROOT, None)
    assert open_root(updated, (NEW, OLD)) == (ROOT, None)
    assert open_root(updated, (OLD,)) == (ROOT, None)  # the update was taken back
    _, later = open_root(updated, (NEWEST, NEW))
    assert later is not None
    assert open_root(later, (NEWEST,)) == open_root(later, (NEW,)) == (ROOT, None)
    with pytest.raises(KeyUnwrapRefused):  # two copies are kept, no more
        open_root(later, (OLD,))


def test_a_new_one_is_sealed_for_the_present_tcb_alone() -> None:
    sealed = seal_root(ROOT, (NEW, OLD))
    with pytest.raises(KeyUnwrapRefused):
        open_root(sealed, (OLD,))


@pytest.mark.parametrize(
    ("sealed", "present", "words"),
    [
        (seal_root(ROOT, (OLD,)), NEW, ("01", "02", "updated", "earlier microcode")),
        (seal_root(ROOT, (NEW,)), OLD, ("02", "01", "taken back", "found a new one")),
        (seal_root(ROOT, (OLD,)), SealingKey(OTHER, "01", b"x" * 32), (ENCLAVE, OTHER, "version")),
        (seal_root(ROOT, (OLD,)), SealingKey(ENCLAVE, "01", b"x" * 32), ("another machine",)),
        (b"", OLD, ("changed",)),
        (b"{}", OLD, ("changed",)),
        (b"\xff" * 60, OLD, ("changed",)),
        (bytes(1 << 20), OLD, ("changed",)),
        (CHANGED.encode(), OLD, ("changed",)),
        (b'{"copies":[]}', OLD, ("changed",)),
    ],
    ids=[
        "update",
        "downgrade",
        "enclave",
        "machine",
        "none",
        "empty",
        "junk",
        "long",
        "odd",
        "no copy",
    ],
)
def test_what_does_not_open_says_why_and_what_to_do(
    sealed: bytes, present: SealingKey, words: tuple[str, ...]
) -> None:
    with pytest.raises(KeyUnwrapRefused) as caught:
        open_root(sealed, (present,))
    for word in words:
        assert word in str(caught.value)
    assert caught.value.details["remedy"] in str(caught.value)


def test_a_changed_copy_opens_nothing() -> None:
    stored = json.loads(seal_root(ROOT, (OLD,)))
    wrapped = bytearray.fromhex(stored["copies"][0]["wrapped"])
    for at in range(len(wrapped)):
        changed = bytes(wrapped[:at]) + bytes([wrapped[at] ^ 1]) + bytes(wrapped[at + 1 :])
        stored["copies"][0]["wrapped"] = changed.hex()
        with pytest.raises(KeyUnwrapRefused):
            open_root(json.dumps(stored).encode(), (OLD,))


def test_an_authority_lives_on_over_an_update(scene: Any) -> None:
    async def story(stage: Any) -> None:
        log, before = stage.council.log, stage.host.secrets["root"]
        for tcbs in ((2, 1), (2,), (1,), (3, 2)):
            await stage.end()
            stage.machine.update(*tcbs)
            await stage.boot()
            assert stage.council.log == log
        assert stage.host.secrets["root"] != before
        await stage.end()
        stage.machine.update(1)  # two updates ago
        with pytest.raises(KeyUnwrapRefused, match="TCB"):
            await stage.boot()
            await stage.ended()

    scene(story)


def spawn(stage: Any, folder: Path) -> "subprocess.Popen[bytes]":
    """An authority as a process, which its host ends with its stream, as hosts do."""
    (folder / "cert").write_bytes(stage.host.certificate)
    command = [sys.executable, "-I", "-m", "placet.enclave", "authority", "--simulated"]
    command += ["--host", stage.host.address, "--cert", str(folder / "cert")]
    command += ["--token", "token", "--origin", "council.test/log"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0
        )
    ends = (process.stdout, process.stdin)
    threading.Thread(target=stage.machine.serve, args=("authority", "", *ends), daemon=True).start()
    return process


def test_the_start_after_an_update_says_in_words_what_happened(scene: Any, tmp_path: Path) -> None:
    async def story(stage: Any) -> None:
        await stage.end()
        stage.machine.update(2)
        stage.host.links.pop("authority")
        process = spawn(stage, tmp_path)
        while "authority" not in stage.host.links:
            assert process.poll() is None, (tmp_path / "log").read_text()
            await asyncio.sleep(0.01)
        link = stage.host.links["authority"]
        while not link.closed:
            await asyncio.sleep(0.002)
        # Its stream has ended, so the host ends it at once. What it had to say it has said.
        process.kill()
        await asyncio.to_thread(process.wait, 30)
        for end in (process.stdin, process.stdout):
            if end is not None:
                end.close()
        said = (tmp_path / "log").read_text()
        assert "refused reason=KEY_UNWRAP_REFUSED" in said
        assert stage.host.ended[""].reason == common_pb2.REASON_KEY_UNWRAP_REFUSED
        assert "microcode or firmware was updated" in said
        assert "found a new one" in said

    scene(story)


def test_a_host_that_does_not_store_the_new_copy_is_refused(scene: Any) -> None:
    async def story(stage: Any) -> None:
        await stage.end()
        stage.machine.update(2, 1)

        async def refuse(commit: enclaves_pb2.Commit) -> None:
            assert commit.secrets
            raise OSError("the disk is full")

        stage.host.on_commit = refuse
        stage.host.links.pop("authority")
        with pytest.raises(Refused):
            await stage.boot()
            await stage.ended()

    scene(story)
