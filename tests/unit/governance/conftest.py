# SPDX-License-Identifier: Apache-2.0
"""Logs without a charter, founded, and with a grant."""

import pytest
from hypothesis import settings

from tests.support.world import World

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture
def world() -> World:
    """A log without a charter."""
    return World()


@pytest.fixture
def founded() -> World:
    """A founded log, whose authority has booted."""
    world = World().found()
    world.boot()
    return world


@pytest.fixture
def ready(founded: World) -> World:
    """A founded log with a grant of owner-b."""
    founded.give()
    return founded
