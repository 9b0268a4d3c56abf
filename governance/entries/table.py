# SPDX-License-Identifier: Apache-2.0
"""The table of kinds, and the fold by it.

`apply` trusts entries: they were judged before they were appended, and an audit judges them again.
It is deterministic, so two judgements over one state give the same entry; that is what an audit
compares. An entry that it cannot take in is refused here and nowhere else.
"""

import heapq
from typing import Any

from placet.governance.contexts import grant_secret
from placet.governance.entries import council, federations, leases, services
from placet.governance.entries.kind import Entry, Kind
from placet.governance.state import State
from placet.refusals import LogEntryInvalid

KINDS: dict[str, Kind[Any]] = {
    kind.name: kind
    for kind in (
        council.CHARTER,
        council.CONSTITUTION,
        council.BOOT,
        council.PROPOSAL,
        council.BALLOT,
        council.STOP,
        council.GRANT,
        leases.JOIN,
        leases.LEASE,
        leases.RENEWAL,
        leases.RELEASE,
        leases.CLOSE,
        federations.OPEN_ROUND,
        federations.UPDATE,
        federations.CLOSE_ROUND,
        federations.LIFT,
        services.DRAW,
    )
}


def apply(state: State, entry: Entry) -> None:
    """Fold one entry. Raises `LogEntryInvalid`; then nothing holds of the state any more."""
    state.over, before = [], state.at
    try:
        kind = KINDS[entry["kind"]]
        at_least, at_most = entry["at"]
        state.at = at_least, at_most
        kind.apply(state, entry)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        state.at = before
        raise LogEntryInvalid(
            "An entry is of no kind that this version knows, has another form than its kind, or is "
            "about what the log does not have. Use the version of the log's authority.",
            claim=f"entry {state.size}",
            expected="an entry about what the log has",
            actual=f"{type(error).__name__}: {error}",
        ) from error
    state.size += 1
    while state.expiring and state.expiring[0][0] < at_most:
        state.over.append(grant_secret(heapq.heappop(state.expiring)[1]))
