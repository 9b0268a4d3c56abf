# SPDX-License-Identifier: Apache-2.0
"""Looking up takes these: whose view it is, and documents that a host may withhold."""

import time
from collections.abc import Callable
from typing import TypeVar

from placet.client.blocking import Client
from placet.client.cli._frame import home
from placet.client.errors import UsageRefused
from placet.client.keys import named_in
from placet.governance.account import Times
from placet.governance.ledger import Ledger
from placet.refusals import DocumentNotFound

T = TypeVar("T")


def own_name(given: str) -> str:
    """The principal that was named, or else whom the configured key acts for. Raises
    `UsageRefused`."""
    if given:
        return given
    path, acting_as = home().key()
    if path is None:
        raise UsageRefused(
            "Nobody is named, and no key is configured. Name a seat or party, or set PLACET_KEY."
        )
    return acting_as or named_in(path)


def check_known(connected: Client, who: str) -> None:
    """Refuse a name that no constitution of the council lists. Raises `UsageRefused`."""
    known = {
        principal.id
        for one in connected.council.verify().constitutions
        for principal in one.document.principals
    }
    if who not in known:
        raise UsageRefused(
            f"The council has no seat or party {who}. It has {', '.join(sorted(known))}.",
            claim="principal",
            actual=who,
        )


def now() -> Times:
    """The time at which things are judged here."""
    seconds = int(time.time())
    return Times(seconds, seconds)


def judged_or(connected: Client, judge: Callable[[Ledger], T], otherwise: T) -> T:
    """What a judgement says, or something else where the host withholds a document of it."""
    try:
        return connected.log.judged(judge)
    except DocumentNotFound:
        return otherwise
