# SPDX-License-Identifier: Apache-2.0
"""What importing governance loads, and that every refusal has a name on the wire."""

import subprocess
import sys

from placet.governance import errors
from placet.governance.errors import GovernanceError
from placet.proto.v1 import common_pb2


def test_the_codec_loads_what_it_uses_and_no_more() -> None:
    code = (
        "import sys, placet.governance.codec\n"
        "print(*sorted(name for name in sys.modules if name.startswith('placet.governance.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    used = ("codec", "errors", "text")
    assert done.stdout.split() == [f"placet.governance.{name}" for name in used]


def test_every_leaf_has_a_reason_of_the_wire_and_a_meaning() -> None:
    leaves = [
        leaf for family in GovernanceError.__subclasses__() for leaf in family.__subclasses__()
    ]
    assert len({leaf.reason for leaf in leaves}) == len(leaves)
    for leaf in leaves:
        assert common_pb2.Reason.Value(f"REASON_{leaf.reason}")
        assert leaf.__doc__
        assert leaf.__name__ in str(errors.__doc__)
