# SPDX-License-Identifier: Apache-2.0
"""A host of one's own, as a child of this process."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from placet.client.blocking import Client
from placet.client.connection.channel import fetch_certificate, pin_of
from placet.client.errors import SettingMissing, Unreachable
from placet.client.home import Home
from placet.client.installing import install
from placet.refusals import Refusal

_PATIENCE = 60.0  # seconds for an authority to start
_ENDING = 60.0


def answering(home: Home) -> bool:
    """Whether the host of a home answers, with the certificate that the home knows."""
    if not home.config.exists():
        return False
    address, pin = home.host()
    try:
        return pin_of(fetch_certificate(address)) == pin
    except Unreachable:
        return False


@contextmanager
def host_in(folder: Path, listen: str) -> Generator[tuple[str, str]]:
    """A host over `folder`/host and `folder`/cpu while the block runs; its address and pin. It
    ends with the block, and with a Ctrl-C, which reaches it too. Raises `SettingMissing`."""
    if importlib.util.find_spec("sqlalchemy") is None:
        raise SettingMissing(
            f"The host's packages are not installed. Run: {install('host', 'enclave')}"
        )
    words = [sys.executable, "-m", "placet.host", "--listen", listen]
    words += ["--state", str(folder / "host"), "--cpu", str(folder / "cpu")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = [process.stdout.readline().split() for _ in ("address", "pin")]
            said = {words[0]: words[1] for words in told if len(words) == 2}
            if len(said) < 2:
                raise SettingMissing(
                    "The host did not start; the lines above say why. Look into "
                    f"{folder / 'host' / 'logs'}, or name another folder (--folder)."
                )
            yield said["address"], said["pin"]
        finally:
            process.terminate()
            process.wait(_ENDING)


def wait_for_authority(home: Home) -> None:
    """Return once the authority gives evidence. Raises what the last attempt raised."""
    deadline = time.monotonic() + _PATIENCE
    with Client.at_home(home, simulated=True) as connected:
        while True:
            try:
                connected.authority.evidence("sha256:" + "00" * 32)
                return
            except Refusal:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)
