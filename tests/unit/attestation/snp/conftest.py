# SPDX-License-Identifier: Apache-2.0
"""A vendor of SNP machines for all tests of a session, and real evidence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.machines.amd import NOW, Vendor


@pytest.fixture(scope="session")
def vendor() -> Vendor:
    """One vendor for all tests of a session."""
    return Vendor()


@pytest.fixture(scope="session")
def now() -> int:
    """Unix seconds of every check."""
    return NOW


@pytest.fixture(scope="session")
def snp_vectors() -> Callable[[str], bytes]:
    """Read a file of the real evidence that may lie beside the repository."""
    folder = Path(__file__).parents[5] / "shared" / "vectors" / "snp"
    if not folder.is_dir():
        pytest.skip(f"real SNP evidence is missing: there is no folder {folder}")
    return lambda name: (folder / name).read_bytes()
