# SPDX-License-Identifier: Apache-2.0
"""A council's log that grows under the eyes of the invariants, and who holds which key.

`Scene.attempt` is one act of somebody. Whatever is appended meanwhile has passed `check_entry`, and
between two entries nothing has changed.
"""

import functools
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import budgets
from effects import HISTORY, RIGHT_TO_STOP, Broken, must
from history import History, Json, principal
from invariants import check_entry

from placet.auditing.audit import audit
from placet.governance.account import Times
from placet.governance.envelope import sign
from placet.governance.ledger import Ledger
from placet.sealing import HPKEPrivateKey

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from placet.refusals import EvidenceInvalid
from tests.support.world import World, kept_as

T0 = 1_800_000_000
DAY = 86400
PROGRAM = "sha256:" + "ab" * 32
OTHER_PROGRAM = "sha256:" + "ac" * 32
MEASUREMENTS = ("cd" * 32, "ce" * 48)
SEATS = ("chair-a", "data-b", "ethics-c", "second-a")
PARTIES = ("owner-b", "lab", "ana-a", "ben-a", "cem-b", "dia-c")
RECIPIENT = HPKEPrivateKey.generate("X25519").public.to_text()


class Scene:
    """Everything that a run needs to go on; all of it follows from the seed."""

    def __init__(self, seed: str, constitution: Callable[["Scene"], Any]) -> None:
        self.seed, self.dice = seed, random.Random(seed)
        self.world = cast("Any", World())  # some of its methods are replaced
        self.world.appraise = self._appraise
        self.world.key = functools.cache(self.world.key)
        self.history = History(self.world.store)
        self.trace: list[str] = []
        self.told: Counter[str] = Counter()
        # Keys by name: of each principal those that it has now come first.
        self.keys: dict[str, list[str]] = {name: [name] for name in (*SEATS, *PARTIES)}
        self.keys["chair-a"].append("chair-a/2")
        self.signers: dict[bytes, set[str]] = {}
        # What was signed, by whomever, whether the log took it or not.
        self.proposals: dict[str, tuple[Any, bytes]] = {}
        self.ballots: dict[str, list[bytes]] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        self.envelopes: list[bytes] = []
        self.foreign: list[bytes] = []
        self.workers: list[str] = []
        self.boots = 0
        self._append = self.world.add
        self.world.add = self.add
        self.world.constitution = constitution(self)
        self.world.found()
        self.print = self._print()

    def add(self, entry: Json, *documents: bytes) -> Json:
        """Append what was judged, if the invariants let it."""
        if self.history.entries:
            self._unchanged("before an entry")
        for document in documents:
            self.world.store[kept_as(document)] = document
        check_entry(self.history, entry)
        self._check_author(entry)
        self._append(entry, *documents)
        self.history.entries.append(json.loads(self.world.entries[-1]))
        self.print = self._print()
        return entry

    def attempt(self, name: str, act: Callable[[], object]) -> None:
        """Let somebody try. Only a refusal may come of it."""
        size = len(self.history.entries)
        try:
            act()
            told = "done" if len(self.history.entries) > size else "nothing"
        except Exception as error:
            # Refusals have a reason; anything else is a fault, ours or the product's.
            if not getattr(error, "reason", ""):
                raise
            told = str(getattr(error, "reason", ""))
        self._unchanged(name)
        self.told[f"{name}: {told}"] += 1
        self.trace.append(f"{len(self.history.entries):4} {name}: {told}")

    def act(self, act: Callable[["Scene"], object]) -> None:
        """An attempt that has the act's name."""
        self.attempt(act.__name__, functools.partial(act, self))

    def chance(self, percent: int) -> bool:
        return self.dice.randrange(100) < percent

    # Keys and signatures.

    def key_of(self, name: str) -> str:
        """Mostly the right key; else an old one, a stranger's, or somebody else's."""
        own = self.keys.get(name, [name])
        if self.chance(96):
            return own[0]
        return self.dice.choice([*own, "stranger", *self.keys[self.dice.choice(SEATS)]])

    def signed(self, document: Any, *names: str) -> bytes:
        """An envelope; each name is a key's."""
        envelope = sign(document, *(self.world.key(name) for name in names))
        self.signers[envelope] = set(names)
        self.envelopes.append(envelope)
        return envelope

    def _check_author(self, entry: Json) -> None:
        """Who is said to have signed a document had one of these keys when the log took it."""
        names = {"proposal": "proposer", "ballot": "seat", "stop": "by", "grant": "owner"}
        names |= {"update": "client"}
        if entry["kind"] not in names:
            return
        digest = entry[entry["kind"]]
        document = self.history.document(digest)
        author = document[names[entry["kind"]]]
        must(document["header"]["charter"] == self.world.name, HISTORY, entry)
        known = [e for e in self.history.entries if e["kind"] == entry["kind"]]
        must(digest not in [e[e["kind"]] for e in known], HISTORY, entry)
        nonces = [e.get("nonce") for e in self.history.entries]
        must(document["header"]["nonce"] not in nonces, HISTORY, entry)
        signers = self.signers[self.world.store[digest]]
        listed = self._listed(author, newest=entry.get("action") == "withdraw")
        texts = {self.world.key(name).public.text for name in signers}
        must(not texts.isdisjoint(listed), RIGHT_TO_STOP, entry)

    def _listed(self, author: str, *, newest: bool) -> list[str]:
        """Keys in force; of an owner whom an amendment has left out those that it had last."""
        digests = self.history.constitutions()
        for digest in reversed(digests) if newest else digests[-1:]:
            who = principal(self.history.document(digest), author)
            if who is not None:
                return list(who["keys"])
        return []

    # Time.

    def later(self, seconds: int, skew: int = 0) -> None:
        """The host's clock: it only goes ahead, and its two readings may lie apart."""
        high = self.world.times.at_most + seconds
        self.world.times = Times(max(high - skew, 0), high)

    # What the whole log has to be.

    def _print(self) -> str:
        return f"{self.world.ledger.state!r} {self.world.ledger.head()}"

    def _unchanged(self, name: str) -> None:
        if self._print() != self.print:
            raise Broken(f"{HISTORY}\n{name} has changed the state without an entry")

    def _appraise(self, worker: str, policy: Json) -> None:
        if self.world.ledger.state.joins[worker].measurement not in policy["measurements"]:
            raise EvidenceInvalid("the measurement is not wanted")

    def replayed(self) -> Ledger:
        """The log again, from its entries alone: the same state."""
        ledger = Ledger(self.world)
        ledger.replay_all(self.world.entries, self.world.head())
        if ledger.state != self.world.ledger.state or ledger.head() != self.world.ledger.head():
            raise Broken(f"{HISTORY}\na replay gives another state")
        return ledger

    def check_state(self) -> None:
        """The state says what the entries say: no stop is lost, no use, and no cost."""
        state, history = self.world.ledger.state, self.history
        stopped = {digest for digest, known in state.proposals.items() if known.stopped}
        pairs: list[tuple[object, object]] = [
            (stopped, history.stopped("pause", "veto", "cancel")),
            ({g.digest for g in state.grants.values() if g.withdrawn}, history.stopped("withdraw")),
            (state.revoked_seats, history.stopped("revoke-seat")),
            (state.revoked_programs, history.stopped("revoke-program")),
            (state.revoked_measurements, history.stopped("revoke-measurement")),
        ]
        for owner, ledger in state.privacy.items():
            held = {name: _plain(cost) for name, cost in ledger.reserved.items()}
            pairs.append((held, budgets.reserved(history, owner)))
            pairs.append(([_plain(ledger.spent)], [budgets.total(budgets.spent(history, owner))]))
        for found, expected in pairs:
            if found != expected:
                raise Broken(f"{RIGHT_TO_STOP}\nthe state has {found}, the log says {expected}")

    def audited(self) -> None:
        """An auditor makes every decision again, and gets every entry byte for byte."""
        world = self.world
        report = audit(world.entries, world, world.name, world.checkpoint(), attest=world.attest)
        assert report.complete
        assert report.privacy == world.ledger.state.privacy


def _plain(cost: Any) -> budgets.Cost:
    return (cost.gaussian, cost.epsilon, cost.delta) if cost.bounded else None
