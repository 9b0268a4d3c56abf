# SPDX-License-Identifier: Apache-2.0
"""No branch and no address of a fold depends on a client's data, as valgrind's memcheck sees it.

The folds run on coordinates that are marked as undefined, compiled as they ship; memcheck reports
whatever decides by them. Two folds that leak on purpose have to be reported. AVX-512 is not
checked: valgrind does not know its instructions. It is built from the same loops, in fold_vector.h.
"""

import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from placet.enclave._kernel import IMPLEMENTATIONS

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "enclave" / "kernel" / "fold"
FOLDS = ["portable.c", "avx2.c", "avx512.c", "choose.c", "network.c"]
FLAGS = ["-std=c11", "-O2", "-ffp-contract=off"]
REPORTED = 99
ZIG = ROOT / "build" / "compiler" / "ziglang" / "zig"

pytestmark = pytest.mark.skipif(
    shutil.which("valgrind") is None, reason="valgrind (Debian: valgrind), which checks the folds"
)


@pytest.fixture(scope="module", params=["development", "enclave"])
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled as the development build is, and as `make enclave` does: compilers differ."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if request.param == "enclave":
        if not ZIG.exists():
            pytest.skip("the enclaves' compiler is not here yet (make enclave)")
        compiler = [str(ZIG), "cc", "-target", f"{platform.machine()}-linux-gnu.2.28"]
        compiler += ["-idirafter", "/usr/include"]  # valgrind.h
    program = tmp_path_factory.mktemp("harness") / "harness"
    here = Path(__file__).parent
    sources = [here / "harness.c", here / "leaky.c", *(KERNEL / name for name in FOLDS)]
    command = [*compiler, *FLAGS, "-g", f"-I{KERNEL}", *map(str, sources), "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return program


def check(harness: Path, implementation: str) -> tuple[int, str]:
    done = subprocess.run(
        ["valgrind", "--quiet", f"--error-exitcode={REPORTED}", str(harness), implementation],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_folds_are_compiled_as_they_ship() -> None:
    setup = (ROOT / "setup.py").read_text()
    assert all(f'"{flag}"' in setup for flag in FLAGS)
    assert setup.count('"-O') == 1


@pytest.mark.parametrize("implementation", ["portable", "avx2"])
def test_a_fold_touches_the_same_whatever_the_data(harness: Path, implementation: str) -> None:
    if implementation not in IMPLEMENTATIONS:
        pytest.skip(f"a processor with {implementation}")
    assert check(harness, implementation) == (0, f"{implementation} ran\n")


@pytest.mark.parametrize(
    ("implementation", "report"),
    [
        ("leaky-branch", "Conditional jump or move depends on uninitialised value"),
        ("leaky-table", "Use of uninitialised value"),
    ],
)
def test_a_fold_that_leaks_is_seen(harness: Path, implementation: str, report: str) -> None:
    code, output = check(harness, implementation)
    assert code == REPORTED
    assert report in output
