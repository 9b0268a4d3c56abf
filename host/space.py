# SPDX-License-Identifier: Apache-2.0
"""`python -m placet.host space`: what a state folder takes of the disk, and whose blobs do."""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from placet.host.seen.space import measure
from placet.proto.limits import MIB


def space(arguments: Sequence[str]) -> int:
    """Returns 0, or 2 for a folder that holds no blobs."""
    parsed = _parser().parse_args(arguments)
    state: Path = parsed.state
    if not (state / "blobs").is_dir():
        print(f"placet host space: {state} is no state folder of a host.", file=sys.stderr)
        return 2
    found, free = measure(state), shutil.disk_usage(state).free
    owners = dict(sorted(found.owners.items(), key=lambda item: -item[1]))
    if parsed.json:
        print(json.dumps({"free": free, "kinds": dict(found.kinds), "owners": owners}))
        return 0
    for kind, size in (*found.kinds.items(), ("free", free)):
        print(f"{size / MIB:12.1f} MiB  {kind}")
    for owner, size in owners.items():
        print(f"{size / MIB:12.1f} MiB  blobs of {owner or 'nobody'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="placet host space",
        description="Say what a state folder takes of the disk, and which owners' blobs take most. "
        "A host may run meanwhile.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--state", type=Path, default=Path("placet-host"), help="folder of all that the host keeps")
    add("--json", action="store_true", help="print JSON")
    return parser
