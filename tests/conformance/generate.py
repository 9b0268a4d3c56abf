# SPDX-License-Identifier: Apache-2.0
"""Writes the conformance cases: `python tests/conformance/generate.py [folder]`.

ticket/<name>[_fail]/ holds one ticket with one property:

    constitution.json   the constitution in force, in the envelope that every seat has signed
    ticket.json         {"proposal": <envelope>, "ballots": [<envelope>, ...]}
    case.toml           charter: the digest of the council's charter; at_least, at_most: Unix
                        seconds; expected: the reason of the refusal, "" for a valid ticket
    README.md           the property, in a sentence

Keys, ids and times are fixed, so the files are the same whenever they are written. An
implementation conforms if it lets through what has no `_fail` and refuses the rest, each for its
reason.
"""

import base64
import hashlib
import json
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from placet.governance.codec import encode
from placet.governance.documents import (
    Ballot,
    Constitution,
    Evidence,
    Header,
    Input,
    Organisation,
    Output,
    Party,
    Proposal,
    Recipient,
    Rule,
    Seat,
    Seen,
    When,
)
from placet.governance.envelope import digest_of, payload_type, sign, sign_payload
from placet.governance.keys import SigningKey
from placet.governance.rules import (
    Approvals,
    Independence,
    Lifetime,
    Notice,
    Organisations,
    Rationale,
    Role,
    Uses,
    Veto,
)
from placet.sealing import HPKEPublicKey, ObjectDescriptor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support import documents

NOW = 1_800_000_000
DAY = 86400
CHARTER = "sha256:" + "c4" * 32
OTHER_CHARTER = "sha256:" + "c5" * 32
EMPTY = Seen(0, "sha256:" + hashlib.sha256(b"").hexdigest())
_READER = X25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key().public_bytes_raw()

Bundle = list[bytes]


