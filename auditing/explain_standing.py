# SPDX-License-Identifier: Apache-2.0
"""How a proposal stands, as sentences, and who did what to it."""

from collections.abc import Mapping

from placet.auditing.standing import Act, ProposalStanding
from placet.governance.sentences import listed, time_text, words
from placet.governance.text import quoted

_STATES: Mapping[str, str] = {
    "waiting": "waits for votes, or for what else its rules demand",
    "refused": "can be approved by no vote",
    "approved": "is approved",
    "running": "runs",
    "used up": "is used up",
    "paused": "is paused",
    "vetoed": "is vetoed",
    "cancelled": "is cancelled",
    "revoked": "is stopped, since its program was revoked",
    "expired": "has expired",
    "retired": "was retired by an amendment",
}
_DEEDS: Mapping[str, str] = {
    "proposed": "proposed it",
    "pause": "paused it",
    "veto": "vetoed it",
    "cancel": "cancelled it",
    "revoke-program": "revoked its program",
}
_REMEDIES: Mapping[str, str] = {
    "refused": "Propose again within the rules, or amend them.",
    "paused": "A pause cannot be taken back: propose again if the council still wants it.",
    "vetoed": "Propose again if the council still wants it.",
    "cancelled": "Propose again if the council still wants it.",
    "revoked": "Propose again with another program.",
    "used up": "Propose again for more uses.",
    "expired": "Propose again and have it voted on.",
    "retired": "Propose again under the constitution in force.",
}


def explain_standing(standing: ProposalStanding) -> list[str]:
    """How it stands, then each thing that somebody did to it."""
    by = f", by {listed(standing.by)}" if standing.by else ""
    entry = "" if standing.entry is None else f" (entry {standing.entry})"
    since = time_text(standing.since)
    lines = [
        f"The proposal {_STATES[standing.state]}, since {since}{entry}{by}.",
        f"Uses taken: {standing.taken} of {standing.uses}.",
    ]
    if standing.opens:
        lines.append(f"Nothing of it may start before {time_text(standing.opens)}.")
    if standing.state == "vetoed" and standing.voting:
        lines.append("The seat that said non placet can lift its veto by a later ballot.")
    elif standing.state in _REMEDIES:
        lines.append(_REMEDIES[standing.state])
    for act in standing.acts:
        lines += _act(standing, act)
    return lines


def stopped_by(standing: ProposalStanding) -> str:
    """Who stopped it, when and why, in one sentence with the words of the stop in quotes."""
    act = next(act for act in standing.acts if act.index == standing.entry)
    reason = standing.words.get(act.document)
    why = f": {quoted(reason)}" if reason else ""
    deed = _DEEDS.get(act.deed, f"said {act.deed} to it")
    return f"{act.by} {deed} at {time_text(act.at)} (entry {act.index}){why}."


def _act(standing: ProposalStanding, act: Act) -> list[str]:
    deed = _DEEDS.get(act.deed, f"said {act.deed}")
    lines = [f"Entry {act.index}, {time_text(act.at)}: {act.by} {deed}."]
    # A proposal's reason is told with the proposal.
    if act.deed == "proposed" or act.document not in standing.words:
        return lines
    text = standing.words[act.document]
    if text is None:
        return [*lines, "The host does not show what was signed for it."]
    return lines + (words(f"The reason of {act.by}", text) if text.strip() else [])
