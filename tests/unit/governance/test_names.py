# SPDX-License-Identifier: Apache-2.0
"""What governance shows to others, and that every refusal has a name on the wire."""

import types

from placet import governance
from placet.governance import GovernanceError, errors
from placet.proto.v1 import common_pb2


def test_all_is_what_is_visible() -> None:
    visible = {
        name
        for name, value in vars(governance).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert visible == set(governance.__all__)
    assert list(governance.__all__) == list(dict.fromkeys(governance.__all__))


def test_no_name_hides_a_module() -> None:
    for name in ("evaluate", "audit", "explain", "admission", "ledger"):
        assert isinstance(getattr(governance, name), types.ModuleType)


def test_every_leaf_has_a_reason_of_the_wire_and_a_meaning() -> None:
    leaves = [
        leaf for family in GovernanceError.__subclasses__() for leaf in family.__subclasses__()
    ]
    assert len({leaf.reason for leaf in leaves}) == len(leaves)
    for leaf in leaves:
        assert common_pb2.Reason.Value(f"REASON_{leaf.reason}")
        assert leaf.__doc__
        assert leaf.__name__ in str(errors.__doc__)
