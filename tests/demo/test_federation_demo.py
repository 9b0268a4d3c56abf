# SPDX-License-Identifier: Apache-2.0
"""The federation's demo from end to end, with few rounds, and what the host is left with: nothing
of what clients sent."""

from pathlib import Path

import pytest

from tests.support import demos


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of one run, and what it said."""
    folder, said = demos.federation(tmp_path_factory)
    assert said.splitlines()[-1] == "demo-federation: ok"
    return folder, said


def test_it_draws_and_tells(ran: tuple[Path, str]) -> None:
    folder, said = ran
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert said.count("round 2/2") == 4
    assert "epsilon" in said and "SIMULATED" in said


def test_no_update_waits_for_its_receipt(ran: tuple[Path, str]) -> None:
    left = [path for path in (ran[0] / "state").rglob("outbox/*") if path.is_file()]
    assert left == []
