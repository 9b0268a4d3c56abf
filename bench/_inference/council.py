# SPDX-License-Identifier: Apache-2.0
"""Who serves a model in the benchmark: a council of one seat, the model's owner, and the user who
asks."""

import os
import time
from pathlib import Path

from _inference.models import Served
from hospitals import YEAR, Members

from placet.client import Client, GrantTerms, Keys
from placet.client.data.objects import seal_file
from placet.client.services import Token
from placet.governance.documents import (
    Constitution,
    Evidence,
    Input,
    Limits,
    Organisation,
    Party,
    Rule,
    Seat,
    When,
)
from placet.governance.documents.serving import Bearers, Card, Rations, Raw, Roster, Users
from placet.governance.documents.work.serve import Serve
from placet.governance.rules import Approvals, Lifetime, Organisations, Uses

MOST = 10**9  # rows, and rows a minute
TRANCHE = 10**6
LEASE_SECONDS = 60
BATCH_ROWS = 32


class Owner(Members):
    """One organisation in all parts but that of the user, who signs, or holds a token."""

    def __init__(self, folder: Path, *, token: bool) -> None:
        super().__init__(folder, ("seat",), uses=10)
        self._keys = Keys.generate("user")
        self.user = Token.generate() if token else self._keys

    def constitution(self) -> Constitution:
        """One approval."""
        now = int(time.time())
        (seat,) = self.seats.values()
        demands = (
            Approvals(1),
            Organisations(1),
            Lifetime(7 * 86400),
            Uses(self.uses),
        )
        return Constitution(
            nonce=os.urandom(16).hex(),
            version=1,
            predecessor=None,
            name="One owner",
            organisations=(Organisation("owner", "Owner"), Organisation("user", "User")),
            seats=(Seat("seat", "owner", "board", (seat.public.signing,), now - 60, now + YEAR),),
            parties=(
                Party("analyst", "owner", (self.analyst.public.signing,)),
                Party("user", "user", (self._keys.public.signing,)),
            ),
            labels=("public",),
            rules=(
                Rule("serving", "Serving", When(("serve",), ("research",), ("public",)), demands),
            ),
            evidence=Evidence(authority=self.wanted("authority"), worker=self.wanted("worker")),
            limits=Limits(lease_seconds=LEASE_SECONDS, join_seconds=600),
            witnesses="none",
            recovery="none",
        )

    def serve(self, client: Client, served: Served) -> str:
        """Found the log, seal the model, have the service approved and a worker ready; the digest
        of the proposal."""
        self.found(client)
        now = int(time.time())
        proposal = client.council.propose(
            self.analyst,
            self._terms(client, served, now),
            purpose="research",
            reason="To be timed.",
            not_before=now - 60,
            not_after=now + 86400,
            uses=self.uses,
        ).digest
        self.vote(client, proposal, *self.seats)
        client.runs.start(client.council.ticket(proposal), workers=1)
        for status in client.runs.watch(proposal):
            if status.service.ready:
                return proposal
        raise SystemExit("The service has ended before it began.")

    def _users(self) -> Users:
        if isinstance(self.user, Token):
            return Bearers("tokens", {"user": self.user.digest})
        return Roster("roster", (self.user.id,))

    def _terms(self, client: Client, served: Served, now: int) -> Serve:
        keys = self.analyst
        plain, sealed = self.folder / "model.onnx", self.folder / "model.sealed"
        plain.write_bytes(served.file)
        made = seal_file(plain, sealed, keys.hpke.public, kind="model", labels=("public",))
        client.blobs.put(made.descriptor.id, sealed, owner=keys.signing.public)
        terms = GrantTerms(
            purposes=("research",),
            programs="any",
            parameters="any",
            recipients="any",
            combine_with=(),
            evidence=None,
            witnesses="any",
            approvals=(),
            privacy="any",
            uses="any",
            expires=now + 30 * 86400,
            recoverable=False,
        )
        client.grants.provision(
            keys, client.grants.sign(keys, made.descriptor, terms), made.open_key(keys.hpke)
        )
        return Serve(
            model=Input(made.descriptor, keys.id),
            card=Card("To be timed", ("public",), "", None, now + 30 * 86400),
            users=self._users(),
            rations=Rations(user=MOST, total=MOST, minute=MOST, tranche=TRANCHE),
            answers={served.output: Raw("raw")},
            not_finite="refuse",
            largest_request=1,
            largest_question=1024 * 1024,
            samples={},
            batch="shared",
            batch_rows=BATCH_ROWS,
            privacy=None,
            review=now + 86400,
            deadline_seconds=86400,
        )
