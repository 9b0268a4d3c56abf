# SPDX-License-Identifier: Apache-2.0
"""Founding by links: strangers add nothing and stop nothing, and nobody signs what a host made
up."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from placet.auditing.invitations import MAX_POST, Assent, Enrolment, read_board
from placet.client import Client, CouncilMemory, Keys, UsageRefused
from placet.client.council.joining import (
    check_enrolled,
    draft_of,
    make_assent,
    make_enrolment,
    members_of,
    new_invitation,
    whole_draft,
)
from placet.client.links import FounderLink, SeatLink
from placet.governance.codec import Json, encode, to_plain
from placet.governance.documents import Constitution
from placet.governance.envelope import digest_of, payload_type, sign, sign_payload
from placet.refusals import (
    ConstitutionInvalid,
    DocumentMalformed,
    OtherLog,
    Refusal,
    Refused,
    SignatureInvalid,
    SignerUnknown,
)
from tests.support.inside.hosted import Hosted

MEMBERS = ("alice", "bob", "analyst", "owner")


@pytest.fixture
def values(constitution: Constitution) -> Json:
    """The constitution as it is invited to: without keys."""
    plain: Json = to_plain(constitution)
    for one in (*plain["seats"], *plain["parties"]):
        del one["keys"]
    return plain


@pytest.fixture
def founder(host: Hosted) -> FounderLink:
    word, link = host.told[2].split()
    assert word == "founder"
    return FounderLink.from_text(link)


@pytest.fixture
def links(values: Json, founder: FounderLink, stranger: Client) -> dict[str, SeatLink]:
    invitation, links = new_invitation(values, MEMBERS, founder)
    stranger.founding.invite(founder.token, invitation)
    return {link.id: SeatLink.from_text(str(link)) for link in links}


@pytest.fixture
def stranger(served: tuple[str, str]) -> Iterator[Client]:
    with Client.connect(*served) as connected:
        yield connected


@pytest.fixture
def enrolled(
    links: dict[str, SeatLink], people: dict[str, Keys], stranger: Client
) -> dict[str, SeatLink]:
    for link in links.values():
        stranger.founding.post(link.board, make_enrolment(link, people[link.id]))
    return links


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return str(caught.value.reason)


def test_members_found_a_council_that_each_has_made_at_home(
    enrolled: dict[str, SeatLink],
    people: dict[str, Keys],
    served: tuple[str, str],
    tmp_path: Path,
) -> None:
    board = enrolled["alice"].board
    with ExitStack() as stack:
        members = {
            id: stack.enter_context(Client.connect(*served, memory=CouncilMemory(tmp_path / id)))
            for id in MEMBERS
        }
        for id in ("alice", "bob"):
            seen = members[id].founding.board(board)
            assert whole_draft(seen) is None
            draft = members[id].founding.follow(seen)
            signed = members[id].founding.sign(draft, people[id])
            log = draft.read_charter().log
            assent = make_assent(enrolled[id], log, signed, people[id].signing)
            members[id].founding.post(board, assent)
        charters, made = set[str](), set[str]()
        for id in ("owner", "alice", "analyst", "bob"):  # whoever is first founds it
            seen = members[id].founding.board(board)
            whole = whole_draft(seen)
            assert whole is not None
            members[id].founding.settle(whole)
            made.add(digest_of(whole.charter))
            charters.add(members[id].log.ledger().state.charter)
            assert {one.id: one for one in members_of(seen)} == {
                id: people[id].public for id in MEMBERS
            }
        assert charters == made and len(made) == 1
        invitation, _ = new_invitation({}, ["eve"], FounderLink("h:1", "sha256:", "0" * 64))
        assert refused(members["owner"].founding.invite, "0" * 64, invitation) == "ALREADY_FOUNDED"


def test_a_stranger_adds_nothing(
    links: dict[str, SeatLink], values: Json, founder: FounderLink, stranger: Client
) -> None:
    eve, board = Keys.generate("eve"), links["alice"].board
    invitation, own = new_invitation(values, MEMBERS, founder)
    assert refused(stranger.founding.invite, "0" * 64, invitation) == "NOT_PERMITTED"
    assert refused(stranger.founding.board, own[0].board) == "DOCUMENT_NOT_FOUND"
    assert refused(stranger.founding.board, "") == "DOCUMENT_NOT_FOUND"
    posts = {
        make_enrolment(replace(own[0], board=board), eve): "SIGNATURE_INVALID",
        make_enrolment(replace(links["alice"], id="bob"), eve): "SIGNATURE_INVALID",
        make_enrolment(replace(links["alice"], id="eve"), eve): "SIGNER_UNKNOWN",
        make_enrolment(links["alice"], eve)[:-1]: "DOCUMENT_MALFORMED",
        b" " * (MAX_POST + 1): "DOCUMENT_TOO_LARGE",
    }
    for envelope, reason in posts.items():
        assert refused(stranger.founding.post, board, envelope) == reason
    other = Enrolment(own[0].board, "alice", eve.signing.public, eve.public.hpke.to_text())
    assert refused(stranger.founding.post, board, sign(other, links["alice"].key)) == "OTHER_LOG"
    assert stranger.founding.board(board).missing == MEMBERS


def test_a_seat_is_taken_once(
    enrolled: dict[str, SeatLink], people: dict[str, Keys], stranger: Client
) -> None:
    link, eve = enrolled["alice"], Keys.generate("alice")
    assert refused(stranger.founding.post, link.board, make_enrolment(link, eve)) == "NOT_PERMITTED"
    board = stranger.founding.board(link.board)
    with pytest.raises(UsageRefused, match="sign nothing"):
        check_enrolled(board, link, eve)
    assert check_enrolled(board, link, people["alice"])
    stranger.founding.post(link.board, make_enrolment(link, people["alice"]))  # once more: the same


@pytest.mark.parametrize("joined", [0, len(MEMBERS)])
def test_nobody_founds_another_council_meanwhile(
    links: dict[str, SeatLink],
    client: Client,
    constitution: Constitution,
    people: dict[str, Keys],
    joined: int,
) -> None:
    """Neither before all have joined, nor after it."""
    for link in list(links.values())[:joined]:
        client.founding.post(link.board, make_enrolment(link, people[link.id]))
    draft = client.founding.draft(replace(constitution, nonce=os.urandom(16).hex()))
    for seat in ("alice", "bob"):
        draft = draft.sign(people[seat].signing)
    assert refused(client.founding.found, draft) == "NOT_PERMITTED"


def test_a_signature_of_something_else_is_no_assent(
    enrolled: dict[str, SeatLink], people: dict[str, Keys], stranger: Client
) -> None:
    link = enrolled["alice"]
    draft = stranger.founding.follow(stranger.founding.board(link.board))
    log = draft.read_charter().log
    for junk in ("", "AAAA", "no base64"):
        post = Assent(link.board, "alice", log, junk, junk)
        board = stranger.founding.post(link.board, sign(post, link.key))
        assert draft_of(board, log).missing() == ("alice", "bob")
    other = draft.sign(people["bob"].signing)
    bobs = make_assent(enrolled["bob"], log, other, people["bob"].signing)
    board = stranger.founding.post(link.board, bobs)
    assert draft_of(board, log).missing() == ("alice",)
    assert draft_of(board, "another log").missing() == ("alice", "bob")


def lie(host: Hosted, change: Any) -> None:
    async def told(call: Any) -> Any:
        answer = await call.answer()
        change(answer)
        return answer

    host.relay.lie("Founding.Read", told)


def test_a_host_that_makes_up_an_enrolment_is_found_out(
    host: Hosted, enrolled: dict[str, SeatLink], stranger: Client
) -> None:
    """It has no key of the invitation; and another invitation has another digest."""
    link = enrolled["alice"]
    forged = SeatLink(link.host, link.pin, link.board, "bob", "00" * 32)

    def exchanged(answer: Any) -> None:
        del answer.posts[:]
        answer.posts.append(make_enrolment(forged, Keys.generate("bob")))

    lie(host, exchanged)
    with pytest.raises(SignatureInvalid):
        stranger.founding.board(link.board)

    def invited(answer: Any) -> None:
        answer.invitation = answer.invitation.replace(b'"alice"', b'"eve"')

    lie(host, invited)
    with pytest.raises(OtherLog, match="another invitation"):
        stranger.founding.board(link.board)

    def withheld(answer: Any) -> None:
        del answer.posts[0]

    lie(host, withheld)
    assert stranger.founding.board(link.board).missing == ("alice",)


def test_an_invitation_that_makes_no_constitution_is_refused_at_home(
    founder: FounderLink, stranger: Client, people: dict[str, Keys]
) -> None:
    invitation, (link,) = new_invitation({"seats": [{"id": "alice"}]}, ["alice"], founder)
    stranger.founding.invite(founder.token, invitation)
    board = stranger.founding.post(link.board, make_enrolment(link, people["alice"]))
    with pytest.raises((DocumentMalformed, ConstitutionInvalid)):
        stranger.founding.follow(board)
    with pytest.raises(Refusal):
        new_invitation({}, [], founder)
    with pytest.raises(SignerUnknown):
        invitation.key_of("bob")


def board_of(
    values: Json, founder: FounderLink, people: dict[str, Keys], **given: Any
) -> tuple[Any, dict[str, SeatLink]]:
    """The board once everybody has enrolled; `given` are other enrolments, by id."""
    ids = (*MEMBERS, *given.pop("extra", ()))
    invitation, links = new_invitation(values, ids, founder)
    data = encode(invitation)
    posts = [
        given.get(link.id) or make_enrolment(link, people.get(link.id) or Keys.generate(link.id))
        for link in links
    ]
    return read_board(digest_of(data), data, posts), {link.id: link for link in links}


def test_the_words_are_about_every_key(
    values: Json, founder: FounderLink, people: dict[str, Keys]
) -> None:
    """A link's key alone could enrol a member's own signing key beside another HPKE key."""
    invitation, links = new_invitation(values, MEMBERS, founder)
    data = encode(invitation)
    by_id = {link.id: link for link in links}
    honest = {id: make_enrolment(by_id[id], people[id]) for id in MEMBERS}
    other = Keys.generate("owner").public.hpke.to_text()
    link = by_id["owner"]
    signing = people["owner"].public.signing
    swapped = sign(Enrolment(link.board, "owner", signing, other), link.key)
    boards = [
        read_board(link.board, data, {**honest, "owner": last}.values())
        for last in (honest["owner"], swapped)
    ]
    first, second = (board.charter("log") for board in boards)
    assert boards[0].constitution() == boards[1].constitution()
    assert first.nonce != second.nonce
    assert check_enrolled(boards[0], link, people["owner"])
    with pytest.raises(UsageRefused, match="other keys"):
        check_enrolled(boards[1], link, people["owner"])


def test_who_is_invited_is_in_the_constitution_with_their_own_keys(
    values: Json, founder: FounderLink, people: dict[str, Keys]
) -> None:
    made, _ = board_of(values, founder, people)
    assert made.constitution().keys_of("owner") == (people["owner"].public.signing,)
    ghostly, _ = board_of(values, founder, people, extra=("ghost",))
    with pytest.raises(SignerUnknown):
        ghostly.constitution()
    [owner] = [party for party in values["parties"] if party["id"] == "owner"]
    owner["keys"] = [to_plain(Keys.generate("owner").public.signing)]
    keyed, _ = board_of(values, founder, people)
    with pytest.raises(DocumentMalformed, match="keys of owner"):
        keyed.constitution()


def test_an_enrolment_has_a_key_to_seal_to(
    links: dict[str, SeatLink], stranger: Client, people: dict[str, Keys]
) -> None:
    link = links["alice"]
    plain = {
        "board": link.board,
        "id": "alice",
        "signing": to_plain(people["alice"].public.signing),
        "hpke": "garbage",
    }
    envelope = sign_payload(encode(plain), payload_type(Enrolment), link.key)
    assert refused(stranger.founding.post, link.board, envelope) == "KEY_MALFORMED"
    assert stranger.founding.board(link.board).missing == MEMBERS


@pytest.mark.parametrize(
    "text", ["", "placet://h:1/00/found/00", f"placet://h:1/{'0' * 64}/{'0' * 64}"]
)
def test_texts_that_are_no_links(text: str) -> None:
    for kind in (FounderLink, SeatLink):
        with pytest.raises(UsageRefused):
            kind.from_text(text)
