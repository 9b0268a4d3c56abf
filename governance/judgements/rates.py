# SPDX-License-Identifier: Apache-2.0
"""How many documents one principal may have entered within a time.

The constitution bounds them (`limits.documents`), so that nobody makes the log, and all who read
it, carry without end what decides nothing. Whatever says no is outside the bound, and does not
count: stops, and the ballots of `StandingBallots.says_no`. A no that had to wait would be no stop.
A yes that is taken back was counted when it was given, so yes and no in turn are bounded too.
"""

from placet.governance.account import Times
from placet.governance.ledger import Ledger
from placet.refusals import TooManyDocuments


def check_rate(ledger: Ledger, principal: str, times: Times, beside: int = 0) -> None:
    """Whether a principal may have one more document entered now, with `beside` that would enter
    before it. Raises `TooManyDocuments`, which says from when on one is taken."""
    limits = ledger.in_force().constitution.limits
    entered = ledger.state.entered.get(principal, ())
    room = limits.documents - beside
    if len(entered) < room:
        return
    oldest = entered[-room] if room > 0 else times.at_most
    taken_at = oldest + limits.documents_seconds
    if times.at_most >= taken_at:
        return
    raise TooManyDocuments(
        f"The constitution allows {principal} {limits.documents} document(s) within "
        f"{limits.documents_seconds} seconds. The next is taken in "
        f"{taken_at - times.at_most} seconds; a stop and a non placet are taken at once.",
        claim="limits.documents",
        expected=f"at or after {taken_at}",
        actual=str(times.at_most),
    )
