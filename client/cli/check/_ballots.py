# SPDX-License-Identifier: Apache-2.0
"""What a member is shown before a ballot is signed."""

from pathlib import Path

from placet.auditing.differences import explain_differences
from placet.auditing.foresight.ballot import BallotForecast, foresee_ballot
from placet.client.blocking import Client
from placet.client.cli._words import short
from placet.client.cli.charter import read_constitution
from placet.client.cli.lookup._reading import now
from placet.client.cli.starting._drafts import fetch_draft
from placet.client.council.records import ProposalRecord
from placet.client.errors import FileRefused
from placet.governance.codec import encode
from placet.governance.documents import Amendment, Constitution, Job, Vote
from placet.governance.envelope import digest_of


def ballot_forecast(
    connected: Client,
    found: ProposalRecord,
    seat: str,
    vote: Vote,
    rationale: str,
    expires: int | None,
) -> BallotForecast:
    """Whether the rules would count this ballot, by the log as far as it was read."""
    return connected.log.judged(
        lambda ledger: foresee_ballot(
            ledger, found.proposal, seat, vote, rationale=rationale, expires=expires, times=now()
        )
    )


def voted_on(connected: Client, found: ProposalRecord, constitution: Path | None) -> list[str]:
    """What stands behind a digest that a proposal names: an amendment's changes in words, from the
    file of the draft or as the host gives it by that digest; of a program how to read it. Raises
    `FileRefused` for another draft."""
    body = found.document.body
    if isinstance(body, Job):
        read = f"placet program {short(found.digest)} --out FOLDER"
        return [f"Its program is only a digest here. Read the files before you vote: {read}"]
    if not isinstance(body, Amendment):
        return []
    if constitution is None:
        if (fetched := fetch_draft(connected, body.constitution)) is None:
            return [
                (
                    "The host has no draft of this digest. Ask its proposer for the file, and give "
                    "it with --constitution to be shown what it changes."
                )
            ]
        return _changes(found, fetched)
    draft = read_constitution(constitution)
    if (digest := digest_of(encode(draft))) != body.constitution:
        raise FileRefused(
            f"{constitution} is another draft than the proposal names. Ask its proposer for that.",
            claim="constitution",
            expected=body.constitution,
            actual=digest,
        )
    return _changes(found, draft)


def _changes(found: ProposalRecord, draft: Constitution) -> list[str]:
    return ["It changes the constitution so:", *explain_differences(found.rules, draft)]
