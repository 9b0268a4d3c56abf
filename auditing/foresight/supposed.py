# SPDX-License-Identifier: Apache-2.0
"""Ballots that nobody has cast, for judgements of what would be."""

from placet.governance.codec import encode
from placet.governance.documents import Ballot, Proposal, Vote
from placet.governance.envelope import Named, digest_of

_ASSUMED = "Assumed to be given."


def supposed_ballot(
    proposal: Named[Proposal],
    constitution: str,
    seat: str,
    vote: Vote,
    until: int,
    rationale: str = _ASSUMED,
) -> Named[Ballot]:
    """What a seat might say of a proposal under a constitution; a placet counts until then."""
    ballot = Ballot(
        header=proposal.document.header,
        seat=seat,
        proposal=proposal.digest,
        constitution=constitution,
        sequence=1,
        vote=vote,
        interests="",
        rationale=rationale,
        expires=until if vote == "placet" else None,
    )
    return Named(ballot, digest_of(encode(ballot)))
