# SPDX-License-Identifier: Apache-2.0
"""How proposals stand in the log that this client has read, with the words that were signed for
it."""

from dataclasses import replace

from placet.auditing.standing import Act, Acts, ProposalStanding, stand
from placet.client.connection.access import where_shown
from placet.client.log.reader import LogReader
from placet.governance.account import Times
from placet.governance.documents import Ballot, Stop
from placet.governance.envelope import inspect

_VOTES = ("placet", "non placet", "abstain", "recuse")


class Standings:
    """Of the log as far as it was read; its entries are looked at once."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._acts = Acts()

    async def of(self, proposal: str, now: int, *, whole: bool) -> ProposalStanding:
        """How a proposal of the log stands. whole: with the words of every act, else with those of
        the one that made it stand so."""
        acts = self._acts.follow(self._log.replica.entries)
        found = await self._log.judged(
            lambda ledger: stand(ledger, acts, proposal, Times(now, now))
        )
        told = [act for act in found.acts if whole or act.index == found.entry]
        words = {act.document: await self._words(act) for act in told if act.deed != "proposed"}
        return replace(found, words=words)

    async def _words(self, act: Act) -> str | None:
        """What was written with an act: the log names its document, so no host can change it."""
        with where_shown():
            envelope = await self._log.envelope(act.document)
            if act.deed in _VOTES:
                return inspect(envelope, Ballot).rationale
            return inspect(envelope, Stop).reason
        return None
