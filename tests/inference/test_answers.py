# SPDX-License-Identifier: Apache-2.0
"""Answers: right, in order, for several users, by one worker and by several."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def service(services: Any) -> str:
    return str(services.serve())


def test_one_question(services: Any, service: str, make_rows: Callable[..., Any]) -> None:
    with services.asking(service) as model:
        assert model.card.title == "Twice as much"
        asked = make_rows(3)
        assert np.array_equal(model.predict(asked), 2 * asked)


def test_many_rows(services: Any, service: str, make_rows: Callable[..., Any]) -> None:
    with services.asking(service, "vic") as model:
        asked = make_rows(5000, 1)
        assert np.array_equal(model.predict(asked), 2 * asked)
