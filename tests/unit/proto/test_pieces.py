# SPDX-License-Identifier: Apache-2.0
"""What is longer than a message comes in pieces, whole again and within its bounds."""

import pytest

from placet.proto.limits import MAX_SEALED
from placet.proto.pieces import Arriving, cut
from placet.refusals import QuestionTooLarge, QueueFull, RequestMalformed

MOST = 4 * MAX_SEALED


@pytest.mark.parametrize(
    ("length", "count"), [(0, 1), (MAX_SEALED, 1), (MAX_SEALED + 1, 2), (3 * MAX_SEALED, 3)]
)
def test_pieces_come_whole_again(length: int, count: int) -> None:
    data = bytes(range(256)) * (length // 256 + 1)
    data = data[:length]
    pieces = list(cut(data))
    assert len(pieces) == count
    assert [size for _, size in pieces] == [length if count > 1 else 0] + [0] * (count - 1)
    assert all(len(piece) == MAX_SEALED for piece, _ in pieces[:-1])
    arriving = Arriving(MOST, MOST)
    for _ in range(2):  # nothing is left of the first
        found = [arriving.add(7, piece, size) for piece, size in pieces]
        assert found[:-1] == [None] * (count - 1) and found[-1] == data


def test_room_is_kept_for_what_has_begun() -> None:
    arriving = Arriving(MOST, MOST)
    arriving.add(1, b"a", MOST - 10)
    with pytest.raises(QueueFull) as full:
        arriving.add(2, b"b", 11)
    assert int(full.value.details["retry_ms"]) > 0
    assert arriving.add(2, b"b" * 10, 0) is None  # the rest of what was refused
    arriving.add(3, b"c", 10)
    arriving.drop(1)
    arriving.drop(1)
    arriving.add(4, b"d", MOST - 10)
    with pytest.raises(QueueFull):
        arriving.add(5, b"e", 2)


def test_what_is_too_large_or_no_whole_is_refused() -> None:
    arriving = Arriving(MOST, MOST)
    with pytest.raises(QuestionTooLarge) as large:
        arriving.add(1, b"a", MOST + 1)
    assert large.value.details["actual"] == str(MOST + 1)
    for pieces in ([(b"ab", 2)], [(b"", 5)], [(b"a", 3), (b"bcd", 0)], [(b"a", 3), (b"", 0)]):
        with pytest.raises(RequestMalformed):
            for piece, size in pieces:
                arriving.add(2, piece, size)
    assert arriving.add(2, b"whole", 0) == b"whole"
