# SPDX-License-Identifier: Apache-2.0
"""A sample of every document, with every field filled."""

import dataclasses
from typing import Any

from placet.governance.codec import Json
from placet.governance.documents import (
    Amendment,
    Bearers,
    Between,
    Budget,
    Card,
    Charged,
    Charter,
    Constitution,
    Cost,
    Declared,
    Delete,
    Evidence,
    Exactly,
    Federate,
    Field,
    Grant,
    Input,
    Job,
    Krum,
    Layout,
    Lease,
    Mean,
    Median,
    Members,
    ModelRequest,
    Offer,
    Organisation,
    Output,
    Party,
    Predicate,
    Proposal,
    Raw,
    Receipt,
    Recipient,
    Release,
    Roster,
    Rounded,
    Rule,
    Seat,
    Seen,
    Serve,
    Tensor,
    TopClass,
    TrimmedMean,
    Update,
    When,
    new_header,
)  # fmt: skip
from placet.governance.documents.federation import BufferRule
from placet.governance.documents.serving import Sample
from placet.governance.keys import SigningKey
from placet.governance.rules import (
    Approvals,
    Independence,
    Lifetime,
    Organisations,
    Rationale,
    Role,
    Uses,
    Veto,
)
from placet.sealing import HPKEPrivateKey, ObjectDescriptor
from tests.support import documents as plain

KEY, OTHER = SigningKey.generate(), SigningKey.generate()
HPKE = HPKEPrivateKey.generate("X25519").public.to_text()
DIGEST, NONCE, NOW = "sha256:" + "ab" * 32, "0f" * 16, 1_800_000_000
LOG = "example.org/log+0123abcd+AVeyVQYjKp2vUyP1Jqg5mn3lYQWp1nYqcPyCvIQV6w5x"


def _header() -> Any:
    return new_header(DIGEST, Seen(7, DIGEST))


def _descriptor(kind: str = "dataset", labels: tuple[str, ...] = ("health",)) -> ObjectDescriptor:
    return ObjectDescriptor(NONCE, kind, labels, "12" * 32, 65536, 1, 60, "sha256:" + "34" * 32)


def _rule(id: str, **when: Any) -> Rule:
    conditions: Any = {"actions": ("job",), "purposes": ("research",), "labels": ("health",)}
    demands = (
        Approvals(1),
        Organisations(1),
        Role("chair", 1),
        Veto("dpo"),
        Independence("submitter"),
        Rationale(),
        Lifetime(3600),
        Uses(3),
    )
    return Rule(id, "Work on data", When(**(conditions | when)), demands)


def _evidence() -> Evidence:
    policy: Json = {"kinds": ["simulation"], "signers": "any", "notes": {"deep": ["x", 1, True]}}
    return Evidence(policy, policy)


def constitution() -> Constitution:
    seats = (
        Seat("cleo", "lab", "chair", (KEY.public,), NOW, NOW + 10),
        Seat("dora", "lab", "dpo", (OTHER.public,), NOW, NOW + 10),
    )
    party = Party("owner", "lab", (SigningKey.generate().public,))
    return plain.constitution(
        seats,
        [party],
        nonce=NONCE,
        version=2,
        predecessor=DIGEST,
        name="A council",
        organisations=(Organisation("lab", "The laboratory"),),
        rules=(_rule("health"), _rule("all", purposes="any", labels="any")),
        evidence=_evidence(),
    )


def _job() -> Job:
    inputs = {"rows": Input(_descriptor(), "owner")}
    parameters: dict[str, str | int | bool] = {"note": "any text", "rounds": 3}
    return plain.job(
        Recipient("lab", HPKE),
        inputs=inputs,
        parameters=parameters,
        outputs={"table": Output(1024)},
        privacy=Declared("1", "1e-6"),
    )


def _federate(rule: Any) -> Federate:
    layout = Layout((Tensor("layers.weight", (5, 3)),), "float32", 65536)
    model = Input(_descriptor("model"), "owner")
    roster = tuple(f"clinic-{n}" for n in range(6))
    fields: dict[str, Any] = {"model": model, "layout": layout, "rounds": 3, "smallest_cohort": 5}
    return plain.federate(roster, rule=rule, largest_weight=1, **fields)


