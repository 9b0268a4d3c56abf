# SPDX-License-Identifier: Apache-2.0
"""The seats and parties of the constitution in force: whose key signs as whom."""

from placet.governance.documents import Constitution
from placet.governance.envelope import inspect
from placet.governance.keys import PublicKey
from placet.host.log.log import Log
from placet.host.log.log_table import read_document
from placet.host.store.store import Store
from placet.refusals import NotFounded, SeatUnknown


class Principals:
    """Reads the constitution once, and again after an amendment."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        self._digest = ""
        self._constitution: Constitution | None = None

    @property
    def charter(self) -> str:
        """The digest of the council's charter; empty before the founding."""
        return self._log.state.charter

    async def keys_of(self, id_: str) -> tuple[PublicKey, ...]:
        """The keys of a seat or party. Raises `NotFounded`, `SignerUnknown`, or `SeatUnknown` for a
        seat that is revoked."""
        digest = self._log.state.constitution
        if not digest:
            raise NotFounded("The council has not been founded, so nobody can log in yet.")
        if digest != self._digest or self._constitution is None:
            # The authority has verified it, and the host stored it with the entry that names it.
            envelope = await self._store.read(lambda c: read_document(c, digest))
            assert envelope is not None, "an entry and what it names are stored in one step"
            self._constitution, self._digest = inspect(envelope, Constitution), digest
        if id_ in self._log.state.revoked_seats:
            raise SeatUnknown("The seat is revoked.", claim="seat", actual=id_)
        return self._constitution.keys_of(id_)
