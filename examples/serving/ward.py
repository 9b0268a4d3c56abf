# SPDX-License-Identifier: Apache-2.0
"""The cast of the inference demo: the council of the first one, and two doctors who ask."""

import dataclasses
import time
from pathlib import Path

from hospitals import Council
from serving import diagnosis, sentences

from placet.client import Client, Keys, SealedObject
from placet.governance.documents import Constitution, Input, Party, Rule, When
from placet.governance.documents.serving import (
    USUAL_QUESTION,
    Card,
    Rations,
    Raw,
    Roster,
    Rounded,
)
from placet.governance.documents.work.serve import Serve

DOCTORS = {"ada": "north", "ben": "west"}
DECIMALS = 2
DAY = 86400


class Ward(Council):
    """Who decides about patients' data decides about models as well; the doctors are parties,
    without a vote."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.doctors = {name: Keys.generate(name) for name in DOCTORS}
        for name, keys in self.doctors.items():
            self.keep(name, keys)

    def constitution(self) -> Constitution:
        """A rule more: what it takes to train on health data it takes to serve a model, whatever
        its labels."""
        made = super().constitution()
        doctors = (
            Party(name, DOCTORS[name], (keys.public.signing,))
            for name, keys in self.doctors.items()
        )
        serving = Rule(
            "serving", "Serving models", When(("serve",), "any", "any"), made.rules[0].demands
        )
        return dataclasses.replace(
            made, parties=(*made.parties, *doctors), rules=(*made.rules, serving)
        )

    def propose_service(self, client: Client, terms: Serve, reason: str) -> str:
        """Propose a service, and three seats say placet; the proposal's digest."""
        now = int(time.time())
        proposal = client.council.propose(
            self.analyst,
            terms,
            purpose="care",
            reason=reason,
            not_before=now - 60,
            not_after=now + DAY,
            uses=self.uses,
        ).digest
        self.vote(client, proposal, "north", "south", "privacy")
        return proposal


def diagnosis_terms(model: SealedObject, receipt: str) -> Serve:
    """The hospitals' own model: probabilities of two decimals, and not many of them."""
    return _terms(
        model,
        Card(
            title="Benign or malignant, from 30 measurements of a biopsy",
            labels=("health",),
            receipt=receipt,
            privacy=None,
            retire_by=int(time.time()) + 300 * DAY,
        ),
        Rations(user=200, total=400, minute=10_000, tranche=50),
        answers={
            diagnosis.LABEL: Raw("raw"),
            diagnosis.PROBABILITIES: Rounded("rounded", DECIMALS),
        },
        largest_request=32,
    )


def sentence_terms(model: SealedObject) -> Serve:
    """A public model, for questions that are not."""
    return _terms(
        model,
        Card(
            title="all-MiniLM-L6-v2: sentences as vectors",
            labels=(),
            receipt="",
            privacy=None,
            retire_by=int(time.time()) + 300 * DAY,
        ),
        Rations(user=100_000, total=200_000, minute=100_000, tranche=1000),
        answers={sentences.ANSWER: Raw("raw")},
        largest_request=4,
    )


def _terms(
    model: SealedObject,
    card: Card,
    rations: Rations,
    *,
    answers: dict[str, Raw | Rounded],
    largest_request: int,
) -> Serve:
    return Serve(
        model=Input(model.descriptor, "analyst"),
        card=card,
        users=Roster("roster", tuple(DOCTORS)),
        rations=rations,
        answers={**answers},
        not_finite="refuse",
        largest_request=largest_request,
        largest_question=USUAL_QUESTION,
        samples={},
        batch="shared",
        batch_rows=64,
        privacy=None,
        review=int(time.time()) + DAY,
        deadline_seconds=3600,
    )
