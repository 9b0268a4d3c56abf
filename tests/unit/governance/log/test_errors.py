# SPDX-License-Identifier: Apache-2.0
"""The error tree and the public names."""

import pytest

from placet.governance import log
from placet.governance.log import LogError, LogTruncatedError

REASONS = {
    "LOG_PROOF_INVALID",
    "LOG_CHECKPOINT_INVALID",
    "LOG_TRUNCATED",
    "LOG_FORKED",
    "LOG_TILE_MALFORMED",
    "LOG_PROOF_MALFORMED",
}


def test_each_leaf_has_its_reason() -> None:
    assert sorted(leaf.reason for leaf in LogError.__subclasses__()) == sorted(REASONS)


def test_details_are_kept() -> None:
    with pytest.raises(LogError) as caught:
        raise LogTruncatedError("The log is shorter.", expected="at least 3", actual="2")
    assert str(caught.value) == "The log is shorter."
    assert caught.value.details == {"expected": "at least 3", "actual": "2"}


def test_every_public_name_exists() -> None:
    assert log.__all__ == sorted(log.__all__, key=lambda n: (not n.isupper(), n[0].islower(), n))
    assert all(hasattr(log, name) for name in log.__all__)
    assert {leaf.__name__ for leaf in LogError.__subclasses__()} <= set(log.__all__)
