# SPDX-License-Identifier: Apache-2.0
"""Workers that aggregate rounds: real processes, sealed streams, and clients that break the terms
in every way."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from placet.attestation import Identity
from placet.enclave.round_keys import RoundKeys, UpdateKey, key_text
from placet.governance.codec import encode
from placet.governance.contexts import lease_info
from placet.governance.documents import Krum, Median, Receipt, TrimmedMean
from placet.governance.documents.federation import LIMIT
from placet.governance.envelope import inspect, parse_envelope
from placet.governance.keys import SigningKey
from placet.proto.v1 import common_pb2
from placet.sealing import HPKEPublicKey, seal_envelope
from tests.support import rounds
from tests.support.council import seal

Play = Callable[..., None]
CLOSE = 1e-6  # between exact integers and the same in float64


def mean(values: dict[str, Any], weights: dict[str, int] | None = None) -> NDArray[np.float64]:
    """The weighted mean of updates that are within the clip."""
    found = weights or dict.fromkeys(values, 1)
    total = sum(weight * values[c].astype(np.float64) for c, weight in found.items())
    return np.asarray(total / sum(found.values()))


def test_rounds_build_on_the_initial_model_and_then_on_each_other(
    play: Play, tmp_path: Path
) -> None:
    initial = rounds.vector(99)

    async def story(stage: Any, federation: Any) -> None:
        clients, expected = federation.terms.roster, initial.astype(np.float64)
        for number in (1, 2):
            values = {c: rounds.vector(10 * number + n) for n, c in enumerate(clients)}
            weights = {c: 1 + n * n for n, c in enumerate(clients)}
            for client, plain in values.items():
                sent = rounds.Sent.of(plain)
                sent.inner = replace(sent.inner, weight=weights[client])
                await federation.send(client, sent)
            await federation.close(number)
            worker = await rounds.run_round(federation, tmp_path, number)
            assert worker.code == 0
            assert worker.log.read_text().count("\n") == 1  # that it has joined
            expected = expected + 0.5 * mean(values, weights)
            model = await federation.weights(number)
            assert np.max(np.abs(model - expected)) < CLOSE
            shown = stage.host.progress[worker.lease]
            assert (shown[0], shown) == (0, sorted(shown))
            await federation.open(ticket=False)

    play(story, seal(initial.astype("<f4").tobytes()), rate="0.5")


def _longer(sent: Any) -> None:
    sent.stream += b"x"


def _shorter(sent: Any) -> None:
    del sent.stream[-1]


def _headless(sent: Any) -> None:
    sent.stream[0] ^= 1


def _flipped(sent: Any) -> None:
    sent.stream[-40] ^= 1


def _doubled(sent: Any) -> None:
    """The second segment is gone, and the first there twice."""
    sent.stream[16384 : 2 * 16384] = sent.stream[:16384][: len(sent.stream) - 16384]


def _bad() -> dict[str, tuple[str, Any]]:
    """Updates that cost their client its part in the round, by what is wrong, with the reason."""
    plain = rounds.vector(50)
    notes, extremes = plain.copy(), plain.copy()
    notes[17], extremes[4] = np.nan, np.inf
    made = {
        "nan": ("VALUES_NOT_FINITE", rounds.Sent.of(notes, norm=1.0)),
        "inf": ("VALUES_NOT_FINITE", rounds.Sent.of(extremes, norm=1.0)),
        "norm": ("NORM_EXCEEDED", rounds.Sent.of(rounds.vector(51, 10.0), norm=1.0)),
        "huge": ("NORM_EXCEEDED", rounds.Sent.of(plain * np.float32(1e30), norm=0.0)),
    }
    for name, reason, change in (
        ("longer", "STREAM_LENGTH", _longer),
        ("shorter", "STREAM_LENGTH", _shorter),
        ("headless", "STREAM_HEADER_MALFORMED", _headless),
        ("flipped", "SEGMENT_FORGED", _flipped),
        ("doubled", "SEGMENT_FORGED", _doubled),
    ):
        sent = rounds.Sent.of(plain)
        change(sent)
        made[name] = (reason, sent)
    made["missing"] = ("UPDATE_NOT_FETCHED", rounds.Sent.of(plain))
    return made


@pytest.mark.parametrize("half", [0, 1])
def test_who_breaks_the_terms_leaves_with_a_reason_and_the_rest_counts(
    play: Play, tmp_path: Path, half: int
) -> None:
    bad = _bad()
    chosen = dict(list(bad.items())[half::2])

    async def story(stage: Any, federation: Any) -> None:
        honest, liars = ("ana", "ben", "cem"), federation.terms.roster[3:]
        expected = dict[str, str]()
        values = await federation.send_all(*honest)
        for client, (name, (reason, sent)) in zip(liars, chosen.items(), strict=True):
            await federation.send(client, sent)
            expected[client] = reason
            if name == "missing":
                del stage.host.blobs[sent.object]
        await federation.close(1)
        worker = await rounds.run_round(federation, tmp_path, 1)
        assert (worker.code, stage.host.ended) == (0, {})
        assert federation.entries("release")[0]["left"] == expected
        assert np.max(np.abs(await federation.weights(1) - mean(values))) < CLOSE

    play(story)


def test_two_streams_that_the_host_swaps_cost_their_clients_the_round(
    play: Play, tmp_path: Path
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        values = await federation.send_all(*federation.terms.roster[2:])
        sent = {c: rounds.Sent.of(rounds.vector(40)) for c in federation.terms.roster[:2]}
        for client, made in sent.items():
            await federation.send(client, made)
        first, second = (made.object for made in sent.values())
        blobs = stage.host.blobs
        blobs[first], blobs[second] = blobs[second], blobs[first]
        await federation.close(1)
        await rounds.run_round(federation, tmp_path, 1)
        left = dict.fromkeys(sent, "SEGMENT_FORGED")
        assert federation.entries("release")[0]["left"] == left
        assert np.max(np.abs(await federation.weights(1) - mean(values))) < CLOSE

    play(story)


def test_krum_selects_who_agrees(play: Play, tmp_path: Path) -> None:
    async def story(stage: Any, federation: Any) -> None:
        *honest, liar = federation.terms.roster
        agreed = rounds.vector(7)
        for client in honest:
            await federation.send(client, rounds.Sent.of(agreed))
        await federation.send(liar, rounds.Sent.of(-agreed))
        await federation.close(1)
        await rounds.run_round(federation, tmp_path, 1)
        assert np.max(np.abs(await federation.weights(1) - agreed)) < CLOSE
        assert federation.entries("release")[0]["left"] == {}

    play(story, rule=Krum("krum", 1, 3), largest_weight=1, smallest_cohort=5)


def test_updates_of_int8_bring_their_scale(play: Play, tmp_path: Path) -> None:
    async def story(stage: Any, federation: Any) -> None:
        values = dict[str, Any]()
        for number, client in enumerate(federation.terms.roster):
            random = np.random.default_rng(number)
            draw = random.integers(-128, 128, rounds.LAYOUT.elements, np.int8)
            scale = float(np.float32(1e-4 * (number + 1) / 8))
            values[client] = draw.astype(np.float64) * scale
            await federation.send(client, rounds.Sent.of_int8(draw, scale))
        await federation.close(1)
        await rounds.run_round(federation, tmp_path, 1)
        assert federation.entries("release")[0]["left"] == {}
        assert np.max(np.abs(await federation.weights(1) - mean(values))) < CLOSE

    play(story, layout=replace(rounds.LAYOUT, encoding="int8"))


@pytest.mark.parametrize("found", ["{", "a proposal", "another layout"])
def test_what_are_no_terms_is_refused_at_once(play: Play, tmp_path: Path, found: str) -> None:
    async def story(stage: Any, federation: Any) -> None:
        given = {
            "{": b"{",
            "a proposal": parse_envelope(federation.proposal).payload,
            "another layout": encode(federation.terms) + b"\n",
        }
        worker = rounds.WorkerProcess(federation, tmp_path, "w", given[found])
        assert await worker.exit() == 78
        assert worker.log.read_text().startswith("refused reason=DOCUMENT_MALFORMED")

    play(story)


def test_a_zero_update_counts_and_a_long_one_is_clipped(play: Play, tmp_path: Path) -> None:
    async def story(stage: Any, federation: Any) -> None:
        zeros, long = np.zeros_like(rounds.vector(0)), rounds.vector(1, 15.0)
        values = await federation.send_all("ana", "ben", "cem", "dia", "hal")
        await federation.send("eli", rounds.Sent.of(zeros))
        await federation.send("fay", rounds.Sent.of(long))
        await federation.send("gus", rounds.Sent.of(zeros))
        await federation.close(1)
        await rounds.run_round(federation, tmp_path, 1)
        clipped = {
            "fay": long * np.float32(0.1),
            "eli": zeros,
            "gus": zeros,
        }  # 15 to the bound, 1.5
        assert np.max(np.abs(await federation.weights(1) - mean(values | clipped))) < CLOSE
        assert federation.entries("release")[0]["left"] == {}

    play(story)


def test_too_few_that_stay_release_nothing_and_the_next_round_goes_on(
    play: Play, tmp_path: Path
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        await federation.send_all("dia", "eli")  # of one organisation
        sent = [rounds.Sent.of(rounds.vector(1)) for _ in range(6)]
        for client, made in zip(("ana", "ben", "cem", "fay", "gus", "hal"), sent, strict=True):
            await federation.send(client, made)
            del stage.host.blobs[made.object]
        await federation.close(1)
        worker = await rounds.run_round(federation, tmp_path, 1)
        assert (worker.code, stage.host.ended) == (0, {})
        [entry] = federation.entries("release")
        assert (entry["receipt"], len(entry["left"])) == ("", 6)
        assert await rounds.refused(federation.model(1)) == "MODEL_NOT_RELEASED"
        await federation.open()
        assert federation.opened["round"] == 2

    play(story)


@pytest.mark.parametrize(
    # Of the eight that were sent a trimmed mean would take three away at each end, of the five that
    # stay two.
    "rule",
    [Median("median"), TrimmedMean("trimmed-mean", 45)],
)
def test_the_median_and_a_trimmed_mean_of_whoever_stays(
    play: Play, tmp_path: Path, rule: Any
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        values = await federation.send_all(*federation.terms.roster[:-3])
        nothing = rounds.vector(5) * np.float32(np.nan)
        for client in federation.terms.roster[-3:]:
            await federation.send(client, rounds.Sent.of(nothing, 1.0))
        await federation.close(1)
        await rounds.run_round(federation, tmp_path, 1)
        [entry] = federation.entries("release")
        assert set(entry["left"].values()) == {"VALUES_NOT_FINITE"}
        middle = np.median(np.stack(list(values.values())).astype(np.float64), axis=0)
        assert np.max(np.abs(await federation.weights(1) - middle)) < CLOSE

    play(story, rule=rule, largest_weight=1, smallest_cohort=3)


def test_noise_of_the_right_scale_is_added_and_who_left_counts_as_zero(
    play: Play, tmp_path: Path
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        roster = federation.terms.roster
        values = await federation.send_all(*roster[1:])
        await federation.send("ana", rounds.Sent.of(rounds.vector(1) * np.float32(np.inf), 1.0))
        await federation.close(1)
        await rounds.run_round(federation, tmp_path, 1)
        total = mean(values) * len(values)
        noise: NDArray[np.float64] = await federation.weights(1) - total / len(roster)
        sigma = float(federation.terms.clipping_bound) * 0.5 / len(roster)
        assert federation.terms.sigma == LIMIT // 2
        assert abs(float(np.std(noise)) / sigma - 1) < 0.06  # six standard errors
        assert abs(float(np.mean(noise))) < 6 * sigma / np.sqrt(noise.size)
        assert federation.audit().complete

    play(story, noise="0.5", largest_weight=1)


def test_a_worker_that_is_killed_costs_an_attempt_and_nothing_else(
    play: Play, tmp_path: Path
) -> None:
    async def story(stage: Any, federation: Any) -> None:
        values = await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        worker = rounds.WorkerProcess(federation, tmp_path, "killed")
        package = await federation.lease(await worker.joined(), 1)
        lease = parse_envelope(package.lease).digest
        reached, gate = asyncio.Event(), asyncio.Event()

        async def held(request: Any, context: Any) -> None:
            reached.set()
            await gate.wait()

        stage.host.on_get = held
        worker.assign(package)
        await reached.wait()  # it is in the middle of the fetching
        worker.process.send_signal(signal.SIGKILL)
        assert await worker.exit() == -signal.SIGKILL
        stage.host.on_get = None
        gate.set()
        await federation.end_attempt(lease)
        worker = await rounds.run_round(federation, tmp_path, 1, "second")
        assert worker.code == 0
        assert np.max(np.abs(await federation.weights(1) - mean(values))) < CLOSE
        assert inspect((await federation.model(1))[0].receipt, Receipt).predicate.attempt == 2

    play(story)


def test_nothing_of_an_update_is_in_what_the_host_can_see(play: Play, tmp_path: Path) -> None:
    canary = np.frombuffer(b"canary-canary-canary-16" * 1000, "<f4")[: rounds.LAYOUT.elements]
    plain = rounds.vector(1) * np.float32(0.01)
    plain[: len(canary)] = canary[: len(plain)]
    plain = np.nan_to_num(plain, nan=0, posinf=0, neginf=0).astype(np.float32)

    async def story(stage: Any, federation: Any) -> None:
        norm = float(np.linalg.norm(plain.astype(np.float64)))
        for client in federation.terms.roster:
            await federation.send(client, rounds.Sent.of(plain, norm))
        await federation.close(1)
        worker = await rounds.run_round(federation, tmp_path, 1)
        assert worker.code == 0
        files = [path for path in worker.scratch.rglob("*") if path.is_file()]
        assert len(files) == len(federation.terms.roster) + 1  # sealed updates, the sealed model
        seen = b"".join(path.read_bytes() for path in [*files, worker.log])
        seen += b"".join(stage.host.entries) + b"".join(stage.host.documents.values())
        assert b"canary" in plain.tobytes()
        assert b"canary" not in seen

    play(story)


def test_an_initial_model_that_is_not_whole_ends_the_attempt(play: Play, tmp_path: Path) -> None:
    sealed = seal(rounds.vector(3).astype("<f4").tobytes())

    async def story(stage: Any, federation: Any) -> None:
        stage.host.blobs[sealed.descriptor.id] = sealed.data[:-1]
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        worker = await rounds.run_round(federation, tmp_path, 1)
        assert worker.code != 0
        reason = stage.host.ended[worker.lease].reason
        assert reason == common_pb2.REASON_STREAM_LENGTH
        assert federation.entries("release") == []

    play(story, sealed)


def test_keys_that_a_host_made_up_are_refused(play: Play, tmp_path: Path) -> None:
    """Anybody can seal to a worker: a cohort of the host's own would be released as the
    clients'."""

    async def story(stage: Any, federation: Any) -> None:
        await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        worker = rounds.WorkerProcess(federation, tmp_path, "w1")
        identity = await worker.joined()
        package = await federation.lease(identity, 1)
        made = {c: rounds.Sent.of(rounds.vector(666)) for c in ("ana", "ben")}
        updates = tuple(
            UpdateKey(
                client=client,
                organisation=rounds.ORGANISATIONS[client],
                object=sent.object,
                commitment=sent.commitment,
                key=key_text(sent.key.to_bytes()),
                norm=sent.inner.norm.hex(),
                scale=sent.inner.scale.hex(),
                weight=1,
            )
            for client, sent in made.items()
        )
        for sent in made.values():
            stage.host.blobs[sent.object] = bytes(sent.stream)
        lease = parse_envelope(package.lease).digest
        hpke = Identity.from_bytes(stage.host.documents[identity]).hpke
        package.key_envelope = seal_envelope(
            RoundKeys(lease, None, updates).to_bytes(SigningKey.generate()),
            HPKEPublicKey.from_text(hpke),
            lease_info(lease),
        )
        worker.assign(package)
        assert await worker.exit() != 0
        assert common_pb2.Reason.Name(stage.host.ended[lease].reason) == "REASON_LEASE_INVALID"
        assert federation.entries("release") == []

    play(story)


@pytest.mark.parametrize("rule", ["keep", "mean-without-noise"])
def test_what_is_kept_stays_and_what_is_spared_gets_no_noise(
    play: Play, tmp_path: Path, rule: str
) -> None:
    """Whatever clients send for an array that the model keeps, and whatever noise the rest gets."""
    initial = np.ones(rounds.ELEMENTS, np.float32)

    async def story(stage: Any, federation: Any) -> None:
        values = await federation.send_all(*federation.terms.roster)
        await federation.close(1)
        await rounds.run_round(federation, tmp_path, 1)
        model, first = await federation.weights(1), rounds.ELEMENTS - 30
        if rule == "keep":
            assert (model[first:] == 1).all()
        else:
            assert np.max(np.abs(model[first:] - 1 - mean(values)[first:])) < CLOSE
        sigma = float(federation.terms.clipping_bound) * 0.5 / len(federation.terms.roster)
        assert abs(float(np.std(model[:first])) / sigma - 1) < 0.1

    sealed = seal(initial.astype("<f4").tobytes())
    play(story, sealed, noise="0.5", largest_weight=1, buffers={"b": rule})
