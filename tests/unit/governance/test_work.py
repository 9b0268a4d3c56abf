# SPDX-License-Identifier: Apache-2.0
"""What it costs to read bytes of strangers, counted and not timed: twice the bytes, at most about
twice the work.

Counted are calls, of C's functions too, and for a method of a list or tuple its length besides:
`list.count` looks at all of it. Comparisons that no call shows (`in` a tuple) are counted by text
that counts how often it is compared.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any, cast

import pytest

from placet.attestation import Evidence, Identity
from placet.attestation._strict import decode as decode_strict
from placet.auditing.entry_form import has_form
from placet.governance.bundles import pack, unpack
from placet.governance.codec import MAX_DOCUMENT, MAX_ITEMS, MAX_NAMES, decode, encode, parse_object
from placet.governance.documents import Ballot, Constitution, Grant, Proposal
from placet.governance.envelope import parse_envelope
from placet.governance.evaluate import MAX_BALLOTS, Ticket, verify_ballot
from placet.governance.log import LogProof
from placet.governance.log.note import SignedNote
from placet.ratls.cbor import Item
from placet.ratls.cbor import decode as decode_cbor
from placet.ratls.cbor import encode as encode_cbor
from placet.refusals import DocumentMalformed, EvidenceMalformed, Refusal
from placet.sealing import HPKEPrivateKey

DIGEST = "sha256:" + "12" * 32


def work(call: Callable[[], object]) -> int:
    """How much a call does, whatever it raises."""
    done = 0

    def count(frame: FrameType, event: str, called: Any) -> None:
        nonlocal done
        if event == "call":
            done += 1
        elif event == "c_call":
            owner = getattr(called, "__self__", None)
            done += 1 + (len(cast("list[object]", owner)) if isinstance(owner, list | tuple) else 0)

    sys.setprofile(count)
    try:
        call()
    except Refusal:
        pass
    finally:
        sys.setprofile(None)
    return done


def names(number: int) -> list[str]:
    return [f"n{at:05d}" for at in range(number)]


def doubled(number: int) -> bytes:
    """An object whose last name is there twice."""
    pairs = [f'"{name}":0' for name in [*names(number), names(number)[-1]]]
    return ("{" + ",".join(pairs) + "}").encode()


def _map(number: int) -> Item:
    return dict.fromkeys(names(number), b"")


def foreign(number: int) -> dict[str, Any]:
    return {name: [1] for name in names(number // 4)}


@pytest.fixture
def readers(founded: Any) -> dict[str, Callable[[int], Callable[[], object]]]:
    """By name: what reads something of a size that is given."""
    proposal = json.loads(encode(founded.proposal()))
    constitution = json.loads(encode(founded.constitution))
    grant = json.loads(encode(founded.grant()))
    ballot = json.loads(encode(founded.ballot("chair-a", DIGEST)))
    signed = founded.signed(founded.ballot("chair-a", DIGEST), "chair-a")
    envelope = json.loads(signed)
    hpke = HPKEPrivateKey.generate("X25519").public.to_text()

    def job(**changes: Any) -> Callable[[], object]:
        data = encode({**proposal, "body": {**proposal["body"], **changes}})
        return lambda: decode(Proposal, data)

    def amended(**changes: Any) -> Callable[[], object]:
        data = encode({**constitution, **changes})
        return lambda: decode(Constitution, data)

    def entry(**fields: Any) -> Callable[[], object]:
        whole = encode(
            {"kind": "close-round", "at": [1, 1], "proposal": DIGEST, "round": 1, **fields}
        )
        return lambda: has_form(parse_object(whole))

    def read(reader: Callable[[bytes], object], data: bytes) -> Callable[[], object]:
        return lambda: reader(data)

    rule = constitution["rules"][0]
    label = {**rule, "when": {**rule["when"], "labels": "any"}}
    return {
        "doubled name": lambda n: read(parse_object, doubled(n)),
        "names": lambda n: read(parse_object, encode(dict.fromkeys(names(n), 0))),
        "objects": lambda n: read(parse_object, b'{"a":[' + b"{}," * n + b"{}]}"),
        "escapes": lambda n: read(parse_object, b'{"a":"' + b"\\u00e9" * n + b'"}'),
        "unknown names": lambda n: read(
            lambda data: decode(Ballot, data), encode({**ballot, **dict.fromkeys(names(n), 0)})
        ),
        "parameters": lambda n: job(parameters=dict.fromkeys(names(n), "x")),
        "inputs": lambda n: job(
            inputs=dict.fromkeys(names(n // 16), next(iter(proposal["body"]["inputs"].values())))
        ),
        "recipients": lambda n: job(
            recipients=[{"id": name, "key": hpke} for name in names(n // 32)]
        ),
        "labels": lambda n: amended(labels=names(n)),
        "rules": lambda n: amended(rules=[{**label, "id": name} for name in names(n // 8)]),
        "evidence": lambda n: amended(evidence={"authority": foreign(n), "worker": {}}),
        "programs": lambda n: read(
            lambda data: decode(Grant, data),
            encode({**grant, "programs": [f"sha256:{at:064x}" for at in range(n)]}),
        ),
        "reason": lambda n: read(
            lambda data: decode(Ballot, data), encode({**ballot, "rationale": "\u3164" * n})
        ),
        "signatures": lambda n: read(
            parse_envelope,
            encode({**envelope, "signatures": [{"keyid": k, "sig": "AA"} for k in names(n // 32)]}),
        ),
        "payload": lambda n: read(parse_envelope, encode({**envelope, "payload": "AAAA" * n})),
        "ballots": lambda n: read(
            lambda data: [verify_ballot(data, founded.in_force()) for _ in range(n // 32)], signed
        ),
        "entry with a list": lambda n: entry(standing="closed", counted=[DIGEST] * n),
        "evidence of an enclave": lambda n: read(
            Evidence.from_bytes, Evidence("snp", b"x", "x" * n).to_bytes()
        ),
        "collateral": lambda n: read(
            lambda data: decode_strict(data, MAX_DOCUMENT, EvidenceMalformed), doubled(n)
        ),
        "identity": lambda n: read(
            Identity.from_bytes, Identity("worker", "l", "", "0f" * 16, "h" * n, "s").to_bytes()
        ),
        "cbor": lambda n: read(
            lambda data: decode_cbor(data, MAX_DOCUMENT),
            encode_cbor(tuple(_map(n // 64) for _ in range(16))),
        ),
        "note": lambda n: read(
            SignedNote.from_bytes, b"o\n1\nAAAA\n\n" + "— k AAAAAAAAAAAA\n".encode() * (n // 32)
        ),
        "proof": lambda n: read(
            LogProof.from_bytes, b"c2sp.org/tlog-proof@v1\nindex 1\n" + b"A" * 43 + b"=\n" * n
        ),
        "bundle": lambda n: read(
            unpack, pack({"main.py": b"", **dict.fromkeys(names(n // 8), b"")})
        ),
    }


def test_twice_the_bytes_are_at_most_about_twice_the_work(readers: Any) -> None:
    for name, reader in readers.items():
        work(reader(64))  # caches and decoders are made
        one, two = work(reader(1000)), work(reader(2000))
        assert two <= 2.3 * one + 400, f"{name}: {one}, then {two}"


def test_the_most_that_strangers_can_have_read() -> None:
    """Of what has no signature yet: bounded by the bytes, and by the number of names."""
    most = doubled(23_000)
    assert len(most) <= MAX_DOCUMENT
    assert work(lambda: parse_object(most)) <= len(most)
    for data in (
        encode({name: {} for name in names(MAX_NAMES // 2 + 1)}),
        b'{"a":[' + b"{}," * MAX_NAMES + b"{}]}",
    ):
        with pytest.raises(DocumentMalformed, match="names and objects"):
            parse_object(data)
        assert work(lambda data=data: parse_object(data)) <= 4 * MAX_NAMES  # type: ignore[misc]
    assert MAX_ITEMS < MAX_NAMES
    with pytest.raises(DocumentMalformed):
        Ticket(b"", (b"",) * (MAX_BALLOTS + 1))


class Counted(str):
    """Text that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


def test_a_constitution_is_not_searched_for_each_of_its_names(world: Any) -> None:
    """Each label of each rule is looked up among those that are listed."""
    constitution = world.make_constitution()
    rule = constitution.rules[0]

    def compared(number: int) -> int:
        labels = tuple(map(Counted, [*constitution.labels, *names(number)]))
        again = tuple(map(Counted, names(number)))
        rules = tuple(
            replace(rule, id=f"r{at}", when=replace(rule.when, labels=again)) for at in range(4)
        )
        Counted.compared = 0
        replace(constitution, labels=labels, rules=rules)
        return Counted.compared

    assert compared(2000) <= 2.3 * compared(1000) <= 40_000
