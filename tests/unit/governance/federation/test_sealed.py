# SPDX-License-Identifier: Apache-2.0
"""What a client seals to a round key."""

import math
import struct
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.governance.documents import Layout, Tensor
from placet.governance.judgements.rounds import SealedUpdate
from placet.refusals import Refusal
from placet.sealing import HPKEPrivateKey

CLIENTS = ("ana-a", "ben-a", "cem-b", "dia-c", "eli-d")
ROUND_KEY = HPKEPrivateKey.generate("X25519").public.to_text()
LAYOUT = Layout((Tensor("w", (4, 3)), Tensor("b", (3,))), "float32", 65536)


@given(st.binary(min_size=32, max_size=32), st.floats(0, 1e300), st.integers(1, 1000))
def test_sealed_updates_are_read_as_they_were_written(
    terms: Any, key: bytes, norm: float, weight: int
) -> None:
    sealed = SealedUpdate(key, norm, 1.0, weight)
    assert len(sealed.pack()) == 48
    assert SealedUpdate.unpack(sealed.pack(), terms()) == sealed
    assert key.hex() not in repr(sealed)


@pytest.mark.parametrize(
    "fields",
    [
        (math.nan, 1.0, 1),
        (math.inf, 1.0, 1),
        (-1.0, 1.0, 1),
        (1.0, 0.0, 1),
        (1.0, math.nan, 1),
        (1.0, 0.5, 1),  # a scale is int8's
        (1.0, 1.0, 0),
        (1.0, 1.0, 1001),
        (1.0, 1.0, 2**32 - 1),  # what a negative count would be
    ],
)
def test_what_is_sealed_is_within_the_terms(
    fields: tuple[float, float, int], refused: Any, terms: Any
) -> None:
    data = struct.pack("<32sdfI", bytes(32), *fields)
    refused("UPDATE_MALFORMED", lambda: SealedUpdate.unpack(data, terms()))


def test_a_refusal_does_not_quote_what_was_sealed(refused: Any, terms: Any) -> None:
    for fields in ((-7.25, 1.0, 1), (1.0, 0.625, 1), (1.0, 1.0, 7777)):
        data = struct.pack("<32sdfI", bytes(32), *fields)
        error = refused("UPDATE_MALFORMED", partial(SealedUpdate.unpack, data, terms()))
        said = str(error) + str(error.details)
        assert not any(number in said for number in ("7.25", "0.625", "7777"))


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(terms: Any, data: bytes) -> None:
    try:
        SealedUpdate.unpack(data, terms())
    except Refusal as error:
        assert error.reason == "UPDATE_MALFORMED"


def test_int8_brings_its_scale(terms: Any) -> None:
    int8 = terms(layout=replace(LAYOUT, encoding="int8"))
    sealed = SealedUpdate(bytes(32), 1.0, 0.5, 1)
    assert SealedUpdate.unpack(sealed.pack(), int8) == sealed
