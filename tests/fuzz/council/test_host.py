# SPDX-License-Identifier: Apache-2.0
"""A host that is given a long random history, entry by entry, answers at each as the log says.

The history is the fuzzer's, so every entry was judged. What the log says is read by `History`, from
entries and documents alone.
"""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import campaign
from history import History, Json
from scene import Scene

from placet.host.log.journal import Journal
from placet.host.log.log import Effects, Log
from placet.host.log.log_table import read_documents
from placet.host.runs.board import Board
from placet.host.runs.federation_record import FederationRecord
from placet.host.runs.runs import shows
from placet.host.store.job_table import JobRecord
from placet.host.store.run_table import insert_run
from placet.host.store.store import Store
from placet.proto.v1 import common_pb2, enclaves_pb2

STEPS = 200


class Told:
    """A host's log, store and answers, without its enclaves, and what each step did to it."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.scene = scene
        self.history = History(scene.world.store)
        self.store = Store.open(f"sqlite:///{folder / 'host.db'}")
        self.log = Log()
        self.journal = Journal(self.store, self.log)
        self.board = Board(self.store, shows(self.log), 1)
        self.effects: Effects

    def _shown(self, effects: Effects, changed: list[JobRecord]) -> None:
        self.effects = effects

    async def take(self, entry: Json, data: bytes) -> None:
        """The next entry, with the documents that it names."""
        store = self.scene.world.store
        names = [name for name in entry.values() if isinstance(name, str) and name in store]
        await self.journal.commit(
            enclaves_pb2.Commit(
                first_index=len(self.history.entries),
                entries=[data],
                documents=[
                    enclaves_pb2.StoredDocument(digest=name, document=store[name]) for name in names
                ],
            ),
            self._shown,
        )
        self.history.entries.append(entry)
        if entry["kind"] == "open-round":
            ticket = common_pb2.Ticket(proposal=store[entry["proposal"]]).SerializeToString()
            await self.store.write(lambda c: insert_run(c, entry["proposal"], "federate", ticket))

    async def check(self) -> None:
        """Everything that is asked of the fold."""
        await self._check_council()
        await self._check_proposals()
        self._check_leases()
        for federation in {entry["proposal"] for entry in self.history.of("open-round")}:
            await self._check_rounds(federation)

    async def _check_council(self) -> None:
        expected = self.history.constitutions()
        assert list(self.log.state.constitutions) == list(expected)
        await self._check_stored(expected)

    async def _check_stored(self, digests: Iterable[str]) -> None:
        wanted = list(digests)
        stored = await self.store.read(lambda c: read_documents(c, wanted))
        assert stored == [self._envelope(digest) for digest in wanted]

    async def _check_proposals(self) -> None:
        proposals = self.history.of("proposal")
        known = self.log.state.proposals
        counts = {
            e["proposal"]: len(self.history.of("ballot", proposal=e["proposal"])) for e in proposals
        }
        assert list(known) == list(counts)
        assert {digest: len(each.ballots) for digest, each in known.items()} == counts
        touched = [digest for digest in counts if digest in self.effects.touched]
        for digest in touched:
            ballots = [e["ballot"] for e in self.history.of("ballot", proposal=digest)]
            assert list(known[digest].ballots) == ballots
            await self._check_stored([digest, *ballots])
            [entry] = self.history.of("proposal", proposal=digest)
            assert known[digest].index == self.history.entries.index(entry)
            leased = self.history.of("lease", proposal=digest)
            assert self.log.leased(digest) == len({entry["job"] for entry in leased})

    def _check_leases(self) -> None:
        leases = [entry["lease"] for entry in self.history.of("lease")]
        still = {lease for lease in leases if self.history.status(lease) == "open"}
        assert self.log.state.open_leases.keys() == still
        newest = self.history.entries[-1]
        begun = [newest["lease"]] if newest["kind"] == "lease" else []
        over = [newest["lease"]] if newest["kind"] in ("release", "close") else []
        assert [lease.digest for lease in self.effects.leased] == begun
        assert [lease.digest for lease in self.effects.ended] == over
        stops = ("pause", "veto", "cancel")
        assert (
            self.history.stopped(*stops) & self.effects.touched == dict(self.effects.stopped).keys()
        )

    async def _check_rounds(self, federation: str) -> None:
        told = (await self.board.get(federation)).message.federation
        number, standing = self.history.round(federation)
        assert told.round == number
        run = await self.board.run(federation, "federate")
        current = FederationRecord.of(run, self.log).current
        assert current is not None
        assert current.status == standing
        sent = {e["client"] for e in self.history.of("update", proposal=federation, round=number)}
        assert {member.client for member in told.members if member.updated} == sent
        out = self._quarantined(federation)
        assert {m.client: m.why for m in told.members if m.quarantined_until} == out
        released = {e["round"]: bool(e["receipt"]) for e in self._aggregates(federation)}
        over = range(1, number + (standing in ("released", "void")))
        assert [o.round for o in told.outcomes] == list(over)
        assert {o.round: o.released for o in told.outcomes} == {
            round_: released.get(round_, False) for round_ in over
        }
        assert told.model_round == max([n for n, has in released.items() if has], default=0)

    def _aggregates(self, federation: str) -> list[Json]:
        return self.history.of("release", proposal=federation)

    def _quarantined(self, federation: str) -> dict[str, str]:
        out: dict[str, str] = {}
        for entry in self.history.of("release", "lift", proposal=federation):
            if entry["kind"] == "lift":
                del out[entry["client"]]
            else:
                out |= entry["left"]
        return out

    def _envelope(self, digest: str) -> bytes:
        return cast("bytes", self.scene.world.store[digest])


@pytest.mark.parametrize("number", range(3))
def test_a_host_answers_as_the_log_folds(tmp_path: Path, number: int) -> None:
    scene = campaign.run(f"host/{number}", STEPS)

    async def body() -> None:
        told = Told(tmp_path, scene)
        try:
            for entry, data in zip(scene.history.entries, scene.world.entries, strict=True):
                await told.take(entry, data)
                await told.check()
            assert told.log.state == scene.world.ledger.state
            again = Log()
            await told.store.read(again.load)
            assert again.state == told.log.state
            assert again.tree.root() == scene.world.ledger.tree.root()
        finally:
            told.store.close()

    asyncio.run(body())
    assert len(scene.history.entries) > 40
