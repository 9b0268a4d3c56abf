# SPDX-License-Identifier: Apache-2.0
"""The encoding of a domain and its parts is injective."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placet.sealing import context

_lists = st.tuples(st.text(min_size=1, max_size=8), st.lists(st.binary(max_size=8), max_size=4))


def test_the_encoding_is_fixed() -> None:
    assert context("ab", b"", b"c") == (
        b"\x00\x00\x00\x00\x00\x00\x00\x02ab"
        b"\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x00\x00\x00\x00\x01c"
    )


@given(_lists, _lists)
def test_two_lists_never_share_an_encoding(
    one: tuple[str, list[bytes]], other: tuple[str, list[bytes]]
) -> None:
    assert (context(one[0], *one[1]) == context(other[0], *other[1])) == (one == other)


def test_an_empty_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="domain"):
        context("", b"part")
