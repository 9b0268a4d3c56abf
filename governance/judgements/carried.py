# SPDX-License-Identifier: Apache-2.0
"""How far amendments carry a proposal: each leaves alone what it rests on, or ends it for good.

A proposal with its ballots rests on
  1. the evidence policies: the authority's, and the workers' as far as it is about this launch;
  2. the words on witnesses and recovery;
  3. the labels of its data, and each rule that applies to it, by its demands;
  4. who its proposer is, its owners, clients, recipients and users, and each seat that has voted:
     the organisation, the role, the keys.
The newest constitution that leaves all this alone judges the proposal and its ballots. Other seats,
terms, limits and rules may change: how they stand now is judged now. A proposal to amend rests on
the whole constitution. An amendment that ended a proposal is not undone by a later one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from placet.governance.codec import Json
from placet.governance.documents import Ballot, Constitution, Proposal, Seat
from placet.governance.envelope import Signed, inspect
from placet.governance.evaluate import (
    InForce,
    Ticket,
    check_ballots,
    verify_ballot,
    verify_proposal,
)
from placet.refusals import OtherConstitution


@dataclass(frozen=True, slots=True)
class Carried:
    """The newest constitution that a proposal stands under, by its digest, and in words what the
    next one changes of what it rests on: nothing where there is no next one."""

    constitution: str
    changed: tuple[str, ...] = ()


def carried(
    chain: Mapping[str, Constitution], proposal: Signed[Proposal], ballots: Iterable[Signed[Ballot]]
) -> Carried:
    """How far a proposal is carried. chain: the constitutions of a log by digest, oldest first.

    Raises `OtherConstitution` where the proposal, or a ballot, names none of them, or one before
    the proposal's.
    """
    since = _since(chain, proposal.document.constitution)
    voted: dict[str, set[str]] = {digest: set() for digest in since}
    for ballot in ballots:
        if ballot.document.constitution not in voted:
            raise _other(ballot.document.constitution, since[0], "The ballot")
        voted[ballot.document.constitution].add(ballot.document.seat)
    seats: set[str] = set()
    for before, after in pairwise(since):
        seats |= voted[before]
        changed = changes(chain[before], chain[after], proposal.document, seats)
        if changed:
            return Carried(before, changed)
    return Carried(since[-1])


def changes(
    before: Constitution, after: Constitution, proposal: Proposal, voted: Collection[str]
) -> tuple[str, ...]:
    """What a proposal rests on that differs between two constitutions, in words. voted: the ids of
    the seats that have."""
    old, new = (_rests_on(one, proposal, voted) for one in (before, after))
    return tuple(name for name in {**old, **new} if old.get(name) != new.get(name))


def verify_papers(
    ticket: Ticket, chain: Mapping[str, Constitution], charter: str
) -> tuple[Signed[Proposal], tuple[Signed[Ballot], ...]]:
    """The documents of a ticket, each verified under the constitution of the chain that it names.

    Raises what `verify_proposal`, `verify_ballot` and `check_ballots` raise.
    """

    def named(envelope: bytes, cls: type[Proposal] | type[Ballot]) -> InForce:
        digest = inspect(envelope, cls).constitution
        if digest not in chain:
            raise _other(digest, list(chain)[-1], f"The {cls.KIND}")
        return InForce(chain[digest], digest, charter)

    proposal = verify_proposal(ticket.proposal, named(ticket.proposal, Proposal))
    ballots = tuple(verify_ballot(ballot, named(ballot, Ballot)) for ballot in ticket.ballots)
    return proposal, check_ballots(ballots, proposal)


def check_carried(
    chain: Mapping[str, Constitution],
    digest: str,
    proposal: Signed[Proposal],
    ballots: Iterable[Signed[Ballot]],
) -> None:
    """A proposal was carried to this constitution of the chain. Raises `OtherConstitution`."""
    until = list(chain)[: list(chain).index(digest) + 1]
    check_newest(carried({one: chain[one] for one in until}, proposal, ballots), digest)


def check_newest(found: Carried, newest: str) -> None:
    """Refuse a proposal that an amendment has ended. Raises `OtherConstitution`."""
    if found.constitution != newest:
        raise OtherConstitution(
            f"An amendment has changed {', '.join(found.changed)}, and the proposal rests on that. "
            "Propose again.",
            claim="proposal",
            expected=newest,
            actual=found.constitution,
        )


def evidence_for(policy: Json, launched: Collection[str]) -> Json:
    """An evidence policy as far as it is about enclaves that are launched for these digests."""

    def listed(field: str, about: str) -> Json:
        values: object = policy.get(field)
        if isinstance(values, str) or not isinstance(values, Collection):
            return {}
        entries = map(str, cast("Collection[object]", values))
        return {field: [one for one in entries if _about(one, about) in ("", *launched)]}

    return {**policy, **listed("measurements", "="), **listed("launched_for", "")}


def _about(entry: str, separator: str) -> str:
    """The digest that an entry of a list is about; empty where it is about any."""
    return entry.partition(separator)[2] if separator else entry


def _rests_on(
    constitution: Constitution, proposal: Proposal, voted: Collection[str]
) -> dict[str, object]:
    """All that a proposal rests on, by how it is called."""
    body, evidence = proposal.body, constitution.evidence
    if body.puts_into_force:
        return {"the constitution that it amends": constitution}
    rules = [
        rule
        for rule in constitution.rules
        if rule.when.applies(proposal.action, proposal.purpose, proposal.labels)
    ]
    concerned = (*proposal.owners, *body.audience, *body.users_under(constitution))
    named = {proposal.proposer, *concerned, *voted}
    return {
        "the evidence of the authority": evidence.authority,
        "the evidence of its workers": evidence_for(evidence.worker, [body.launch_digest]),
        "the word on witnesses": constitution.witnesses,
        "the word on recovery": constitution.recovery,
        "the labels of its data": proposal.labels & frozenset(constitution.labels),
        **{f"rule {rule.id}": frozenset(rule.demands) for rule in rules},
        **{f"who {id} is": _who(constitution, id) for id in sorted(named)},
    }


def _who(constitution: Constitution, id: str) -> object:
    """The organisation, the role and the keys of a principal; None for nobody."""
    for one in constitution.principals:
        if one.id == id:
            role = one.role if isinstance(one, Seat) else None
            return one.organisation, role, frozenset(one.keys)
    return None


def _since(chain: Mapping[str, Constitution], digest: str) -> list[str]:
    """The digests of a chain from one on."""
    digests = list(chain)
    if digest not in chain:
        raise _other(digest, digests[-1], "The proposal")
    return digests[digests.index(digest) :]


def _other(digest: str, expected: str, what: str) -> OtherConstitution:
    return OtherConstitution(
        f"{what} is under a constitution that this log does not have, or one before the proposal. "
        "Sign it again under the one in force.",
        claim="constitution",
        expected=expected,
        actual=digest,
    )
