# SPDX-License-Identifier: Apache-2.0
"""Commit before effect: what is stored together, what waits, and what a store that fails leaves."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from placet.enclave.authority.journal import Journal
from placet.governance.account import Times
from placet.governance.entries.table import KINDS
from placet.governance.ledger import Ledger, missing_document
from placet.governance.log import NoteSigner, leaf_hash, verify_checkpoint
from placet.proto.v1 import enclaves_pb2
from placet.refusals import AuthorityUnavailable, LogEntryInvalid


class Nothing:
    def envelope(self, digest: str) -> bytes:
        raise missing_document(digest)


class Disk:
    """Stores steps; `gate` holds them up, `error` refuses them."""

    def __init__(self) -> None:
        self.steps: list[enclaves_pb2.Commit] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, step: enclaves_pb2.Commit) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.steps.append(step)


def boot(number: int) -> dict[str, Any]:
    return KINDS["boot"].new(Times(number, number), {"boot": f"{number:032x}", "nonce": ""})


def play(story: Callable[[Journal, Ledger, Disk, NoteSigner], Awaitable[None]]) -> None:
    async def run() -> None:
        ledger, signer, disk = Ledger(Nothing()), NoteSigner("j.test/log", os.urandom(32)), Disk()
        journal = Journal(ledger, lambda: signer, disk)
        task = asyncio.create_task(journal.run())
        try:
            await story(journal, ledger, disk, signer)
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()

    asyncio.run(asyncio.wait_for(run(), 10))


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_secrets_documents_entry_and_checkpoint_are_one_step() -> None:
    async def story(journal: Journal, ledger: Ledger, disk: Disk, signer: NoteSigner) -> None:
        secret = enclaves_pb2.Secret(name="s", wrapped=b"w")
        index = journal.append(boot(1), {"d": b"doc"}, lambda: [secret])
        covering = await journal.covered(index)
        [step] = disk.steps
        assert (step.first_index, len(step.entries)) == (0, 1)
        assert [(d.digest, d.document) for d in step.documents] == [("d", b"doc")]
        assert list(step.secrets) == [secret]
        assert step.checkpoint == covering.note
        checkpoint = verify_checkpoint(covering.note, signer.verifier_key)
        assert (checkpoint.size, checkpoint.root) == (1, ledger.tree.root())
        assert ledger.tree.leaf(0) == leaf_hash(step.entries[0])
        assert await journal.covered(0) == covering

    play(story)


def test_what_gathers_shares_a_step_and_waits_for_it() -> None:
    async def story(journal: Journal, ledger: Ledger, disk: Disk, signer: NoteSigner) -> None:
        disk.gate.clear()
        first = asyncio.create_task(journal.covered(journal.append(boot(1))))
        await turns()
        rest = [asyncio.create_task(journal.covered(journal.append(boot(n)))) for n in (2, 3, 4)]
        await turns()
        assert not any(task.done() for task in (first, *rest))
        assert journal.covering.size == 0
        disk.gate.set()
        assert (await first).size == 1
        assert {(await task).size for task in rest} == {4}
        assert [(s.first_index, len(s.entries)) for s in disk.steps] == [(0, 1), (1, 3)]

    play(story)


def test_a_step_is_never_larger_than_a_frame() -> None:
    async def story(journal: Journal, ledger: Ledger, disk: Disk, signer: NoteSigner) -> None:
        for number in range(30):
            journal.append(boot(number), {f"d{number}": bytes(256 * 1024)})
        assert (await journal.covered(29)).size == 30
        assert len(disk.steps) > 3
        assert max(step.ByteSize() for step in disk.steps) < 3 * 1024 * 1024
        starts = [step.first_index for step in disk.steps]
        counts = [len(step.entries) for step in disk.steps]
        assert starts == [sum(counts[:n]) for n in range(len(counts))]
        for step in disk.steps:
            checkpoint = verify_checkpoint(step.checkpoint, signer.verifier_key)
            assert checkpoint.size == step.first_index + len(step.entries)
            assert checkpoint.root == ledger.tree.root(checkpoint.size)

    play(story)


def test_a_store_that_fails_ends_everything() -> None:
    async def story(journal: Journal, ledger: Ledger, disk: Disk, signer: NoteSigner) -> None:
        await journal.covered(journal.append(boot(1)))
        disk.error = OSError("no space")
        waiting = [asyncio.create_task(journal.covered(journal.append(boot(n)))) for n in (2, 3)]
        for task in waiting:
            with pytest.raises(AuthorityUnavailable):
                await task
        with pytest.raises(AuthorityUnavailable):
            journal.append(boot(4))
        with pytest.raises(AuthorityUnavailable):
            await journal.covered(1)
        assert (await journal.covered(0)).size == 1

    play(story)


def test_a_journal_resumes_where_a_replay_ended() -> None:
    async def story(journal: Journal, ledger: Ledger, disk: Disk, signer: NoteSigner) -> None:
        ledger.append(boot(1))
        journal.resume(b"note")
        assert (await journal.covered(0)).note == b"note"
        await journal.covered(journal.append(boot(2)))
        assert disk.steps[0].first_index == 1

    play(story)


def test_an_entry_that_cannot_be_appended_queues_nothing() -> None:
    async def story(journal: Journal, ledger: Ledger, disk: Disk, signer: NoteSigner) -> None:
        with pytest.raises(LogEntryInvalid):
            journal.append({"kind": "nonsense", "at": [1, 1]}, {"d": b"x"})
        await journal.covered(journal.append(boot(1)))
        [step] = disk.steps
        assert not step.documents

    play(story)


def test_nothing_more_is_judged_while_too_much_waits_for_the_host() -> None:
    async def story(journal: Journal, ledger: Ledger, disk: Disk, signer: NoteSigner) -> None:
        disk.gate.clear()
        for number in range(4095):
            journal.append(boot(number))
        journal.check_room()
        journal.append(boot(4095))
        with pytest.raises(AuthorityUnavailable, match="has not stored"):
            journal.check_room()
        last = journal.append(boot(4096))  # a stop still gets in
        disk.gate.set()
        await journal.covered(last)
        journal.check_room()

    play(story)
