# SPDX-License-Identifier: Apache-2.0
"""Rounds from end to end: real host, real enclaves, real updates."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from placet.governance.documents import Krum, Median, Receipt, TrimmedMean
from placet.governance.envelope import inspect
from placet.governance.log import LogProof, VerifierKey, leaf_hash, verify_proof


def test_two_rounds_with_weights(council: Any, make_vector: Any, mean_of: Any) -> None:
    federation = council.federation()
    first = [make_vector(n) for n in range(3)]
    for client, vector, weight in zip(("ana", "bea", "cem"), first, (1, 2, 3), strict=True):
        receipt = federation.send(client, vector, weight=weight)
        log = VerifierKey.from_text(council.world.client.log.key)
        verify_proof(receipt.proof, leaf_hash(receipt.entry), log)
    for client in ("dia", "eli"):
        federation.send(client, np.zeros_like(first[0]))  # a zero update is an update
    outcome = federation.until_over(1)
    assert (outcome.released, outcome.updates, dict(outcome.left)) == (True, 5, {})
    zeros = [np.zeros_like(first[0])] * 2
    expected = mean_of(*first, *zeros, weights=(1, 2, 3, 1, 1))
    np.testing.assert_allclose(federation.model(1), expected, atol=2e-8)
    federation.until_round(2)
    second = {
        client: make_vector(10 + n) for n, client in enumerate(("bea", "dia", "eli", "ana", "cem"))
    }
    for client, vector in second.items():
        federation.send(client, vector, number=2)
    ended = federation.until_state("FINISHED")
    assert ended.federation.model_round == 2
    model = federation.model(2, "eli")
    np.testing.assert_allclose(model, expected + mean_of(*second.values()), atol=4e-8)
    assert federation.kinds_of_round(1) == federation.kinds_of_round(2) == ["lease", "release"]
    receipt = inspect(federation.ask_model("ana", 2)[0].receipt, Receipt).predicate
    assert receipt.marks == ("SIMULATED", "UNWITNESSED")
    assert receipt.recipients == federation.terms.roster
    # The models of both rounds stay to be had.
    np.testing.assert_allclose(federation.model(1), expected, atol=2e-8)


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8"])
def test_other_encodings(council: Any, make_vector: Any, mean_of: Any, encoding: str) -> None:
    layout = replace(council.federation(start=False).terms.layout, encoding=encoding)
    federation = council.federation(layout=layout, rounds=1)
    sent: list[np.ndarray[Any, Any]] = []
    for number, client in enumerate(federation.terms.roster):
        plain, scale = make_vector(number), 1.0
        if encoding == "float16":
            encoded = plain.astype("<f2")
            meant = encoded.astype(np.float64)
        elif encoding == "bfloat16":
            encoded = (plain.view("<u4") >> 16).astype("<u2")
            meant = (encoded.astype("<u4") << 16).view("<f4").astype(np.float64)
        else:
            scale = float(np.float32(np.abs(plain).max() / 127))
            encoded = np.rint(plain / scale).astype("i1")
            meant = encoded.astype(np.float64) * scale
        sent.append(meant)
        norm = float(np.linalg.norm(meant))
        federation.send(client, encoded, norm=norm, scale=scale)
    assert federation.until_over(1).released
    np.testing.assert_allclose(federation.model(1), mean_of(*sent), atol=3e-8)


@pytest.mark.parametrize(
    ("rule", "smallest"),
    [(Median("median"), 3), (TrimmedMean("trimmed-mean", 34), 3), (Krum("krum", 1, 3), 5)],
)
def test_a_robust_rule_does_without_the_liar(
    council: Any, make_vector: Any, rule: Any, smallest: int
) -> None:
    federation = council.federation(rule=rule, smallest_cohort=smallest, largest_weight=1, rounds=1)
    honest = make_vector(1)
    near = [(honest + 1e-4 * make_vector(n)).astype("<f4") for n in range(4)]
    for client, vector in zip(("ana", "bea", "cem", "dia"), near, strict=True):
        federation.send(client, vector)
    federation.send("eli", (-honest / np.linalg.norm(honest) * 0.999).astype("<f4"))
    outcome = federation.until_over(1)
    assert outcome.released
    assert not outcome.left  # it kept to the terms
    np.testing.assert_allclose(federation.model(1), honest, atol=1e-4)


def test_what_is_too_long_is_cut_to_the_clip(council: Any, make_vector: Any) -> None:
    federation = council.federation(rounds=1, smallest_cohort=2)
    long = make_vector(1, 7.0)
    for client in federation.terms.roster:
        federation.send(client, long)
    assert federation.until_over(1).released
    found = federation.model(1)
    np.testing.assert_allclose(found, long / 7.0, atol=5e-8)
    assert np.linalg.norm(found.astype(np.float64)) <= 1


def test_noise_is_as_strong_as_the_terms_say(council: Any, make_vector: Any) -> None:
    federation = council.federation(rounds=1, noise="2", largest_weight=1)
    for n, client in enumerate(federation.terms.roster):
        federation.send(client, make_vector(n))
    assert federation.until_over(1).released
    vectors = [make_vector(n).astype(np.float64) for n in range(5)]
    noise: Any = (federation.model(1) - np.mean(vectors, axis=0)).astype(np.float64)
    # Sums of 30,200 squares: within five percent.
    assert 0.38 < np.std(noise) < 0.42
    assert abs(float(noise.mean())) < 0.02


def test_the_deadline_closes_a_round_and_too_few_make_it_void(
    council: Any, make_vector: Any
) -> None:
    federation = council.federation(rounds=2, round_seconds=3)
    federation.send("ana", make_vector(1))
    outcome = federation.until_over(1)
    assert (outcome.released, outcome.updates) == (False, 1)
    assert federation.kinds_of_round(1) == []
    federation.until_round(2)
    federation.send("ana", make_vector(2), number=2)
    federation.send("bea", make_vector(3), number=2)
    assert federation.until_over(2).released
    assert federation.get().federation.model_round == 2


def test_audited_and_complete(council: Any) -> None:
    report = council.world.client.log.audit()
    assert report.complete


def test_proofs_are_of_this_log(council: Any, make_vector: Any) -> None:
    federation = council.federation(rounds=1)
    receipt = federation.send("ana", make_vector(1))
    assert LogProof.from_bytes(receipt.proof).index == receipt.index
