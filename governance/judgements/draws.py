# SPDX-License-Identifier: Apache-2.0
"""Judging draws: a worker of a service takes a part of a user's ration before it answers, and what
it took is spent.

Pure, like leasing.py. An entry a draw and never one a question: what is lost with a worker is at
most a tranche a user, and no restart and no second worker gives anybody more than the terms say.
"""

from placet.governance.account import Times
from placet.governance.checks import check_range
from placet.governance.codec import to_plain
from placet.governance.documents import Serve
from placet.governance.documents.serving import MAX_ANSWERS, Rations
from placet.governance.entries.kind import Entry
from placet.governance.entries.services import DRAW
from placet.governance.judgements.grants import charges_due
from placet.governance.judgements.leasing import check_running
from placet.governance.ledger import Ledger
from placet.governance.state import ServiceState
from placet.refusals import AnswersUsedUp


def judge_draw(ledger: Ledger, lease: str, user: str, rows: int, times: Times) -> Entry:
    """As much of `rows` as a tranche, the user's ration and the total allow, for the worker that
    has the lease.

    The first draw of a service charges its owner for all its answers. Raises what `check_running`
    raises, `UserNotAllowed`, `AnswersUsedUp`, and `DocumentMalformed` for a lease of anything else,
    or no rows.
    """
    known = check_running(ledger, lease, times)
    proposal = ledger.proposal(known.proposal)
    terms: Serve = proposal.document.serve
    check_range("rows", rows, 1, MAX_ANSWERS)
    terms.check_user(ledger, user)
    user_left, total_left = rations_left(
        terms.rations, ledger.state.services.get(known.proposal), user
    )
    granted = min(rows, terms.rations.tranche, user_left, total_left)
    if granted < 1:
        raise AnswersUsedUp(
            f"All that the terms let {user} be answered has been. Have the service proposed anew "
            "with more.",
            claim="rations",
            expected=f"at most {terms.rations.user} rows, and {terms.rations.total} for everybody",
            actual=f"{user_left} left, and {total_left} for everybody",
        )
    return DRAW.new(
        times,
        {
            "lease": lease,
            "proposal": known.proposal,
            "user": user,
            "rows": granted,
            "charges": to_plain(charges_due(ledger, proposal, known.job)),
        },
    )


def rations_left(rations: Rations, service: ServiceState | None, user: str) -> tuple[int, int]:
    """Rows that can still be drawn for the user, and for everybody together."""
    found = service or ServiceState()
    return rations.user - found.drawn.get(user, 0), rations.total - found.total
