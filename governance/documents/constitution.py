# SPDX-License-Identifier: Apache-2.0
"""The constitution: who belongs, who votes, by which rules, on which evidence. Nothing in it means
"anything" by absence.

Seats vote. Parties do not: they own data, own models, or submit jobs. Both are *principals*: they
have keys and belong to an organisation. The genesis constitution is version 1 without a
predecessor; each later one names the digest of the one before it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from placet.governance.checks import (
    check_digest,
    check_distinct,
    check_identifier,
    check_name,
    check_nonce,
    check_range,
    check_window,
)
from placet.governance.codec import Json
from placet.governance.documents.rule import Rule
from placet.governance.keys import PublicKey
from placet.governance.rules.facts import Electorate
from placet.governance.rules.kind import contradiction
from placet.refusals import SeatUnknown, SignerUnknown


@dataclass(frozen=True, slots=True)
class Organisation:
    """A member organisation; `name` is for people."""

    id: str
    name: str

    def __post_init__(self) -> None:
        check_identifier("organisation.id", self.id)
        check_name("organisation.name", self.name)


@dataclass(frozen=True, slots=True)
class Seat:
    """A vote in the council. Several keys may act for a seat; it still has one vote. The term is in
    Unix seconds."""

    MOST: ClassVar[int] = 512

    id: str
    organisation: str
    role: str
    keys: tuple[PublicKey, ...]
    term_start: int
    term_end: int

    def __post_init__(self) -> None:
        for claim, value in (
            ("id", self.id),
            ("organisation", self.organisation),
            ("role", self.role),
        ):
            check_identifier("seat." + claim, value)
        check_window("seat.term", self.term_start, self.term_end)


@dataclass(frozen=True, slots=True)
class Party:
    """A principal without a vote: a data owner, a model owner, a submitter."""

    MOST: ClassVar[int] = 1024

    id: str
    organisation: str
    keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        check_identifier("party.id", self.id)
        check_identifier("party.organisation", self.organisation)


MOST_DOCUMENTS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds in seconds: how long a lease holds before it must be renewed, and a join before it
    must be used.

    One principal has at most `documents` proposals, ballots and grants entered within any
    `documents_seconds`. Stops, and ballots that say no, are always taken, and do not count.
    """

    lease_seconds: int
    join_seconds: int
    documents: int = 1000
    documents_seconds: int = 3600

    def __post_init__(self) -> None:
        check_range("limits.lease_seconds", self.lease_seconds, 1, 3600)
        check_range("limits.join_seconds", self.join_seconds, 10, 24 * 3600)
        check_range("limits.documents", self.documents, 1, MOST_DOCUMENTS)
        check_range("limits.documents_seconds", self.documents_seconds, 1, 366 * 24 * 3600)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Appraisal policies by role, in the form that `placet.attestation.Policy` reads."""

    authority: Json
    worker: Json


@dataclass(frozen=True, slots=True)
class Constitution:
    """The whole of it. Raises `ConstitutionInvalid` where its parts contradict each other."""

    KIND: ClassVar[str] = "constitution"

    nonce: str
    version: int
    predecessor: str | None
    name: str
    organisations: tuple[Organisation, ...]
    seats: tuple[Seat, ...]
    parties: tuple[Party, ...]
    labels: tuple[str, ...]
    rules: tuple[Rule, ...]
    evidence: Evidence
    limits: Limits
    # "none" is the only word that this version knows: neither witnesses nor recovery are built yet.
    witnesses: Literal["none"]
    recovery: Literal["none"]

    def __post_init__(self) -> None:
        check_nonce("nonce", self.nonce)
        check_name("name", self.name)
        check_range("version", self.version, 1, 2**31)
        if (self.version == 1) != (self.predecessor is None):
            raise contradiction(
                "predecessor", "none at version 1, one at any later version", "the other"
            )
        if self.predecessor is not None:
            check_digest("predecessor", self.predecessor)
        for label in self.labels:
            check_identifier("labels", label)
        self._check_distinct()
        self._check_references()

    @property
    def principals(self) -> tuple[Seat | Party, ...]:
        """Seats, then parties."""
        return self.seats + self.parties

    def principal(self, id_: str) -> Seat | Party:
        """The seat or party of this id. Raises `SignerUnknown`."""
        for principal in self.principals:
            if principal.id == id_:
                return principal
        raise SignerUnknown(
            f"The constitution knows no seat or party {id_!r}. Ask the council to add it, or name "
            "one that it knows.",
            claim="principal",
            expected="a seat or party of the constitution",
            actual=id_,
        )

    def seat(self, id_: str) -> Seat:
        """The seat of this id. Raises `SeatUnknown`."""
        for seat in self.seats:
            if seat.id == id_:
                return seat
        raise SeatUnknown(
            f"The constitution has no seat {id_!r}. Its seats: "
            f"{', '.join(s.id for s in self.seats)}.",
            claim="seat",
            expected="a seat of the constitution",
            actual=id_,
        )

    @property
    def seat_keys(self) -> list[PublicKey]:
        """The keys of every seat."""
        return [key for seat in self.seats for key in seat.keys]

    def keys_of(self, id_: str) -> tuple[PublicKey, ...]:
        """The keys of a principal. Raises `SignerUnknown`."""
        return self.principal(id_).keys

    def _check_distinct(self) -> None:
        principals = self.principals
        if not self.seats or not self.rules:
            raise contradiction("seats and rules", "at least one of each", "none")
        for claim, ids in (
            ("organisations", [o.id for o in self.organisations]),
            ("seats and parties", [p.id for p in principals]),
            ("labels", list(self.labels)),
            ("rules", [r.id for r in self.rules]),
        ):
            check_distinct(claim, ids)
        keys = [key.text for principal in principals for key in principal.keys]
        if len(set(keys)) != len(keys):
            raise contradiction("keys", "a key for one seat or party alone", "one key listed twice")
        if not all(principal.keys for principal in principals):
            raise contradiction("keys", "at least one key a principal", "a principal without keys")

    def _check_references(self) -> None:
        known = {o.id for o in self.organisations}
        for principal in self.principals:
            if principal.organisation not in known:
                raise contradiction(
                    "organisation", "one of the organisations listed", principal.organisation
                )
        electorate, labels = Electorate.of(self.seats), frozenset(self.labels)
        for rule in self.rules:
            for label in _listed(rule.when.labels):
                if label not in labels:
                    expected = "one that the constitution lists"
                    raise contradiction(f"rule {rule.id}: labels", expected, label)
            for demand in rule.demands:
                demand.check(f"rule {rule.id}", electorate)


def _listed(values: tuple[str, ...] | str) -> tuple[str, ...]:
    return () if isinstance(values, str) else values
