# SPDX-License-Identifier: Apache-2.0
"""Actions differ in these ways. A judgement asks the proposal's body, and never which action it is;
where a body says nothing here, it is as of a job."""

from typing import TYPE_CHECKING, ClassVar

from placet.governance.account import Times
from placet.governance.codec import encode
from placet.governance.documents.lease import Release
from placet.governance.documents.privacy import UNBOUNDED, Cost, Declared
from placet.governance.documents.rule import Action
from placet.governance.documents.work.parts import Input
from placet.governance.envelope import Signed, digest_of
from placet.refusals import OutputUndeclared

if TYPE_CHECKING:
    from placet.governance.documents.constitution import Constitution
    from placet.governance.documents.proposal import Proposal
    from placet.governance.ledger import Ledger
    from placet.governance.state import State


class Body:
    """The body of a proposal: a frozen dataclass."""

    __slots__ = ()

    ACTION: ClassVar[Action]
    # Whether a lease reserves what it costs.
    RESERVES: ClassVar[bool] = True
    # Whether what comes of it goes to keys that are chosen as one asks, which no grant can list.
    CHOSEN_KEYS: ClassVar[bool] = False

    # What it touches.

    @property
    def given(self) -> tuple[Input, ...]:
        """The objects that it takes grants for."""
        return ()

    @property
    def touched_labels(self) -> frozenset[str]:
        """The labels of all data that it touches."""
        labels = (label for given in self.given for label in given.object.labels)
        return frozenset((*labels, *self.own_labels))

    @property
    def touched_owners(self) -> frozenset[str]:
        """The principals whose data it touches."""
        return frozenset((*(given.owner for given in self.given), *self.contributors))

    @property
    def own_labels(self) -> tuple[str, ...]:
        """Labels of data that is no input."""
        return ()

    @property
    def contributors(self) -> tuple[str, ...]:
        """Whose data it touches that is no input."""
        return ()

    def users_under(self, constitution: "Constitution") -> frozenset[str]:
        """The principals of a constitution whom its terms let ask."""
        return frozenset()

    @property
    def audience(self) -> tuple[str, ...]:
        """Who may have what is released."""
        return ()

    # What a worker is launched for.

    @property
    def terms(self) -> bytes:
        """The canonical JSON of the terms that a worker is launched for; empty where it is launched
        for a program."""
        return encode(self)

    @property
    def launch_digest(self) -> str:
        """A worker has to be launched for this: the terms, where the program is built in."""
        return digest_of(self.terms)

    @property
    def puts_into_force(self) -> str:
        """The digest of a constitution; empty where it is no amendment."""
        return ""

    # What it costs.

    @property
    def privacy_terms(self) -> Declared | None:
        """The terms by which each owner of an input is charged; None: without bound."""
        return None

    @property
    def declared(self) -> bool:
        """Whether a receipt says that its charges rest on the word of a program's author."""
        return False

    @property
    def charges(self) -> dict[str, Cost]:
        """The charges to the ledger of each owner of an input, by the proposal's terms alone and by
        nothing that a worker says.

        A lease reserves it for each use of a job, a federation's `open` for each round; a service's
        first draw spends it. What a federation costs its clients is reserved by their updates.
        """
        owners = sorted({given.owner for given in self.given})
        return dict.fromkeys(owners, self.privacy_terms.cost if self.privacy_terms else UNBOUNDED)

    def is_charged(self, state: "State", proposal: str, job: str) -> bool:
        """Whether a use has been charged: it has been while its lease is open."""
        known = state.proposals.get(proposal)
        leases = known.jobs.get(job, []) if known else []
        return any(state.leases[lease].status == "open" for lease in leases)

    def update_charges(self, state: "State", proposal: str) -> dict[str, Cost]:
        """The charges besides, to those whose updates go into the release."""
        return {}

    # How it is judged.

    def check_proposed(self, proposal: "Proposal") -> None:
        """Refuse a proposal that contradicts its body. Raises `DocumentMalformed`."""
        return

    def check_named(self, ledger: "Ledger") -> None:
        """Everybody whom it lets take part exists, and whatever else it names."""
        return

    def check_job(self, state: "State", proposal: str, job: str) -> None:
        """Refuse a lease for a job that the log does not wait for."""
        return

    def check_left(self, ledger: "Ledger", release: Release, proposal: Signed["Proposal"]) -> None:
        """Whom a release leaves out. A job leaves nobody out."""
        if release.left:
            raise OutputUndeclared("A job leaves no client out.", claim="left", expected="nobody")

    def round_of(self, state: "State", proposal: str) -> tuple[int, int]:
        """The round that a release is of, and the first that whoever is left out may take part in
        again; 0 where there are no rounds."""
        return 0, 0

    def is_spared(self, proposal: "Proposal", times: Times) -> bool:
        """Whether what runs for it still has the exceptions of standing.py."""
        return True

    def holds_until(self, proposal: "Proposal", latest: int) -> int:
        """Until when a lease may hold, if `latest` is the constitution's limit."""
        return latest
