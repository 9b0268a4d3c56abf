# SPDX-License-Identifier: Apache-2.0
"""Reads the evidence vectors, which tests/vectors/generate.py describes."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from placet.attestation import Policy
from tests.support import policies


def told(case: Path) -> dict[str, Any]:
    """What a case says of itself."""
    return tomllib.loads((case / "case.toml").read_text())


def find(case: Path, file: str) -> bytes | None:
    """A file of a case, or of the case that it is made of, and so on."""
    return next((place.read_bytes() for at in _chain(case) if (place := at / file).exists()), None)


def need(case: Path, file: str) -> bytes:
    """The same, of a file that has to be there."""
    found = find(case, file)
    assert found, f"{case.name} has no {file}"
    return found


def policy(case: Path) -> Policy:
    """What is wanted of a case."""
    return policies.policy(**_changed(next(at for at in _chain(case) if _policy(at).exists())))


def _changed(case: Path) -> dict[str, Any]:
    own = tomllib.loads(_policy(case).read_text())
    base = own.pop("of", "")
    return {**(_changed(case.parent / base) if base else {}), **own}


def _policy(case: Path) -> Path:
    return case / "policy.toml"


def _chain(case: Path) -> Iterator[Path]:
    yield case
    if base := told(case).get("of", ""):
        yield from _chain(case.parent / base)
