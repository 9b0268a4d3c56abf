# SPDX-License-Identifier: Apache-2.0
"""Simulated machines and enclaves: real quotes over real pipes, and a policy that accepts them."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import BinaryIO, cast

import pytest

from placet.attestation import (
    SIMULATION_SIGNER,
    Attester,
    Claims,
    Evidence,
    Identity,
    Policy,
    SimulatedAttester,
    report_data,
    verify_evidence,
)
from placet.host.simulation.service import SimulatedQuotingService
from tests.support import policies

NOW = 1_800_000_000
MEASUREMENTS = {"authority": "aa" * 32, "worker": "bb" * 32}
LAUNCHED_FOR = "sha256:" + "cd" * 32
NONCE = bytes(range(32))
CONTEXT = b"log"

Launch = Callable[[str, str], Attester]


@pytest.fixture
def now() -> int:
    """Unix seconds at which everything here is made."""
    return NOW


@pytest.fixture
def nonce() -> bytes:
    """The verifier's nonce."""
    return NONCE


@pytest.fixture
def launched_for() -> str:
    """What the worker was launched for."""
    return LAUNCHED_FOR


@pytest.fixture
def measurements() -> dict[str, str]:
    """The measurement of each role on the simulated machine."""
    return MEASUREMENTS


@pytest.fixture
def service() -> SimulatedQuotingService:
    """A machine whose clock stands still, and whose code is not looked at."""
    return SimulatedQuotingService(
        b"\x01" * 32, clock=lambda: NOW, measurer=MEASUREMENTS.__getitem__
    )


@pytest.fixture
def pipes() -> Iterator[Callable[[], tuple[BinaryIO, BinaryIO]]]:
    """Make pipes, each as (reader, writer); closed at the end."""
    with ExitStack() as stack:

        def make() -> tuple[BinaryIO, BinaryIO]:
            read, write = os.pipe()
            ends = os.fdopen(read, "rb"), os.fdopen(write, "wb")
            for end in ends:
                stack.callback(end.close)
            return cast("tuple[BinaryIO, BinaryIO]", ends)

        yield make


@pytest.fixture
def launch(
    service: SimulatedQuotingService, pipes: Callable[[], tuple[BinaryIO, BinaryIO]]
) -> Iterator[Launch]:
    """Launch an enclave of a role for a digest; return its attester."""
    with ExitStack() as stack:

        def start(role: str, launched_for: str) -> Attester:
            requests, to_service = pipes()
            answers, to_enclave = pipes()
            thread = threading.Thread(
                target=service.serve, args=(role, launched_for, requests, to_enclave)
            )
            thread.start()
            stack.callback(thread.join, timeout=30)
            stack.callback(to_service.close)  # runs first: the service sees the end
            return SimulatedAttester(answers, to_service)

        yield start


@pytest.fixture
def identity() -> Identity:
    """A worker's identity document."""
    charter, boot = "sha256:" + "c4" * 32, "0123456789abcdef" * 2
    return Identity("worker", "log.example+1", charter, boot, "hpke:AAAA", "ed25519:BBBB")


@pytest.fixture
def evidence(launch: Launch, identity: Identity) -> Evidence:
    """Evidence of a worker that speaks for `identity`."""
    return launch("worker", LAUNCHED_FOR).evidence(report_data(identity.digest, NONCE, CONTEXT))


@pytest.fixture
def claims(evidence: Evidence) -> Claims:
    """What that evidence says."""
    return verify_evidence(evidence, now=NOW)


@pytest.fixture
def policy(claims: Claims) -> Policy:
    """A policy that accepts `claims` and leaves nothing open."""
    return policies.policy(
        measurements=[MEASUREMENTS["worker"]],
        signers=[SIMULATION_SIGNER],
        product=1,
        platforms=[claims.platform],
        min_svn=1,
        min_snp_tcb="0.3.0.20.209",
        snp_bits_required=["platform.ecc"],
        snp_bits_allowed=["platform.tsme"],
        min_tcb_evaluation=1,
        max_collateral_age_seconds=3600,
    )
