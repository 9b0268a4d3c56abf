# SPDX-License-Identifier: Apache-2.0
"""The bare peer as a process."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from _host.council import Scene

SERVER = Path(__file__).with_name("bare_server.py")


@contextmanager
def bare_peer(scene: Scene) -> Generator[str]:
    """Its address; it runs in the block, and writes to the host's disk."""
    folder = scene.folder / "bare"
    folder.mkdir()
    tls = scene.folder / "host" / "tls"
    files = (SERVER, tls / "cert.pem", tls / "key.pem", folder)
    command = [sys.executable, *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
