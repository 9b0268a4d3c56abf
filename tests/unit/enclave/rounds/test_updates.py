# SPDX-License-Identifier: Apache-2.0
"""Updates come in: once each, within the terms, from whom they name, durable before anybody is told
so."""

import asyncio
import base64
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from placet.governance import contexts
from placet.governance.codec import parse_object
from placet.governance.envelope import parse_envelope
from placet.proto.v1 import enclaves_pb2, federations_pb2
from placet.refusals import Refused
from placet.sealing import HPKEPrivateKey
from tests.support import rounds

Play = Callable[..., None]


def test_no_key_of_a_client_is_kept_in_the_clear(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        sent = rounds.Sent.of(rounds.vector(1))
        await federation.send("ana", sent)
        host = federation.host
        stored = b"".join([*host.entries, *host.documents.values(), *host.secrets.values()])
        assert sent.key.to_bytes() not in stored
        assert base64.b64encode(sent.key.to_bytes()) not in stored

    play(story)


def test_the_same_update_again_gets_the_same_receipt_and_another_is_a_duplicate(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        request = federation.request("ana", rounds.Sent.of(rounds.vector(1)))
        first = await federation.post(request)
        size = len(stage.host.entries)
        again = await federation.post(request)
        assert (again.index, again.entry) == (first.index, first.entry)
        federation.verified(again.index, again.entry, again.proof)
        another = federation.request("ana", rounds.Sent.of(rounds.vector(2)))
        assert await rounds.refused(federation.post(another)) == "UPDATE_DUPLICATE"
        assert len(stage.host.entries) == size

        await federation.send_all(*(set(federation.terms.roster) - {"ana"}))
        await federation.close(1)
        await federation.aggregate(1)
        await federation.open()
        size = len(stage.host.entries)
        # A replay in a later round changes nothing: it is the old round's update still.
        assert (await federation.post(request)).index == first.index
        header = federation.document("ana", rounds.Sent.of(rounds.vector(1)), b"").header
        replayed = replace(header, nonce=inspect_nonce(request))
        made = federation.request("ana", rounds.Sent.of(rounds.vector(2)), header=replayed)
        assert await rounds.refused(federation.post(made)) == "DOCUMENT_REPLAYED"
        assert len(stage.host.entries) == size

    play(story)


def test_an_update_is_in_the_log_once_however_often_it_is_sent_at_once(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await stage.end()
        await stage.boot()  # so that each of them has to wait for what is not at hand
        request = federation.request("ana", rounds.Sent.of(rounds.vector(1)))
        found = await asyncio.gather(*(federation.post(request) for _ in range(5)))
        assert len({receipt.index for receipt in found}) == 1
        others = [federation.request("ben", rounds.Sent.of(rounds.vector(n))) for n in range(5)]
        answers = await asyncio.gather(*map(federation.post, others), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        assert [refusal.reason for refusal in refused] == ["UPDATE_DUPLICATE"] * 4
        assert len(federation.entries("update")) == 2

    play(story)


def test_no_receipt_is_given_before_the_update_is_durable(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        gate, reached = asyncio.Event(), asyncio.Event()

        async def hold(commit: enclaves_pb2.Commit) -> None:
            reached.set()
            await gate.wait()

        request = federation.request("ana", rounds.Sent.of(rounds.vector(1)))
        stage.host.on_commit = hold
        first = asyncio.create_task(federation.post(request))
        await reached.wait()
        again = asyncio.create_task(federation.post(request))
        await asyncio.wait([first, again], timeout=0.05)
        assert not first.done()
        assert not again.done()
        gate.set()
        assert (await first).index == (await again).index

    play(story)


def inspect_nonce(request: federations_pb2.UpdateRequest) -> str:
    return str(parse_object(parse_envelope(request.update).payload)["header"]["nonce"])


def _changed(field: str, value: Any) -> Callable[[Any, Any], dict[str, Any]]:
    def change(federation: Any, sent: Any) -> dict[str, Any]:
        return {"inner": replace(sent.inner, **{field: value}).pack()}

    return change


def _info(*changed: str | int) -> Callable[[Any, Any], dict[str, Any]]:
    """Sealed for another federation, round, client or stream."""

    def change(federation: Any, sent: Any) -> dict[str, Any]:
        own = (federation.digest, 1, "ana", sent.object)
        parts: list[Any] = [other or mine for other, mine in zip(changed, own, strict=True)]
        return {"info": contexts.update_info(*parts)}

    return change


_ELSEWHERE = "sha256:" + "ab" * 32
_REFUSED: dict[str, tuple[str, Callable[[Any, Any], dict[str, Any]]]] = {
    "off the roster": ("NOT_ON_ROSTER", lambda f, s: {"client": "zoe", "signer": "zoe"}),
    "in another's name": ("SIGNATURE_INVALID", lambda f, s: {"signer": "ben"}),
    "another federation": ("FEDERATION_NOT_FOUND", lambda f, s: {"federation": _ELSEWHERE}),
    "another round": ("ROUND_NOT_OPEN", lambda f, s: {"round": 2}),
    "another layout": ("UPDATE_MALFORMED", lambda f, s: {"layout": _ELSEWHERE}),
    "a bound that no model without noise is within": (
        "PRIVACY_BUDGET",
        lambda f, s: {"epsilon": "100", "delta": "1e-6"},
    ),
    "no weight": ("UPDATE_MALFORMED", _changed("weight", 0)),
    "too much weight": ("UPDATE_MALFORMED", _changed("weight", 1001)),
    "the most weight there is": ("UPDATE_MALFORMED", _changed("weight", 2**32 - 1)),
    "a norm that is none": ("UPDATE_MALFORMED", _changed("norm", math.nan)),
    "an infinite norm": ("UPDATE_MALFORMED", _changed("norm", math.inf)),
    "a negative norm": ("UPDATE_MALFORMED", _changed("norm", -1.0)),
    "a scale of its own": ("UPDATE_MALFORMED", _changed("scale", 2.0)),
    "a scale that is none": ("UPDATE_MALFORMED", _changed("scale", math.nan)),
    "another length": ("UPDATE_MALFORMED", lambda f, s: {"inner": s.inner.pack() + b"x"}),
    "nothing sealed": ("UPDATE_MALFORMED", lambda f, s: {"inner": b""}),
    "another stream's key": ("KEY_COMMITMENT_MISMATCH", _changed("key", bytes(32))),
    "another commitment": ("KEY_COMMITMENT_MISMATCH", lambda f, s: {"commitment": "ab" * 32}),
    "another round's key": (
        "ENVELOPE_KEY_MISMATCH",
        lambda f, s: {"to": HPKEPrivateKey.generate().public.to_text()},
    ),
    "sealed for another federation": ("ENVELOPE_FORGED", _info(_ELSEWHERE, 0, "", "")),
    "sealed for another round": ("ENVELOPE_FORGED", _info("", 2, "", "")),
    "sealed for another client": ("ENVELOPE_FORGED", _info("", 0, "ben", "")),
    "sealed for another stream": ("ENVELOPE_FORGED", _info("", 0, "", "ab" * 16)),
    "another envelope named": ("UPDATE_MALFORMED", lambda f, s: {"sealed": _ELSEWHERE}),
}


def test_what_is_wrong_with_an_update_refuses_it_and_changes_nothing(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        size = len(stage.host.entries)
        found = dict[str, str]()
        for name, (_, change) in _REFUSED.items():
            sent = rounds.Sent.of(rounds.vector(1))
            request = federation.request(
                **{"client": "ana", "sent": sent, **change(federation, sent)}
            )
            found[name] = await rounds.refused(federation.post(request))
        assert found == {name: reason for name, (reason, _) in _REFUSED.items()}
        assert len(stage.host.entries) == size
        garbage = federations_pb2.UpdateRequest(update=b"{}", sealed=b"x")
        assert await rounds.refused(federation.post(garbage)) == "DOCUMENT_MALFORMED"
        await federation.send("ana", rounds.Sent.of(rounds.vector(1)))

    play(story)


def test_an_update_after_the_close_does_not_count(play: Play) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await federation.send_all("ana", "ben")
        assert await rounds.refused(federation.close(2)) == "ROUND_NOT_OPEN"
        await federation.close_in_time(1)
        late = rounds.Sent.of(rounds.vector(1))
        assert await rounds.refused(federation.send("cem", late)) == "ROUND_NOT_OPEN"
        assert len(federation.entries("close-round")[0]["counted"]) == 2

    play(story, round_seconds=1)
