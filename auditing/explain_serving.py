# SPDX-License-Identifier: Apache-2.0
"""The terms of a service as sentences, made from the same object that is judged."""

from collections.abc import Mapping

from placet.governance.documents.privacy import Declared
from placet.governance.documents.serving import (
    Bearers,
    Card,
    Members,
    Raw,
    Roster,
    Rounded,
    Sample,
    Shown,
    Users,
)
from placet.governance.documents.work.serve import Serve
from placet.governance.sentences import amount, count, duration, time_text, words
from placet.governance.text import quoted


def explain_serving(terms: Serve) -> list[str]:
    """Which model is served to whom, how much, and what of its answers they see."""
    rations, model = terms.rations, terms.model.object
    review = time_text(terms.review)
    lines = [
        f"It would serve the model {model.digest}, owned by {terms.model.owner}.",
        *explain_card(terms.card),
        _users(terms.users),
        (
            f"Each user is answered {count(rations.user, 'row')} in all, and all of them together "
            f"{rations.total}; no user more than {rations.minute} in a minute by one worker."
        ),
        (
            f"A worker that is lost takes at most {count(rations.tranche, 'row')} of a user's "
            "ration with it."
        ),
        *(_shown(name, shown) for name, shown in sorted(terms.answers.items())),
        (
            "Numbers that are not finite: a request with any is "
            f"{'accepted' if terms.not_finite == 'accept' else 'refused'}."
        ),
        (
            f"A request has at most {count(terms.largest_request, 'row')}; it and its answer have "
            f"at most {amount(terms.largest_question)} each."
        ),
        *_samples(terms.samples),
        _batch(terms),
        _privacy(terms.privacy),
        (
            f"From {review} on it goes on only while the ticket would be admitted anew: approvals "
            "that have expired no longer count."
        ),
        f"A worker serves for {duration(terms.deadline_seconds)}, and another takes its place.",
    ]
    return lines


def explain_card(card: Card) -> list[str]:
    """A model's card, which users are shown before they first ask."""
    lines = [
        *words("What the model is", card.title),
        (
            f"It was trained on data with the labels {', '.join(card.labels) or '(none)'}, says "
            "its owner."
        ),
    ]
    if card.receipt:
        lines.append(
            f"It was made from what this log released with the receipt {card.receipt}, says its "
            "owner."
        )
    else:
        lines.append("No receipt says how it was made.")
    if card.privacy is None:
        lines.append("Nothing is claimed about the privacy of the people in that data.")
    else:
        spent = f"epsilon {card.privacy.epsilon} and delta {card.privacy.delta}"
        lines.append(f"Its training cost the people in that data {spent}, says its owner.")
    lines.append(f"Nobody should use it after {time_text(card.retire_by)}.")
    return lines


def _users(users: Users) -> str:
    match users:
        case Roster():
            return f"These may ask it: {', '.join(users.users)}."
        case Members():
            return f"Everybody of these organisations may ask it: {', '.join(users.organisations)}."
        case Bearers():
            return f"A holder of one of these tokens may ask it: {', '.join(sorted(users.tokens))}."


def _shown(name: str, shown: Shown) -> str:
    match shown:
        case Raw():
            return f"Users see the output {quoted(name)} as the model gives it."
        case Rounded():
            return (
                f"Users see the output {quoted(name)} as numbers of "
                f"{count(shown.decimals, 'decimal')}."
            )
        case _:
            return (
                f"Users see which class of the output {quoted(name)} is the largest, and no "
                "numbers."
            )


def _samples(samples: Mapping[str, Sample]) -> list[str]:
    return [
        f"Workers try the input {quoted(name)} with a sample of its owner's, "
        f"{' x '.join(map(str, sample.shape)) or 'one number'}."
        for name, sample in sorted(samples.items())
    ]


def _batch(terms: Serve) -> str:
    if terms.batch == "shared":
        return f"Up to {count(terms.batch_rows, 'row')}, also of several users, are run together."
    return (
        f"Up to {count(terms.batch_rows, 'row')} of one user are run together, never those of two."
    )


def _privacy(privacy: Declared | None) -> str:
    if privacy is None:
        return (
            "Nothing is claimed about what all answers together tell: the owner's ledger has "
            "no bound from then on."
        )
    return (
        f"All answers together cost the model's owner epsilon {privacy.epsilon} and delta "
        f"{privacy.delta}, says the proposal; that is charged once."
    )
