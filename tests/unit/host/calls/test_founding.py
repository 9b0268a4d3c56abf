# SPDX-License-Identifier: Apache-2.0
"""The founding board as a host keeps it: over a restart, for its owner alone, and no longer than it
takes."""

import asyncio
import base64
import json
import stat
from pathlib import Path

import pytest

from placet.auditing.invitations import Assent, Enrolment, Invitation, Invited
from placet.governance.codec import encode
from placet.governance.envelope import digest_of, sign
from placet.governance.keys import SigningKey
from placet.host.founding import FoundingBoard
from placet.refusals import AlreadyFounded, DocumentMalformed, DocumentNotFound, NotPermitted
from placet.sealing import HPKEPrivateKey

KEY, OWN = SigningKey.generate(), SigningKey.generate()
HPKE = HPKEPrivateKey.generate("X25519").public.to_text()
INVITATION = encode(Invitation({}, (Invited("alice", KEY.public),)))
DIGEST = digest_of(INVITATION)
ENROLMENT = sign(Enrolment(DIGEST, "alice", OWN.public, HPKE), KEY)


def board(folder: Path, founded: bool = False) -> FoundingBoard:
    return FoundingBoard(folder / "founding", lambda: founded)


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    first = board(tmp_path)
    asyncio.run(first.open(first.token, INVITATION))
    asyncio.run(first.post(DIGEST, ENROLMENT))
    again = board(tmp_path)
    assert again.token == first.token
    assert again.read(DIGEST) == (INVITATION, [ENROLMENT])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "founding").iterdir()}
    assert modes == {0o600}


def test_an_assent_follows_an_earlier_one_and_an_enrolment_none(tmp_path: Path) -> None:
    made = board(tmp_path)
    asyncio.run(made.open(made.token, INVITATION))
    asyncio.run(made.post(DIGEST, ENROLMENT))
    for log in ("one", "two"):
        last = sign(Assent(DIGEST, "alice", log, "", ""), KEY)
        asyncio.run(made.post(DIGEST, last))
    assert made.read(DIGEST)[1] == [ENROLMENT, last]
    with pytest.raises(NotPermitted):
        asyncio.run(made.post(DIGEST, sign(Enrolment(DIGEST, "alice", KEY.public, HPKE), KEY)))


def test_another_invitation_ends_the_one_before(tmp_path: Path) -> None:
    made = board(tmp_path)
    asyncio.run(made.open(made.token, INVITATION))
    other = encode(Invitation({}, (Invited("bob", KEY.public),)))
    asyncio.run(made.open(made.token, other))
    with pytest.raises(DocumentNotFound):
        made.read(DIGEST)
    with pytest.raises(DocumentMalformed):
        asyncio.run(made.open(made.token, b"{}"))
    assert made.read(digest_of(other)) == (other, [])


def test_what_waits_to_be_posted_is_for_its_own_board(tmp_path: Path) -> None:
    """Another board is opened meanwhile; and a board with a bad post keeps no host down."""
    made = board(tmp_path)
    other = encode(Invitation({}, (Invited("alice", KEY.public), Invited("bob", OWN.public))))

    async def at_once() -> tuple[BaseException | None, ...]:
        return await asyncio.gather(
            made.open(made.token, other), made.post(DIGEST, ENROLMENT), return_exceptions=True
        )

    asyncio.run(made.open(made.token, INVITATION))
    assert [type(one) for one in asyncio.run(at_once())] == [type(None), DocumentNotFound]
    assert made.read(digest_of(other)) == (other, [])
    file = tmp_path / "founding" / "board.json"
    kept = json.loads(file.read_text())
    kept["posts"] = [base64.b64encode(ENROLMENT).decode()]
    file.write_text(json.dumps(kept))
    assert board(tmp_path).read(digest_of(other)) == (other, [])


def test_once_founded_nobody_is_invited(tmp_path: Path) -> None:
    """Those who were can still read which council it became."""
    before = board(tmp_path)
    token = before.token
    asyncio.run(before.open(token, INVITATION))
    after = board(tmp_path, founded=True)
    assert after.token == ""
    for given in (token, ""):
        with pytest.raises(AlreadyFounded):
            asyncio.run(after.open(given, INVITATION))
    assert after.read(DIGEST) == (INVITATION, [])
