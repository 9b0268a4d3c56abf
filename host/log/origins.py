# SPDX-License-Identifier: Apache-2.0
"""Where the lease of a worker comes from: the entries of the log that a user verifies before the
first question.

All of them were made in the life of this host, for no enclave outlives its host; so they are kept
in memory, as they become durable.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from placet.host.log.log_entry import Entry

_KEPT = 1024  # of each kind; a worker that serves is asked for while its lease is new


@dataclass(frozen=True, slots=True)
class Origin:
    """The boot of the authority that gave a lease, the join of the worker that has it, and the
    lease."""

    boot: Entry
    join: Entry
    lease: Entry


class Origins:
    """The newest boot, joins by worker, and origins by lease."""

    def __init__(self) -> None:
        self._boot: Entry | None = None
        self._joins: OrderedDict[str, Entry] = OrderedDict()
        self._leases: OrderedDict[str, Origin] = OrderedDict()

    def extend(self, found: Sequence[Entry]) -> None:
        """Follow a commit."""
        for entry in found:
            kind = entry.text("kind")
            if kind == "boot":
                self._boot = entry
                self._joins.clear()
            elif kind == "join":
                self._joins[entry.text("worker")] = entry
                _bound(self._joins)
            else:
                join = self._joins.pop(entry.text("worker"), None)
                if join is not None and self._boot is not None:
                    self._leases[entry.text("lease")] = Origin(self._boot, join, entry)
                    _bound(self._leases)

    def of(self, lease: str) -> Origin | None:
        """The origin of a lease that was given lately."""
        return self._leases.get(lease)


def _bound(kept: OrderedDict[str, Entry] | OrderedDict[str, Origin]) -> None:
    if len(kept) > _KEPT:
        kept.popitem(last=False)
