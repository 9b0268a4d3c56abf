# SPDX-License-Identifier: Apache-2.0
"""Evidence that is asked about again: the same answer, and never a longer life."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from placet.attestation import (
    Claims,
    CollateralStaleError,
    Evidence,
    EvidenceCache,
    EvidenceError,
    verify_evidence,
)


def test_the_same_claims(evidence: Evidence, claims: Claims, now: int) -> None:
    cache = EvidenceCache()
    first = cache.verify(evidence, now=now)
    assert first == claims
    # An equal value that was not seen before: what is compared is the content.
    assert cache.verify(Evidence.from_bytes(evidence.to_bytes()), now=now + 1) is first


def test_never_outlives_its_collateral(evidence: Evidence, claims: Claims, now: int) -> None:
    cache = EvidenceCache()
    assert cache.verify(evidence, now=now) == claims
    assert cache.verify(evidence, now=claims.collateral_expires - 1) == claims
    for late in (claims.collateral_expires + 1, claims.collateral_expires + 10**6):
        with pytest.raises(CollateralStaleError):
            verify_evidence(evidence, now=late)
        with pytest.raises(CollateralStaleError):
            cache.verify(evidence, now=late)


def test_never_serves_the_past(evidence: Evidence, claims: Claims, now: int) -> None:
    cache = EvidenceCache()
    cache.verify(evidence, now=now)
    with pytest.raises(CollateralStaleError):
        cache.verify(evidence, now=claims.collateral_issued - 1)


def test_what_differs_is_verified(evidence: Evidence, now: int) -> None:
    cache = EvidenceCache()
    cache.verify(evidence, now=now)
    flipped = evidence.quote[:400] + bytes([evidence.quote[400] ^ 1]) + evidence.quote[401:]
    for other in (
        replace(evidence, quote=flipped),
        replace(evidence, collateral=evidence.collateral.replace("UpToDate", "UpToDatE")),
        replace(evidence, kind="sgx"),
    ):
        for _ in range(2):  # a refusal is not remembered as an answer
            with pytest.raises(EvidenceError):
                cache.verify(other, now=now)


def test_bounded(evidence: Evidence, now: int) -> None:
    cache = EvidenceCache(entries=2)
    made = [replace(evidence, collateral=evidence.collateral + " " * n) for n in range(3)]
    found = [cache.verify(one, now=now) for one in made]
    assert cache.verify(made[1], now=now) is found[1]
    assert cache.verify(made[2], now=now) is found[2]
    assert cache.verify(made[0], now=now) is not found[0]
    with pytest.raises(ValueError, match="at least one"):
        EvidenceCache(entries=0)


def test_cheaper_than_verifying(evidence: Evidence, now: int) -> None:
    cache = EvidenceCache()
    cache.verify(evidence, now=now)
    assert _least(lambda: cache.verify(evidence, now=now)) < _least(
        lambda: verify_evidence(evidence, now=now)
    )


def _least(task: Callable[[], object]) -> float:
    """The shortest of some runs, in seconds: a busy machine only lengthens them."""

    def once() -> float:
        start = time.perf_counter()
        task()
        return time.perf_counter() - start

    return min(once() for _ in range(20))
