# SPDX-License-Identifier: Apache-2.0
"""What holds after every event, by what was counted outside of the host.

`Watch.check` is asked while the load goes on, `Watch.settle` once it has ended. Both tell what is
broken, as sentences.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from placet.governance.jobs import round_job
from tests.fault.jobs import ATTEMPTS, Ends
from tests.fault.load import Load
from tests.fault.questions import ROWS, TRANCHE

LOOKED_AT = 3  # uploads that are read again after an event


class Log:
    """The entries of the log as they come, counted."""

    def __init__(self) -> None:
        self.size = 0
        self.documents: set[str] = set()
        self.leases: Counter[str] = Counter()  # by job
        self.open: dict[str, str] = {}  # leases that are open, by job
        self.released: Counter[str] = Counter()  # by job
        self.lost: Counter[str] = Counter()  # attempts that were closed, by job
        self.updates: dict[tuple[str, int], list[tuple[str, str]]] = {}  # client and digest
        self.counted: dict[tuple[str, int], list[str]] = {}
        self.drawn: Counter[str] = Counter()  # by service
        self.broken: list[str] = []

    def take(self, entry: dict[str, Any]) -> None:
        """Count another entry."""
        self.size += 1
        kind = entry["kind"]
        if kind in ("proposal", "ballot", "update", "grant"):
            self.documents.add(entry[kind])
        if kind == "lease":
            job = entry["job"]
            if job in self.open:
                self.broken.append(f"{job} has two leases at once")
            self.open[job] = entry["lease"]
            self.leases[job] += 1
        elif kind in ("release", "close"):
            if self.open.pop(entry["job"], "") != entry["lease"]:
                self.broken.append(f"{kind} of a lease of {entry['job']} that is not open")
            self.released[entry["job"]] += kind == "release"
            self.lost[entry["job"]] += kind == "close"
        elif kind == "update":
            round = self.updates.setdefault((entry["proposal"], entry["round"]), [])
            round.append((entry["client"], entry["update"]))
        elif kind == "close-round":
            self.counted[entry["proposal"], entry["round"]] = entry["counted"]
        elif kind == "draw":
            self.drawn[entry["proposal"]] += entry["rows"]


class Watch:
    """Looks at the host as an auditor who knows what everybody was promised."""

    def __init__(self, load: Load, seed: str) -> None:
        self.load, self.machine = load, load.machine
        self.client = load.machine.connect("auditor")
        self._memory = load.machine.memories["auditor"]
        self.log, self.ends = Log(), Ends(load.jobs)
        self._dice = random.Random(f"{seed}/watch")
        self._told: set[str] = set()

    def check(self) -> list[str]:
        """What is broken, and was not told before; asked while everybody asks."""
        promised = [*self.load.documents.acknowledged, *self.load.jobs.documents]
        receipts = list(self.load.rounds.receipts)
        self.ends.look()
        self._read()
        found = [*self._jobs(), *self._documents(promised), *self._rounds(receipts)]
        uploads = list(self.load.uploads.kept)
        looked = self._dice.sample(uploads, min(LOOKED_AT, len(uploads)))
        found += [*self._uploads(looked), *self.load.asking.surprises]
        found += [f"{kind} ended before the load did" for kind in self.load.idle()]
        return self._new(found)

    def until_no_last_attempt(self, patience: float) -> None:
        """Wait while a job or a round has its last attempt, or waits for it: one more fault would
        end it, as its proposal says."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.ends.look()
            self._read()
            ended = {job.id for job in self.load.jobs.acknowledged if job.ended is not None}
            last = {job for job, lost in self.log.lost.items() if lost >= ATTEMPTS - 1}
            if not last - ended - set(self.log.released.elements()):
                return
            time.sleep(0.1)

    def settle(self, patience: float = 180.0) -> list[str]:
        """What is broken, or has not ended, now that nobody asks any more."""
        deadline, asking = time.monotonic() + patience, self.load.asking
        while (still := self.ends.look()) and time.monotonic() < deadline:
            time.sleep(0.1)
        found = [f"{job.id} has not ended {patience:g} s after the end" for job in still]
        while time.monotonic() < deadline:  # closing an attempt may come after the job's end
            self._read()
            if not {job.id for job in self.load.jobs.acknowledged} & self.log.open.keys():
                break
            time.sleep(0.1)
        jobs, rounds, uploads = self.load.jobs, self.load.rounds, self.load.uploads
        promised = [*self.load.documents.acknowledged, *jobs.documents]
        found += [*self._jobs(), *self._documents(promised), *self._rounds(rounds.receipts)]
        found += [*self._uses(), *self._questions(), *self._uploads(uploads.kept)]
        found += [f"{b} was deleted, and is there" for b in uploads.deleted[-20:] if self._has(b)]
        report = asking.patiently(self.client.log.audit, what="audit")
        if not report.complete:
            found.append(f"the audit is not complete: {report}")
        return self._new([*found, *asking.surprises])

    def _read(self) -> None:
        asking = self.load.asking
        asking.patiently(self.client.log.checkpoint, what="read")  # raises if the log shrank
        for entry in self._memory.entries()[self.log.size :]:
            self.log.take(json.loads(entry))

    def _jobs(self) -> Iterator[str]:
        yield from self.log.broken
        for job in self.ends.wrong:
            yield f"{job.id}, of event {job.after}, ended wrongly: {job.found}"
        for job in list(self.load.jobs.acknowledged):
            released, leases = self.log.released[job.id], self.log.leases[job.id]
            if released > 1:
                yield f"{job.id} was released {released} times"
            if leases > ATTEMPTS:
                yield f"{job.id} had {leases} leases"
            finished = job.ended is not None and job.ended.state == "finished"
            if job.ended is not None and not job.found and released != finished:
                yield f"{job.id} is {job.ended.state}, and was released {released} times"

    def _documents(self, promised: list[str]) -> Iterator[str]:
        for digest in promised:
            if digest not in self.log.documents:
                yield f"{digest} was acknowledged, and is not in the log"

    def _rounds(self, receipts: list[Any]) -> Iterator[str]:
        for receipt in receipts:
            key = receipt.federation, receipt.round
            updates = self.log.updates.get(key, [])
            if (times := [client for client, _ in updates].count(receipt.client)) != 1:
                yield f"the update of {receipt} is in the log {times} times"
            counted = self.log.counted.get(key)
            if counted is not None and sorted(counted) != sorted(digest for _, digest in updates):
                yield f"round {key} has the updates {updates}, and counted {counted}"
            if (times := self.log.released[round_job(*key)]) > 1:
                yield f"round {key} was released {times} times"

    def _uploads(self, looked: list[Any]) -> Iterator[str]:
        uploads = self.load.uploads
        for upload in looked:
            if wrong := uploads.wrong(self.client, upload, self.machine.folder):
                yield f"the blob {upload.id} of {upload.length} bytes: {wrong}"

    def _uses(self) -> Iterator[str]:
        """The ledger that the log folds to has the uses that were acknowledged, and no others."""
        ask = self.load.asking.patiently
        state = ask(self.client.log.ledger, what="ledger").state
        acknowledged = self.load.jobs.uses()
        for proposal, count in acknowledged.items():
            if (used := len(state.proposals[proposal].jobs)) != count:
                yield f"{proposal} was used {used} times, for {count} jobs"
        used = len(state.grants[self.load.jobs.data.grant].jobs)
        if used != acknowledged.total():
            yield f"the grant was used {used} times, for {acknowledged.total()} jobs"

    def _questions(self) -> Iterator[str]:
        """Rows that were answered were drawn; rows that were drawn and not answered were lost with
        a worker: its tranche at most, and what it had under way."""
        questions = self.load.questions
        drawn = self.log.drawn[questions.service]
        state = self.load.asking.patiently(self.client.log.ledger, what="ledger").state
        leases = sum(map(len, state.proposals[questions.service].jobs.values()))
        most = questions.tried + leases * (TRANCHE + ROWS)
        if not questions.answered <= drawn <= most:
            yield f"{drawn} rows were drawn, for {questions.answered} answered, at most {most}"

    def _has(self, blob: str) -> bool:
        return self.load.uploads.there(self.client, blob)

    def _new(self, found: list[str]) -> list[str]:
        new = [text for text in dict.fromkeys(found) if text not in self._told]
        self._told |= set(new)
        return new
