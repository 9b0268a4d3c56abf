# SPDX-License-Identifier: Apache-2.0
"""A child that is forked from a process with a client is told so in words; gRPC would hang in it or
abort it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from placet.client import Client, Home

# Prints what each of three children says: of a client from before, of a client of its own, and of
# one whose parent had none.
SCRIPT = """
import os, sys
from pathlib import Path
from placet.client import Client, Home, UsageRefused

def child(use):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            use()
            print("used", flush=True)
        except UsageRefused as refused:
            print(refused.reason, refused.details["claim"], flush=True)
        os._exit(0)
    os.waitpid(pid, 0)

def fresh():
    with Client.at_home(home) as client:
        client.log.checkpoint()

home = Home(Path(sys.argv[1]))
child(fresh)
with Client.at_home(home) as client:
    client.log.checkpoint()
    child(client.log.checkpoint)
    child(fresh)
"""


def test_a_forked_child_says_that_it_is_one(founded: Client, home: Home, tmp_path: Path) -> None:
    script: Any = [sys.executable, "-c", SCRIPT, home.folder]
    ran = subprocess.run(
        script, check=False, capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert ran.stdout.split("\n")[:3] == ["used", "USAGE fork", "USAGE fork"], ran.stderr
