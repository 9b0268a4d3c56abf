# SPDX-License-Identifier: Apache-2.0
"""Signs the measurements of a release: client/release.json, which ships with the client.

    python deploy/release.py --key release.key BUILD...

BUILD are the build.json of one commit's builds, from every machine that built for another
architecture, CPython or AEAD. The key's public half has to stand in RELEASE_KEYS of
client/trust/builds.py, or no client would believe the file.
"""

import argparse
import sys
from pathlib import Path

from placet.client.cli._frame import load_keys
from placet.client.trust.builds import RELEASE_KEYS, Build, Release, verify_release
from placet.governance.codec import decode
from placet.governance.envelope import sign
from placet.refusals import Refusal

OUT = Path(__file__).resolve().parents[1] / "client" / "release.json"


def main() -> None:
    """Sign, and verify as a client would, before anything is written."""
    parser = argparse.ArgumentParser(description="Sign the measurements of a release.")
    parser.add_argument("--key", type=Path, required=True, help="key file of `placet keygen`")
    parser.add_argument("builds", type=Path, nargs="+", metavar="BUILD", help="a build.json")
    arguments = parser.parse_args()
    try:
        keys = load_keys(arguments.key)
        if keys.public.signing.text not in RELEASE_KEYS:
            sys.exit(
                f"Clients do not know {keys.public.signing.text}: "
                "add it to RELEASE_KEYS in client/trust/builds.py."
            )
        builds = tuple(decode(Build, path.read_bytes()) for path in arguments.builds)
        envelope = sign(Release(builds[0].version, builds), keys.signing)
        release = verify_release(envelope)
    except (Refusal, OSError) as error:
        sys.exit(f"Not released: {error}")
    OUT.write_bytes(envelope + b"\n")
    print(f"Wrote {OUT}:", *(build.name for build in release.builds), sep="\n")


if __name__ == "__main__":
    main()
