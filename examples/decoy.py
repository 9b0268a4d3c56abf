# SPDX-License-Identifier: Apache-2.0
"""A decoy: a proposal whose digest begins as another one's, for members who type no more of it."""

import asyncio
import itertools
from dataclasses import replace

from cheating import Attacks, NotRefused, refused
from hospitals import Council
from rich.console import Console

from placet.client import Client, Keys
from placet.client.connection.access import Access
from placet.client.connection.channel import fetch_certificate, open_channel, pin_of
from placet.client.connection.pins import Pins
from placet.governance.codec import encode
from placet.governance.documents import Proposal
from placet.governance.envelope import digest_of, payload_type, sign_payload
from placet.proto.v1.access_pb2_grpc import AccessStub
from placet.proto.v1.governance_pb2 import DocumentRequest
from placet.proto.v1.governance_pb2_grpc import GovernanceStub

_DIGITS = len("sha256:") + 4  # takes some 65,000 tries


def cheat_with_a_decoy(console: Console, client: Client, council: Council) -> None:
    """Who types the first digits of a proposal is refused; the digest in full is vetoed."""
    proposal = Attacks(client, council).training()
    decoy = _alike(client.council.find(proposal).document, proposal)
    asyncio.run(_hand_in(client.address, council.memory.charter, council.analyst, decoy))
    short = proposal[:_DIGITS]
    what = "A decoy: another proposal whose digest begins alike, for a veto by its first digits."
    refused(console, 10, what, "USAGE", lambda: _veto(client, council, short))
    _veto(client, council, proposal)
    known = client.log.ledger().state.proposals
    if not known[proposal].stopped or known[digest_of(decoy)].stopped:
        raise NotRefused(what)
    console.print(f"    In full, {proposal[:19]}… is vetoed, and the decoy is not.")


def _veto(client: Client, council: Council, name: str) -> None:
    """What `placet veto` does with the name that a member types."""
    found = client.council.find(name)
    client.council.stop(council.seats["patients"], "veto", found.digest, reason="Not this one.")


def _alike(proposal: Proposal, digest: str) -> bytes:
    """The payload of the same proposal with more uses, and a nonce that makes digests alike."""
    payload, nonce = encode(replace(proposal, uses=3)), proposal.header.nonce.encode()
    for number in itertools.count():
        ground = payload.replace(nonce, b"%032x" % number)
        if digest_of(ground)[:_DIGITS] == digest[:_DIGITS]:
            return ground
    raise AssertionError("counting does not end")


async def _hand_in(address: str, charter: str, proposer: Keys, payload: bytes) -> None:
    """Have a proposal recorded as it is: our client gives each one a nonce of its own."""
    pinned = Pins(pin_of(await asyncio.to_thread(fetch_certificate, address)))
    channel, pin = await open_channel(address, pinned)
    envelope = sign_payload(payload, payload_type(Proposal), proposer.signing)
    async with channel:
        access = Access(AccessStub(channel), proposer, lambda: charter, pin, None)
        request, metadata = DocumentRequest(envelope=envelope), await access.ready()
        await GovernanceStub(channel).Propose(request, metadata=metadata)
