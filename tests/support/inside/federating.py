# SPDX-License-Identifier: Apache-2.0
"""Federations on a host in this process: what was sent to them, and clients that lie to them."""

import contextlib
import io
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placet.client import Client
from placet.client.federations import decode
from placet.client.federations.encoding import Encoded, encode
from placet.enclave.authority.rounds import open_update
from placet.governance.documents import Update
from placet.governance.envelope import inspect
from placet.governance.judgements.rounds import SealedUpdate
from placet.sealing import ObjectDescriptor, StreamKey, open_stream
from tests.support.inside.hosted import Hosted
from tests.support.inside.relay import Call


def moved(state: dict[str, Any], by: float) -> dict[str, Any]:
    """A state with every number a little larger."""
    return {name: array + np.float32(by) for name, array in state.items()}


def until_model(client: Client, federation: str, number: int) -> None:
    """Wait until the host tells of the model of a round."""
    for told in client.runs.watch(federation):
        if getattr(told.work, "model_round", 0) >= number:
            return
    assert getattr(client.runs.get(federation).work, "model_round", 0) >= number


def stream_of(client: Client, update: Update) -> bytes:
    """The sealed stream of an update, as the host has it."""
    with tempfile.TemporaryDirectory() as folder:
        return client.blobs.get(update.object, Path(folder) / "stream").read_bytes()


def opened(host: Hosted, client: Client, digest: str) -> tuple[Any, SealedUpdate, int]:
    """Values, what was sealed, and weight of an update of a round that is open, as an authority
    and a worker open it."""
    update = inspect(host.document(digest), Update)
    terms = host.core.ledger.proposal(update.federation).document.federate
    sealed, layout = host.document(update.sealed), terms.layout
    key = host.do(lambda: host.core.store.open_round(update.federation, update.round))
    found = open_update(update, sealed, key, terms)
    length = layout.update_bytes
    descriptor = ObjectDescriptor(
        id=update.object,
        kind="update",
        labels=(),
        commitment=update.commitment,
        segment_size=layout.segment_bytes,
        segments=max(1, -(-(length + 40) // (layout.segment_bytes - 16))),
        length=length,
        root="sha256:" + "0" * 64,
    )
    stream = io.BytesIO(stream_of(client, update))
    with open_stream(stream, StreamKey(found.key), descriptor, leaf_hashes=None) as reader:
        plain = np.frombuffer(reader.readall(), np.uint8)
    return decode(plain, layout.encoding, found.scale).astype(np.float64), found, found.weight


@contextlib.contextmanager
def faulty(fault: str) -> Generator[None]:
    """Updates that are made meanwhile have a fault, which a worker finds."""

    def encode_badly(vector: Any, encoding: Any) -> Encoded:
        encoded = encode(vector, encoding)
        values = encoded.data.view("<f4")
        if fault == "NORM_EXCEEDED":
            values *= 1e6
        else:
            assert fault == "VALUES_NOT_FINITE"
            values[0] = np.nan
        return encoded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("placet.client.federations.updates.encode", encode_badly)
        yield


def forge(host: Hosted, **fields: bytes) -> None:
    """Let receipts of updates hold something else."""

    async def lie(call: Call) -> Any:
        answer = await call.answer()
        for name, value in fields.items():
            setattr(answer, name, value)
        return answer

    host.relay.lie("Federations.Update", lie)
