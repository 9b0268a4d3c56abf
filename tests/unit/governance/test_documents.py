# SPDX-License-Identifier: Apache-2.0
"""Every kind of document: written and read again, and everything that is not quite one."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.codec import MAX_DOCUMENT, decode, encode
from placet.governance.documents import (
    Ballot,
    Charter,
    Constitution,
    Delete,
    Grant,
    Lease,
    Proposal,
    Receipt,
    Release,
    Stop,
)
from placet.governance.envelope import (
    Document,
    inspect,
    parse_envelope,
    payload_type,
    sign,
    sign_payload,
)
from placet.governance.keys import SigningKey
from placet.governance.rules import Approvals, Organisations, Role, Veto
from placet.refusals import (
    ConstitutionInvalid,
    DocumentMalformed,
    DocumentTooLarge,
    PayloadType,
    Refusal,
)

KINDS: dict[str, type[Any]] = {
    cls.KIND: cls
    for cls in (
        Ballot,
        Charter,
        Constitution,
        Delete,
        Grant,
        Lease,
        Proposal,
        Receipt,
        Release,
        Stop,
    )
}
DIGEST = "sha256:" + "12" * 32


@pytest.fixture
def samples(founded: Any) -> dict[str, Document]:
    """One document of every kind."""
    founded.give()
    lease = founded.lease(founded.ticket(), founded.join())["lease"]
    entry = founded.release(lease)
    return {
        "ballot": founded.ballot("chair-a", DIGEST),
        "charter": Charter(founded.nonce(), founded.log, DIGEST),
        "constitution": founded.constitution,
        "delete": Delete(founded.header(), "00" * 16),
        "grant": founded.grant(),
        "lease": inspect(founded.store[lease], Lease),
        "proposal": founded.proposal(),
        "receipt": inspect(founded.store[entry["receipt"]], Receipt),
        "release": inspect(founded.store[entry["release"]], Release),
        "stop": founded.stop("chair-a", "pause", DIGEST),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_reads_as_the_same_and_writes_as_the_same(
    kind: str, samples: dict[str, Document]
) -> None:
    document = samples[kind]
    data = encode(document)
    read = decode(KINDS[kind], data)
    assert read == document
    assert encode(read) == data


@pytest.mark.parametrize("kind", KINDS)
def test_another_layout_of_the_same_json_is_read_too(
    kind: str, samples: dict[str, Document]
) -> None:
    data = encode(samples[kind])
    spread = json.dumps(json.loads(data), indent=3).encode()
    assert encode(decode(KINDS[kind], spread)) == data


Spoil = Callable[[bytes, str], bytes]


def _field(data: bytes, name: str, value: object) -> bytes:
    return json.dumps({**json.loads(data), name: value}).encode()


SPOILT: dict[str, Spoil] = {
    "nothing": lambda data, _: b"",
    "not json": lambda data, _: b"document",
    "not utf-8": lambda data, _: b"\xff" + data,
    "a byte order mark": lambda data, _: b"\xef\xbb\xbf" + data,
    "cut short": lambda data, _: data[:-1],
    "half of it": lambda data, _: data[: len(data) // 2],
    "something after it": lambda data, _: data + b"{}",
    "a list": lambda data, _: b"[" + data + b"]",
    "null": lambda data, _: b"null",
    "an unknown field": lambda data, _: _field(data, "more", 1),
    "an unknown field nobody would want to read": lambda data, _: _field(data, "\u202e\ud800", 1),
    "a field twice": lambda data, first: data[:-1] + f',"{first}":null}}'.encode(),
    "a field less": lambda data, first: encode(
        {name: value for name, value in json.loads(data).items() if name != first}
    ),
    "null for a field": lambda data, first: _field(data, first, None),
    "a number for a field": lambda data, first: _field(data, first, 1.5),
    "true for a field": lambda data, first: _field(data, first, True),
    "a list for a field": lambda data, first: _field(data, first, [[1]]),
    "infinity for a field": lambda data, first: (
        data[:-1].replace(f'"{first}":'.encode(), b'"x":') + f',"{first}":Infinity}}'.encode()
    ),
    "a deep nest": lambda data, first: b'{"a":' * 100_000,
    "a deep nest for a field": lambda data, first: (
        data[:-1] + f',"more":{"[" * 5000}{"]" * 5000}}}'.encode()
    ),
}


@pytest.mark.parametrize("case", SPOILT)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_quite_a_document_is_refused(
    kind: str, case: str, samples: dict[str, Document]
) -> None:
    data = encode(samples[kind])
    for first in json.loads(data):
        if (case, first) in (
            ("null for a field", "predecessor"),
            ("true for a field", "recoverable"),
        ):
            continue
        with pytest.raises(Refusal) as refusal:
            decode(KINDS[kind], SPOILT[case](data, first))
        said = str(refusal.value) + "".join(refusal.value.details.values())
        assert said.isprintable()


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_beyond_its_bound_is_refused_unread(kind: str) -> None:
    with pytest.raises(DocumentTooLarge):
        decode(KINDS[kind], b"{" + b" " * MAX_DOCUMENT)


@pytest.mark.parametrize("kind", KINDS)
def test_an_envelope_of_another_kind_is_refused(kind: str, samples: dict[str, Document]) -> None:
    key = SigningKey.generate()
    for other, cls in KINDS.items():
        if other != kind:
            with pytest.raises(PayloadType):
                inspect(sign(samples[kind], key), cls)
    mislabelled = sign_payload(encode(samples[kind]), "text/\u202eplain", key)
    with pytest.raises(PayloadType, match="unprintable"):
        inspect(mislabelled, KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_documents_raise_nothing_else(kind: str, samples: dict[str, Document]) -> None:
    """Bytes flipped, cut, doubled: a refusal of ours, or a document that says again what was
    read."""
    data, source = encode(samples[kind]), random.Random(kind)
    for _ in range(400):
        mutated = bytearray(data)
        for _ in range(source.randint(1, 4)):
            start = source.randrange(len(mutated))
            end = start + source.randint(0, 12)
            choice = source.randint(0, 3)
            if choice == 0:
                mutated[start] = source.randrange(256)
            elif choice == 1:
                del mutated[start:end]
            elif choice == 2:
                mutated[start:start] = mutated[start:end]
            else:
                mutated[start:end] = source.choice(
                    [b"null", b"-1", b"1e999", b"[]", b"\\ud800", b'"']
                )
        try:
            read = decode(KINDS[kind], bytes(mutated))
        except Refusal:
            continue
        assert decode(KINDS[kind], encode(read)) == read


@given(st.binary(max_size=400))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    for cls in KINDS.values():
        with pytest.raises(Refusal):
            decode(cls, data)
    with pytest.raises(Refusal):
        parse_envelope(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.data())
def test_any_json_in_any_field_raises_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["ballot", "stop", "delete", "charter"]))
    sample: dict[str, Any] = {
        "header": {"nonce": "00" * 16, "charter": DIGEST, "seen": {"size": 0, "root": DIGEST}},
        "seat": "a",
        "proposal": DIGEST,
        "constitution": DIGEST,
        "sequence": 1,
        "vote": "placet",
        "interests": "",
        "rationale": "",
        "expires": 1,
        "by": "a",
        "action": "pause",
        "target": DIGEST,
        "reason": "",
        "blob": "00" * 16,
        "nonce": "00" * 16,
        "log": "log",
    }
    names = {
        "ballot": "header seat proposal constitution sequence vote interests rationale expires"
    }
    names |= {
        "stop": "header by action target reason",
        "delete": "header blob",
        "charter": "nonce log constitution",
    }
    document = {name: sample[name] for name in names[kind].split()}
    decode(KINDS[kind], json.dumps(document).encode())
    document[data.draw(st.sampled_from(sorted(document)))] = data.draw(json_values)
    try:
        read = decode(KINDS[kind], json.dumps(document).encode())
    except Refusal:
        return
    assert json.loads(encode(read)) == document


printable = st.text(
    st.characters(categories=("L", "N", "P", "S")) | st.sampled_from(" \n"), max_size=50
)


@given(
    printable,
    printable,
    st.integers(1, 2**31),
    st.sampled_from(["placet", "non placet", "abstain", "recuse"]),
)
def test_any_ballot_reads_as_it_was_written(
    interests: str, rationale: str, sequence: int, vote: Any
) -> None:
    header = {"nonce": "00" * 16, "charter": DIGEST, "seen": {"size": 0, "root": DIGEST}}
    fields = {
        "seat": "a",
        "proposal": DIGEST,
        "constitution": DIGEST,
        "sequence": sequence,
        "vote": vote,
    }
    expires = 1 if vote == "placet" else None
    texts = {"interests": interests, "rationale": rationale, "expires": expires}
    data = encode({"header": header, **fields, **texts})
    assert encode(decode(Ballot, data)) == data


ENVELOPES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no signature": lambda e: e.update(signatures=[]),
    "too many signatures": lambda e: e.update(
        signatures=[{"keyid": str(i), "sig": ""} for i in range(65)]
    ),
    "signatures that are no list": lambda e: e.update(signatures={}),
    "a signature that is no object": lambda e: e.update(signatures=["x"]),
    "a signature with more": lambda e: e["signatures"][0].update(cert="x"),
    "a signature without key id": lambda e: e["signatures"][0].pop("keyid"),
    "a signature that is no text": lambda e: e["signatures"][0].update(sig=1),
    "a signature that is no base64": lambda e: e["signatures"][0].update(sig="?"),
    "a key id twice": lambda e: e.update(signatures=e["signatures"] * 2),
    "a payload that is no base64": lambda e: e.update(payload="é"),
    "a payload that is no text": lambda e: e.update(payload=[]),
    "a payload type that is no text": lambda e: e.update(payloadType=None),
    "a field more": lambda e: e.update(more=1),
    "a field less": lambda e: e.pop("payloadType"),
}


@pytest.mark.parametrize("case", ENVELOPES)
def test_an_envelope_that_is_not_quite_one_is_refused(
    case: str, samples: dict[str, Document]
) -> None:
    envelope = json.loads(sign(samples["stop"], SigningKey.generate()))
    ENVELOPES[case](envelope)
    with pytest.raises(DocumentMalformed):
        inspect(json.dumps(envelope).encode(), Stop)


BAD_FIELDS: list[tuple[str, dict[str, object]]] = [
    ("ballot", {"sequence": 0}),
    ("ballot", {"expires": 0}),
    ("ballot", {"expires": None}),
    ("ballot", {"vote": "non placet"}),
    ("ballot", {"vote": "abstain"}),
    ("ballot", {"vote": "recuse"}),
    ("ballot", {"seat": "Chair"}),
    ("ballot", {"vote": "yes"}),
    ("ballot", {"rationale": "\u202e"}),
    ("ballot", {"interests": "a\tb"}),
    ("ballot", {"rationale": "x" * 4001}),
    ("ballot", {"proposal": "sha256:" + "AB" * 32}),
    ("proposal", {"not_before": 10, "not_after": 10}),
    ("proposal", {"uses": 0}),
    ("proposal", {"action": "amend"}),
    ("proposal", {"action": "delete"}),
    ("proposal", {"purpose": "any thing"}),
    ("grant", {"purposes": []}),
    ("grant", {"programs": []}),
    ("grant", {"programs": ["x"]}),
    ("grant", {"recipients": []}),
    ("grant", {"recipients": ["hpke:AA"]}),
    ("grant", {"uses": 0}),
    ("grant", {"uses": None}),
    ("grant", {"uses": "all"}),
    ("grant", {"combine_with": ["\n"]}),
    ("grant", {"parameters": {"epochs": {"low": 2, "high": 1}}}),
    ("grant", {"parameters": {"epochs": {"exactly": 1.5}}}),
    ("grant", {"parameters": {"epochs": {"exactly": "\u202e"}}}),
    ("grant", {"parameters": {"": {"exactly": 1}}}),
    ("grant", {"object": {}}),
    ("lease", {"deadline": 0}),
    ("lease", {"attempt": 0}),
    ("lease", {"boot": "x"}),
    ("stop", {"action": "revoke-seat"}),
    ("stop", {"action": "revoke-measurement"}),
    ("stop", {"action": "resume"}),
    ("proposal", {"action": "resume"}),
    ("proposal", {"action": "recover"}),
    ("proposal", {"action": "retire"}),
    ("delete", {"blob": DIGEST}),
    ("constitution", {"version": 2}),
    ("constitution", {"predecessor": DIGEST}),
    ("constitution", {"seats": []}),
    ("constitution", {"rules": []}),
    ("constitution", {"labels": ["health", "health"]}),
    ("constitution", {"labels": []}),
    ("constitution", {"witnesses": "two"}),
    ("constitution", {"organisations": []}),
    ("constitution", {"evidence": {"authority": {"a": 1.5}, "worker": {}}}),
    ("constitution", {"evidence": {"authority": {"a": "\u202e"}, "worker": {}}}),
    ("constitution", {"evidence": {"authority": {"a": [[[[[[[[[1]]]]]]]]]}, "worker": {}}}),
    ("constitution", {"evidence": {"authority": [], "worker": {}}}),
    ("constitution", {"limits": {"lease_seconds": 0, "join_seconds": 10}}),
    ("receipt", {"subject": []}),
]


@pytest.mark.parametrize(("kind", "fields"), BAD_FIELDS)
def test_a_field_out_of_its_bounds_is_refused(
    kind: str, fields: dict[str, object], samples: dict[str, Document]
) -> None:
    data = json.dumps({**json.loads(encode(samples[kind])), **fields}).encode()
    with pytest.raises((DocumentMalformed, ConstitutionInvalid)):
        decode(KINDS[kind], data)


def test_a_receipt_names_each_output_once(samples: dict[str, Document]) -> None:
    value = json.loads(encode(samples["receipt"]))
    value["subject"] = [{"name": "weights", "digest": {"sha256": "00" * 32}}, *value["subject"]]
    with pytest.raises(DocumentMalformed):
        decode(Receipt, encode(value))


def test_a_constitution_does_not_contradict_itself(founded: Any) -> None:
    constitution = founded.constitution
    chair, *others = constitution.seats
    (health, amend) = constitution.rules
    cases: dict[str, dict[str, Any]] = {
        "a key for two seats": {"seats": (chair, replace(others[0], keys=chair.keys), *others[1:])},
        "a seat twice": {"seats": (chair, chair, *others)},
        "a seat without keys": {"seats": (replace(chair, keys=()), *others)},
        "an unknown organisation": {"seats": (replace(chair, organisation="org-x"), *others)},
        "a party with a seat's id": {"parties": (replace(constitution.parties[0], id=chair.id),)},
        "a rule twice": {"rules": (health, health)},
        "a rule about an unknown label": {"labels": ("public",)},
        "an unknown veto role": {"rules": (founded.varied(health, Veto("pope")),)},
        "an unknown role": {"rules": (founded.varied(health, Role("pope", 1)),)},
        "more approvals than seats": {"rules": (founded.varied(amend, Approvals(5)),)},
        "more organisations than there are": {
            "rules": (founded.varied(amend, Approvals(4), Organisations(4)),)
        },
        "more of a role than there are": {"rules": (founded.varied(health, Role("ethics", 2)),)},
    }
    for changes in cases.values():
        with pytest.raises((ConstitutionInvalid, DocumentMalformed)):
            replace(constitution, **changes)


def test_a_rule_is_read_demand_by_demand(samples: dict[str, Any]) -> None:
    """A refusal is of the demand that was meant, however many kinds there are."""
    value = json.loads(encode(samples["constitution"]))
    good = value["rules"][0]["demands"]
    cases: dict[str, tuple[list[Any], str]] = {
        "an unknown kind": ([*good, {"demand": "weight", "at_least": 2}], "].demand"),
        "no kind": ([*good, {"at_least": 2}], "].demand"),
        "a number in its place": ([*good, 2], "]"),
        "a field too many": ([*good, {"demand": "rationale", "at_least": 2}], "].at_least"),
        "a field too few": ([*good, {"demand": "role", "role": "chair"}], "].at_least"),
        "a veto of a number": ([*good, {"demand": "veto", "role": 2}], "].role"),
        "out of its range": ([*good, {"demand": "role", "role": "x", "at_least": 0}], "role.at_l"),
        "one twice": ([*good, {"demand": "uses", "at_most": 5}], "rule.demands"),
        **{
            f"no {kind}": ([d for d in good if d["demand"] != kind], "rule.demands")
            for kind in ("approvals", "organisations", "lifetime", "uses")
        },
    }
    for name, (demands, claim) in cases.items():
        value["rules"][0]["demands"] = demands
        with pytest.raises(DocumentMalformed) as refusal:
            decode(Constitution, encode(value))
        assert claim in refusal.value.details["claim"], name
    for demand in good:
        if demand["demand"] in ("role", "veto", "independence", "rationale"):
            value["rules"][0]["demands"] = [d for d in good if d != demand]
            assert len(decode(Constitution, encode(value)).rules[0].demands) == len(good) - 1


def test_every_kind_has_its_own_payload_type() -> None:
    assert len({payload_type(cls) for cls in KINDS.values()}) == len(KINDS)


def test_no_output_has_the_name_of_the_receipts_file(samples: dict[str, Any]) -> None:
    """Both are written into one folder: the receipt would take the output's place."""
    for kind, path in (
        ("proposal", ("body", "outputs")),
        ("release", ("outputs",)),
        ("receipt", ("predicate", "outputs")),
    ):
        value = json.loads(encode(samples[kind]))
        named = value
        for name in path:
            named = named[name]
        output = named.pop(next(iter(named)))
        named["receipt.json"] = output
        with pytest.raises(DocumentMalformed):
            decode(KINDS[kind], json.dumps(value).encode())
