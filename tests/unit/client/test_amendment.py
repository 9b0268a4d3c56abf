# SPDX-License-Identifier: Apache-2.0
"""A constitution that follows another is believed only once the log shows that it was adopted."""

import time
from dataclasses import replace
from typing import Any

import pytest

from placet.client import CharterDraft, Client, Keys, verify_council
from placet.governance.documents import Amendment, Constitution
from placet.governance.envelope import digest_of, sign
from placet.proto.v1 import log_pb2
from placet.refusals import ConstitutionNotSuccessor, OtherConstitution, SignatureInvalid
from tests.support.inside.relay import Call

DAY = 86400


@pytest.fixture
def successor(founded: Client, constitution: Constitution) -> Constitution:
    """A second version."""
    predecessor = founded.council.verify().newest.digest
    return replace(constitution, nonce="02" * 16, version=2, predecessor=predecessor, name="Second")


def test_an_amendment_comes_into_force(
    founded: Client, successor: Constitution, people: dict[str, Keys]
) -> None:
    digest = digest_of(CharterDraft.payload_of(successor))
    now = int(time.time())
    proposal = founded.council.propose(
        people["alice"],
        Amendment(digest),
        purpose="amendment",
        reason="Better.",
        not_before=now - 10,
        not_after=now + DAY,
    ).digest
    for seat in ("alice", "bob"):
        founded.council.vote(people[seat], proposal, "placet")
    recorded = founded.council.amend(people["alice"], proposal, successor)
    assert recorded.digest == digest
    council = founded.council.verify()
    assert council.newest.document == successor
    assert council.under(council.constitutions[0].digest).constitution.version == 1
    assert founded.council.find(proposal).document.action == "amend"


def test_a_constitution_that_was_not_adopted_is_not_believed(
    founded: Client, successor: Constitution, people: dict[str, Keys], host: Any
) -> None:
    """The log says which ones were: what else a host holds decides nothing."""
    adopted = founded.council.verify()
    envelope = sign(successor, people["alice"].signing)
    digest = digest_of(CharterDraft.payload_of(successor))

    async def lie(call: Call) -> Any:
        if call.request.digest == digest:
            return log_pb2.DocumentResponse(document=envelope)
        return await call.answer()

    host.relay.lie("Log.GetDocument", lie)
    assert founded.council.verify() == adopted
    with pytest.raises(OtherConstitution):
        founded.council.verify().under(digest)


def test_a_chain_is_verified_offline(
    founded: Client, successor: Constitution, people: dict[str, Keys]
) -> None:
    council = founded.council.verify()
    charter, genesis = council.charter.envelope, council.newest.envelope
    good = sign(successor, people["alice"].signing)
    assert verify_council(charter, [genesis, good]).newest.document == successor
    with pytest.raises(SignatureInvalid):
        verify_council(charter, [genesis, sign(successor, people["analyst"].signing)])
    other = replace(successor, predecessor="sha256:" + "00" * 32)
    with pytest.raises(ConstitutionNotSuccessor):
        verify_council(charter, [genesis, sign(other, people["alice"].signing)])
    with pytest.raises(SignatureInvalid):
        verify_council(
            charter,
            [sign(replace(successor, version=1, predecessor=None), people["alice"].signing)],
        )
