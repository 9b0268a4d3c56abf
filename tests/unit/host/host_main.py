# SPDX-License-Identifier: Apache-2.0
"""A host in a process of its own, to be killed: `python -I host_main.py STATE CPU ORIGIN
SCRIPT`."""

import asyncio
import sys
from pathlib import Path

from placet.host import EnclaveProcess, HostConfig, LaunchOrder, Running, arguments, serve


class ScriptLauncher:
    """Starts a script as an enclave."""

    async def launch(self, order: LaunchOrder) -> Running:
        argv = [sys.executable, "-I", sys.argv[4], *arguments(order)]
        return await EnclaveProcess.start(argv, order)


if __name__ == "__main__":
    config = HostConfig(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], drain_seconds=1.0)
    asyncio.run(serve(config, ScriptLauncher()))
