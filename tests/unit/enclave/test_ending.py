# SPDX-License-Identifier: Apache-2.0
"""Why an authority ended stands in the host's log, whichever way the reason came."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from placet.host import Host, HostConfig
from placet.host.hub import Hub
from tests.support.council import ORIGIN, Council
from tests.support.live import live_host


def unheard(*_: object) -> None:
    """Whatever was said on the stream."""


@pytest.mark.parametrize("way", ["stream", "log"])
def test_the_reason_arrives(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is another one, so that the root secret cannot be opened."""
    host_log = tmp_path / "host" / "logs" / "host.log"

    async def story() -> str:
        async with live_host(tmp_path, Council()):
            pass
        (tmp_path / "cpu" / "secret").write_bytes(os.urandom(32))
        log = tmp_path / "host" / "logs" / "authority.log"
        if way == "stream":
            log.unlink()
            log.symlink_to(os.devnull)
        else:
            monkeypatch.setattr(Hub, "ended", unheard)
        config = HostConfig(state=tmp_path / "host", cpu=tmp_path / "cpu", origin=ORIGIN)
        async with Host(config), asyncio.timeout(30):
            while not (line := re.search(r"exited code=[1-9].*", host_log.read_text())):
                await asyncio.sleep(0.05)
            return line[0]

    line = asyncio.run(story())
    assert re.match(r'exited code=(75|78) reason=KEY_UNWRAP_REFUSED said="[^"]+"', line), line
