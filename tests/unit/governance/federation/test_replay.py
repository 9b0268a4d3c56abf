# SPDX-License-Identifier: Apache-2.0
"""Restart and audit: the log gives the same state again, and what was changed in it is found."""

import hashlib
from typing import Any

import pytest

from placet.governance.codec import encode
from placet.governance.documents import Layout, Tensor
from placet.governance.entries.kind import Entry
from placet.governance.jobs import round_job
from placet.refusals import Refusal
from placet.sealing import HPKEPrivateKey

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


def test_replay_gives_the_same_state(federation: Any) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "SEGMENT_FORGED"})
    federation.open()
    federation.send("ana-a")
    before = federation.state
    federation.world.forget()
    assert federation.state == before
    federation.send("cem-b")  # and goes on from there


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("open-round", "round", 2),
        ("open-round", "closes", 0),
        ("open-round", "key", "hpke:none"),
        ("update", "client", "ben-a"),
        ("update", "round", 2),
        ("update", "charge", [0, 0, 0]),
        ("update", "charge", "none"),
        ("lease", "charges", {"ana-a": [0, 0, 0]}),
        ("close-round", "standing", "void"),
        ("close-round", "counted", []),
        ("release", "left", {"ana-a": "NORM_EXCEEDED"}),
        ("release", "left", {}),
        ("release", "until", 2),
        ("release", "receipt", ""),
        ("lift", "client", "ana-a"),
    ],
)
def test_an_audit_finds_what_was_changed(
    federation: Any, kind: str, field: str, value: object, audited: Any
) -> None:
    federation.round("ana-a", "cem-b", "dia-c", left={"dia-c": "NORM_EXCEEDED"})
    federation.round("ana-a", "cem-b")
    federation.open()
    world = federation.world
    index, entry = next(
        (i, e) for i, e in enumerate(map(_read, world.entries)) if e["kind"] == kind
    )
    world.entries[index] = encode({**entry, field: value})
    with pytest.raises(Refusal) as caught:
        audited(federation)
    assert caught.value.reason in ("LOG_ENTRY_INVALID", "ENTRY_INVALID")
    assert caught.value.details["claim"] == f"entry {index}"


def _read(data: bytes) -> Entry:
    from placet.governance.codec import parse_object

    return parse_object(data)


def test_a_round_s_job_has_one_name() -> None:
    digest = "sha256:" + hashlib.sha256(b"x").hexdigest()
    assert round_job(digest, 7) == digest[7:47] + "-7"