def _noisy() -> Federate:
    buffers: dict[str, BufferRule] = {"batches": "home"}
    changes: dict[str, Any] = {"noise": "1", "model": None, "buffers": buffers}
    return dataclasses.replace(_federate(Mean("mean")), **changes)


def _serve(users: Any, shown: Any) -> Serve:
    card = Card("A net", ("public",), DIGEST, Declared("1", "1e-6"), NOW + 100)
    fields: dict[str, Any] = {"card": card, "answers": {"scores": shown}, "review": NOW + 5}
    fields["samples"] = {"x": Sample((2, 3), ("0.5", "-1"))}
    model = Input(_descriptor("model"), "owner")
    return plain.serve(model, users, privacy=Declared("1", "1e-6"), **fields)


def _proposal(body: Any) -> Proposal:
    return plain.proposal(_header(), DIGEST, "lab", body, NOW, not_after=NOW + 50, uses=3)


def _grant(**changes: Any) -> Grant:
    fields: Json = {
        "purposes": ("research",), "programs": (DIGEST,), "recipients": (HPKE,), "uses": 3,
        "parameters": {"note": Exactly("any text"), "rounds": Between(1, 3)}, "expires": NOW,
        "combine_with": ("clinic",), "approvals": ("cleo",), "privacy": Budget("1", "1e-6"),
    }  # fmt: skip
    fields |= changes
    return plain.grant(_header(), "owner", _descriptor(), _evidence(), **fields)


def _receipt() -> Receipt:
    charged = Charged({"owner": Cost(1, 2, 3)}, declared=True)
    return Receipt.about(
        Predicate(
            _header(), DIGEST, DIGEST, "job-1", 1, DIGEST, DIGEST, DIGEST, "research",
            {"note": "any text"}, {"rows": DIGEST}, {"table": _descriptor("result", ())},
            ("lab",), ("cleo",), "simulation", charged, ("SIMULATED",), 9, NOW, NOW,
        )
    )  # fmt: skip


def _offer() -> Offer:
    inputs, answers = (Field("rows", "float32", (0, 3)),), (Field("scores", "float32", (0, 2)),)
    return Offer(_header(), DIGEST, DIGEST, 0, HPKE, 60, inputs, answers, "independent")


SAMPLES: dict[str, Any] = {
    "ballot": plain.ballot(_header(), DIGEST, "cleo", DIGEST, NOW),
    "charter": Charter(NONCE, LOG, DIGEST),
    "constitution": constitution(),
    "delete": Delete(_header(), NONCE),
    "grant": _grant(),
    "grant any": _grant(
        purposes="any", programs="any", recipients="any", parameters="any", combine_with="any",
        privacy="none",
    ),
    "lease": Lease(_header(), NONCE, DIGEST, DIGEST, "job-1", 1, DIGEST, NOW),
    "model request": ModelRequest(_header(), DIGEST, 1, "clinic-1", HPKE),
    "offer": _offer(),
    "job": _proposal(_job()),
    "amend": _proposal(Amendment(DIGEST)),
    "federate mean": _proposal(_noisy()),
    "federate krum": _proposal(_federate(Krum("krum", 1, 2))),
    "federate median": _proposal(_federate(Median("median"))),
    "federate trimmed": _proposal(_federate(TrimmedMean("trimmed-mean", 20))),
    "serve roster": _proposal(_serve(Roster("roster", ("lab",)), Raw("raw"))),
    "serve members": _proposal(_serve(Members("organisations", ("lab",)), Rounded("rounded", 2))
    ),
    "serve tokens": _proposal(_serve(Bearers("tokens", {"nurse": DIGEST}), TopClass("top-class"))
    ),
    "receipt": _receipt(),
    "release": Release(
        _header(), DIGEST, DIGEST, {"table": _descriptor("result", ())},
        {"clinic-1": "NORM_EXCEEDED"},
    ),
    "stop": plain.stop(_header(), "cleo", "revoke-seat", "dora"),
    "update": Update(
        _header(), DIGEST, 1, "clinic-1", DIGEST, NONCE, "12" * 32, DIGEST, "any", "any"
    ),
}  # fmt: skip
