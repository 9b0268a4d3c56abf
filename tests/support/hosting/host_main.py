# SPDX-License-Identifier: Apache-2.0
"""A host in a process of its own, to be killed: `python -I host_main.py STATE CPU ORIGIN`."""

import asyncio
import sys
from pathlib import Path

from placet.host import HostConfig, serve

sys.path.append(str(Path(__file__).parents[3]))  # -I leaves it out

if __name__ == "__main__":
    from tests.support.hosting.launcher import ScriptedLauncher

    config = HostConfig(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], drain_seconds=1.0)
    asyncio.run(serve(config, ScriptedLauncher()))
