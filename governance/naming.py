# SPDX-License-Identifier: Apache-2.0
"""Whom and what a proposal names beside its owners: clients of a federation, users and receipt of a
service."""

from placet.governance.documents import Federate, Members, Proposal, Roster, Serve
from placet.governance.documents.constitution import Constitution
from placet.governance.documents.serving import Users
from placet.governance.errors import CohortTooSmall, ReceiptInvalid, UserNotAllowed
from placet.governance.ledger import Ledger


def check_named(ledger: Ledger, proposal: Proposal) -> None:
    """Everybody that the proposal lets take part exists, and the receipt of a model's card.

    Raises what `Constitution.principal` raises, `CohortTooSmall`, `UserNotAllowed`,
    `ReceiptInvalid`.
    """
    constitution = ledger.in_force().constitution
    if isinstance(proposal.body, Federate):
        _check_roster(constitution, proposal.body)
    elif isinstance(proposal.body, Serve):
        _check_users(constitution, proposal.body.users)
        _check_receipt(ledger, proposal.body.card.receipt)


def check_user(ledger: Ledger, users: Users, user: str) -> None:
    """Whether the terms let this user ask: a principal by its id, or a token by its name. Raises
    `UserNotAllowed`.

    Principals are those of the constitution in force; a seat that was revoked asks for nothing any
    more.
    """
    constitution, revoked = ledger.in_force().constitution, ledger.state.revoked_seats
    known = {p.id: p.organisation for p in constitution.principals if p.id not in revoked}
    match users:
        case Roster():
            allowed = user in users.users and user in known
        case Members():
            allowed = known.get(user, "") in users.organisations
        case _:
            allowed = user in users.tokens
    if not allowed:
        raise UserNotAllowed(
            "The terms of the service do not let this user ask. Have it proposed with them.",
            claim="users",
            expected="one whom the terms name",
            actual=user,
        )


def _check_roster(constitution: Constitution, terms: Federate) -> None:
    """They are of enough organisations."""
    found = len({constitution.principal(client).organisation for client in terms.roster})
    if found < terms.smallest_cohort:
        raise CohortTooSmall(
            "The roster is of fewer organisations than a round needs.",
            claim="smallest_cohort",
            expected=f"at most {found}",
            actual=str(terms.smallest_cohort),
        )


def _check_users(constitution: Constitution, users: Users) -> None:
    if isinstance(users, Roster):
        for user in users.users:
            constitution.principal(user)
    elif isinstance(users, Members):
        known = {organisation.id for organisation in constitution.organisations}
        for organisation in users.organisations:
            if organisation not in known:
                raise UserNotAllowed(
                    "The constitution has no such organisation.",
                    claim="users.organisations",
                    expected=", ".join(sorted(known)),
                    actual=organisation,
                )


def _check_receipt(ledger: Ledger, receipt: str) -> None:
    """What a card says of a receipt is checked; all else in it is its author's word."""
    if receipt and all(lease.receipt != receipt for lease in ledger.state.leases.values()):
        raise ReceiptInvalid(
            "No release of this log has the receipt that the model's card names.",
            claim="card.receipt",
            actual=receipt,
        )
