# SPDX-License-Identifier: Apache-2.0
"""The tree of refusals is what its module draws, and all of it is public."""

import inspect
import re

from placet import sealing
from placet.proto.v1.common_pb2 import Reason
from placet.sealing import errors


def _classes() -> dict[str, type[sealing.SealingError]]:
    return {
        name: value
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, sealing.SealingError)
    }


def test_the_drawing_names_every_class_and_every_reason() -> None:
    drawn = re.findall(r"[├└]── (\w+)(?: +([A-Z_]+))?", errors.__doc__ or "")
    classes = _classes()
    assert {name for name, _ in drawn} == set(classes) - {"SealingError"}
    leaves = {name: reason for name, reason in drawn if reason}
    assert leaves == {name: classes[name].reason for name in leaves}
    assert {name for name, value in classes.items() if not value.__subclasses__()} == set(leaves)


def test_reasons_are_distinct_names_of_the_wire() -> None:
    reasons = [leaf.reason for leaf in _classes().values() if not leaf.__subclasses__()]
    assert len(set(reasons)) == len(reasons)
    assert {f"REASON_{reason}" for reason in reasons} <= set(Reason.keys())


def test_everything_public_is_listed() -> None:
    assert set(_classes()) <= set(sealing.__all__)
    assert sorted(sealing.__all__, key=lambda n: (not n.isupper(), n)) == sealing.__all__
    assert all(hasattr(sealing, name) for name in sealing.__all__)


def test_details_are_kept() -> None:
    error = sealing.SegmentForged("a sentence", claim="segment 3")
    assert str(error) == "a sentence"
    assert error.details == {"claim": "segment 3"}