@dataclass
class Case:
    """A ticket about to be written. `bundle` gives its ballots for the proposal's digest."""

    name: str
    property: str
    bundle: Callable[["Case"], Bundle]
    expected: str = ""
    proposal: dict[str, Any] = field(default_factory=dict[str, Any])
    constitution: dict[str, Any] = field(default_factory=dict[str, Any])
    at_least: int = NOW
    at_most: int = NOW
    proposer: str = "lab"
    nonces: int = 0

    def header(self, charter: str = CHARTER) -> Header:
        self.nonces += 1
        return Header(_digest(f"{self.name} {self.nonces}")[:32], charter, EMPTY)

    def in_force(self) -> Constitution:
        return replace(CONSTITUTION, **self.constitution)

    def proposed(self) -> Proposal:
        fields: dict[str, Any] = {
            "constitution": digest_of(encode(self.in_force())),
            **self.proposal,
        }
        return replace(PROPOSAL, header=Header(_digest(self.name)[:32], CHARTER, EMPTY), **fields)

    def ballot(self, seat: str, vote: str = "placet", key: str = "", **changes: Any) -> bytes:
        """A ballot that its seat has signed, or whoever's key is named."""
        fields: dict[str, Any] = {"header": self.header(), "seat": seat, "vote": vote, **changes}
        proposed = self.proposed()
        base = replace(
            BALLOT, proposal=digest_of(encode(proposed)), constitution=proposed.constitution
        )
        return sign(replace(base, **fields), _key(key or seat))

    def quorum(self) -> Bundle:
        return [self.ballot("a"), self.ballot("c")]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _key(name: str) -> SigningKey:
    """The key of a name; anybody can make it, so it is for nothing but these files."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def _seat(id_: str, organisation: str, role: str, *keys: str) -> Seat:
    return Seat(
        id_,
        organisation,
        role,
        tuple(_key(k).public for k in keys or (id_,)),
        NOW - DAY,
        NOW + 365 * DAY,
    )


CONSTITUTION = documents.constitution(
    nonce="00" * 16,
    name="Conformance",
    organisations=tuple(Organisation(f"org-{x}", x) for x in "abcd"),
    seats=(
        _seat("a", "org-a", "chair", "a", "a/2"),
        _seat("a2", "org-a", "chair"),
        _seat("b", "org-b", "officer"),
        _seat("c", "org-c", "ethics"),
    ),
    parties=tuple(
        Party(id_, org, (_key(id_).public,)) for id_, org in (("owner", "org-b"), ("lab", "org-d"))
    ),
    rules=(
        Rule(
            "health",
            "Health data",
            When(("job",), ("research",), ("health",)),
            (
                Approvals(2),
                Organisations(2),
                Role("ethics", 1),
                Veto("officer"),
                Independence("submitter"),
                Rationale(),
                Lifetime(7 * DAY),
                Uses(3),
            ),
        ),
    ),
    evidence=Evidence({"kinds": ["simulation"]}, {"kinds": ["simulation"]}),
)
_DATA = ObjectDescriptor(
    "00" * 16, "dataset", ("health",), "00" * 32, 65536, 1, 1000, "sha256:" + "00" * 32
)
JOB = documents.job(
    Recipient("lab", HPKEPublicKey("X25519", _READER).to_text()),
    program="sha256:" + "00" * 32,
    inputs={"train": Input(_DATA, "owner")},
    parameters={"epochs": 3},
    outputs={"weights": Output(1000)},
    attempts=1,
    deadline_seconds=600,
)
PROPOSAL = documents.proposal(
    Header("00" * 16, CHARTER, EMPTY),
    "sha256:" + "00" * 32,
    "lab",
    JOB,
    NOW,
    reason="To see whether it is judged alike.",
    not_before=NOW,
    not_after=NOW + DAY,
)
BALLOT = documents.ballot(
    Header("00" * 16, CHARTER, EMPTY), "sha256:" + "00" * 32, "a", "sha256:" + "00" * 32, NOW
)


def _retyped(case: Case) -> Bundle:
    ballot = json.loads(case.ballot("b"))
    payload = base64.b64decode(ballot["payload"])
    return [*case.quorum(), sign_payload(payload, payload_type(Proposal), _key("b"))]


def _respelt(case: Case, change: Callable[[bytes], bytes]) -> Bundle:
    payload = base64.b64decode(json.loads(case.ballot("b"))["payload"])
    return [*case.quorum(), sign_payload(change(payload), payload_type(Ballot), _key("b"))]


_UNLISTED = replace(_DATA, labels=("Health",))
_HEALTH = CONSTITUTION.rules[0]
_LAX = replace(_HEALTH, id="lax", when=When(("job",), "any", "any"))

CASES = (
    Case(
        "quorum",
        "Two seats of two organisations, one of them of the role demanded, say placet.",
        Case.quorum,
    ),
    Case(
        "two_keys_of_one_seat_fail",
        "A seat that votes with both of its keys has one vote.",
        lambda c: [c.ballot("a"), c.ballot("a", key="a/2", sequence=2)],
        "RULE_NOT_MET",
    ),
    Case(
        "one_organisation_fail",
        "Two seats of one organisation are one organisation.",
        lambda c: [c.ballot("a"), c.ballot("a2")],
        "RULE_NOT_MET",
    ),
    Case(
        "role_missing_fail",
        "Enough seats of enough organisations, and none of the role demanded.",
        lambda c: [c.ballot("a"), c.ballot("b")],
        "RULE_NOT_MET",
    ),
    Case(
        "same_ballot_twice_fail",
        "A ballot that is there twice counts once.",
        lambda c: [c.ballot("c", header=PROPOSAL.header)] * 2,
        "RULE_NOT_MET",
    ),
    Case(
        "no_rationale_fail",
        "Where the rule demands a rationale, a ballot without one does not count.",
        lambda c: [c.ballot("a", rationale=" "), c.ballot("c")],
        "RULE_NOT_MET",
    ),
    Case(
        "veto_fail",
        "A non placet of a seat with a veto stops the ticket.",
        lambda c: [*c.quorum(), c.ballot("b", "non placet", expires=None)],
        "VETOED",
    ),
    Case(
        "veto_lifted",
        "The highest number among a seat's ballots counts, wherever it stands in the bundle.",
        lambda c: [
            c.ballot("b", sequence=2),
            *c.quorum(),
            c.ballot("b", "non placet", expires=None),
        ],
    ),
    Case(
        "equivocation_fail",
        "One sequence number with two contents counts as non placet, here of a seat with a veto.",
        lambda c: [*c.quorum(), c.ballot("b"), c.ballot("b", interests="some")],
        "VETOED",
    ),
    Case(
        "ballot_may_have_expired_fail",
        "A ballot expires by the later reading of the time.",
        lambda c: [c.ballot("a", expires=NOW + 4), c.ballot("c")],
        "RULE_NOT_MET",
        at_most=NOW + 5,
    ),
    Case(
        "veto_outlasts_term_fail",
        "A veto stands until its seat lifts it, also when the seat's term has ended.",
        lambda c: [*c.quorum(), c.ballot("b", "non placet", expires=None)],
        "VETOED",
        constitution={
            "seats": tuple(
                replace(s, term_end=NOW - 1) if s.id == "b" else s for s in CONSTITUTION.seats
            )
        },
    ),
    Case(
        "veto_with_expiry_fail",
        "Only a placet expires: a non placet that says when is refused.",
        lambda c: _respelt(c, lambda payload: payload.replace(b'"placet"', b'"non placet"')),
        "DOCUMENT_MALFORMED",
    ),
    Case(
        "placet_without_expiry_fail",
        "A placet says until when it counts.",
        lambda c: _respelt(
            c, lambda payload: payload.replace(b'"expires":%d' % (NOW + 2 * DAY), b'"expires":null')
        ),
        "DOCUMENT_MALFORMED",
    ),
    Case(
        "window_may_not_have_opened_fail",
        "The window opens by the earlier reading of the time.",
        Case.quorum,
        "TICKET_NOT_YET_VALID",
        {"not_before": NOW + 1},
        at_most=NOW + 5,
    ),
    Case(
        "window_may_have_closed_fail",
        "The window closes by the later reading of the time.",
        Case.quorum,
        "TICKET_EXPIRED",
        {"not_before": NOW - 9, "not_after": NOW + 4},
        at_most=NOW + 5,
    ),
    Case(
        "window_too_long_fail",
        "A window longer than the rule allows is refused.",
        Case.quorum,
        "RULE_NOT_MET",
        {"not_after": NOW + 7 * DAY + 1},
    ),
    Case(
        "term_ended_fail",
        "A seat whose term has ended does not approve.",
        Case.quorum,
        "RULE_NOT_MET",
        constitution={
            "seats": (replace(CONSTITUTION.seats[0], term_end=NOW - 1), *CONSTITUTION.seats[1:])
        },
    ),
    Case(
        "conflict_of_interest_fail",
        "The approvals of the proposer's own organisation do not count.",
        Case.quorum,
        "RULE_NOT_MET",
        {"proposer": "a2"},
        proposer="a2",
    ),
    Case(
        "notice_is_not_on_paper",
        "When the log took a proposal in is not on paper: a demand for notice is not judged.",
        Case.quorum,
        constitution={"rules": (replace(_HEALTH, demands=(*_HEALTH.demands, Notice(DAY))),)},
    ),
    Case(
        "no_rule_fail",
        "What no rule applies to is refused.",
        Case.quorum,
        "NO_RULE",
        {"purpose": "advertising"},
    ),
    Case(
        "unlisted_label_fail",
        "A label that the constitution does not list is refused, even if a rule for any label "
        "would let it through.",
        Case.quorum,
        "NO_RULE",
        {"body": replace(JOB, inputs={"train": Input(_UNLISTED, "owner")})},
        {"rules": (*CONSTITUTION.rules, _LAX)},
    ),
    Case(
        "other_log_fail",
        "A ballot for another council is refused, and the bundle with it.",
        lambda c: [*c.quorum(), c.ballot("b", header=c.header(OTHER_CHARTER))],
        "OTHER_LOG",
    ),
    Case(
        "other_constitution_fail",
        "A proposal under another constitution than the one in force is refused.",
        Case.quorum,
        "OTHER_CONSTITUTION",
        {"constitution": "sha256:" + "11" * 32},
    ),
    Case(
        "other_proposal_fail",
        "A ballot for another proposal has no place in the bundle.",
        lambda c: [*c.quorum(), c.ballot("b", proposal="sha256:" + "11" * 32)],
        "DOCUMENT_MALFORMED",
    ),
    Case(
        "forged_ballot_fail",
        "A ballot that its seat has not signed is refused, and the bundle with it.",
        lambda c: [*c.quorum(), c.ballot("b", key="a")],
        "SIGNATURE_INVALID",
    ),
    Case(
        "not_a_seat_fail",
        "A party has no vote.",
        lambda c: [*c.quorum(), c.ballot("lab")],
        "SEAT_UNKNOWN",
    ),
    Case(
        "payload_type_fail",
        "A ballot in an envelope that calls it a proposal is refused.",
        _retyped,
        "PAYLOAD_TYPE",
    ),
    Case(
        "unknown_field_fail",
        "A ballot with a field that no ballot has is refused.",
        lambda c: _respelt(c, lambda payload: payload[:-1] + b',"weight":2}'),
        "DOCUMENT_MALFORMED",
    ),
    Case(
        "doubled_field_fail",
        "A ballot that says one thing twice is refused, whichever of them a reader would take.",
        lambda c: _respelt(c, lambda payload: payload[:-1] + b',"vote":"placet"}'),
        "DOCUMENT_MALFORMED",
    ),
    Case(
        "other_layout",
        "Signatures and digests are over the bytes as they are: their layout is the writer's "
        "affair.",
        lambda c: _respelt(c, lambda payload: json.dumps(json.loads(payload), indent=1).encode()),
    ),
)


def write(folder: Path) -> None:
    """Write every case below `folder`."""
    for case in CASES:
        constitution = sign(case.in_force(), *(_key(seat.id) for seat in case.in_force().seats))
        proposal = sign(case.proposed(), _key(case.proposer))
        ballots = [json.loads(ballot) for ballot in case.bundle(case)]
        case.nonces = 0
        ticket = {"proposal": json.loads(proposal), "ballots": ballots}
        settings = {
            "charter": CHARTER,
            "at_least": case.at_least,
            "at_most": case.at_most,
            "expected": case.expected,
        }
        files = {
            "constitution.json": json.dumps(json.loads(constitution), indent=1, sort_keys=True)
            + "\n",
            "ticket.json": json.dumps(ticket, indent=1, sort_keys=True) + "\n",
            "case.toml": "".join(
                f"{name} = {json.dumps(value)}\n" for name, value in settings.items()
            ),
            "README.md": textwrap.fill(case.property, 100) + "\n",
        }
        target = folder / "ticket" / case.name
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (target / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
