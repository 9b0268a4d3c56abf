# SPDX-License-Identifier: Apache-2.0
"""A log without a charter, and one that is founded and has a grant."""

import pytest

from tests.support.world import World


@pytest.fixture
def world() -> World:
    """A log without a charter."""
    return World()


@pytest.fixture
def ready() -> World:
    """A founded log, whose authority has booted, with a grant of owner-b."""
    world = World().found()
    world.boot()
    world.give()
    return world
