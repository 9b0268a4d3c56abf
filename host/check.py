# SPDX-License-Identifier: Apache-2.0
"""`python -m placet.host check`: read every blob of a state folder again, and list what is
damaged."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from placet.host.blobs.blob_files import BlobFiles
from placet.host.blobs.blob_store import forget_damaged
from placet.host.blobs.scrub import Finding, Pace, scrub
from placet.proto.limits import MIB


def check(arguments: Sequence[str]) -> int:
    """Returns 0 if nothing is damaged, 1 if something is, 2 for a folder that holds no blobs."""
    parsed = _parser().parse_args(arguments)
    folder: Path = parsed.state / "blobs"
    if not folder.is_dir():
        print(f"placet host check: {folder} is no folder of blobs.", file=sys.stderr)
        return 2
    files, counts = BlobFiles(folder), Counter[str]()
    for finding in scrub(files, Pace(parsed.rate * MIB)):
        counts[finding.condition] += 1
        if finding.bad:
            forgotten = parsed.forget and forget_damaged(files, finding.blob)
            _tell(finding, forgotten, parsed.json)
    bad = sum(counts[condition] for condition in ("lost", "damaged", "unreadable"))
    if parsed.json:
        print(json.dumps({"checked": counts.total(), "bad": bad, **counts}))
    else:
        print(f"{counts.total()} blobs were checked; {bad} have to be put again.")
    return 1 if bad else 0


def _tell(finding: Finding, forgotten: bool, as_json: bool) -> None:
    if as_json:
        value = {"blob": finding.blob, "condition": finding.condition, "bytes": finding.length}
        print(json.dumps({**value, "forgotten": forgotten}), flush=True)
        return
    also = ", forgotten" if forgotten else ""
    print(f"{finding.blob} {finding.condition} ({finding.length} bytes{also})", flush=True)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError("The rate must be above 0.")
    return rate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="placet host check",
        description="Read every blob again and list those that are lost or damaged, one a line. "
        "A host may run meanwhile. Ends with 1 if there are any.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--state", type=Path, default=Path("placet-host"), help="folder of all that the host keeps")
    add("--rate", type=_rate, default=64.0, help="MiB a second at most")
    add("--forget", action="store_true", help="let what is damaged be put again")
    add("--json", action="store_true", help="print JSON lines, the last with the counts")
    return parser
