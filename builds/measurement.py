# SPDX-License-Identifier: Apache-2.0
"""The measurement of a simulated enclave: a digest over the code that it can run.

    SHA-256("placet/measure/v1" ‖ P(enclave) ‖ for each file, by path: P(path) ‖ size ‖ SHA-256)

where P(x) is the length of x as 8 bytes, big-endian, followed by x; size is 8 bytes. An enclave is
named by its role, and in brackets by its variant, if it is one. The files are the Python sources
and compiled modules of the trusted components and the one lock of this enclave, named as they are
installed (placet/enclave/...), so a checkout and a wheel of it have one measurement. The kernel is
among them: without it no enclave starts, and there is nothing to measure.

What is measured is a build, the folder that `make enclave` makes; or, where none is named, what
this interpreter imports: a development build, whose kernel whatever compiler is here has made.

    build.json   what it was made of (placet.client.trust.builds)
    venv/        Placet, and the packages of enclave/requirements.txt
    venv-onnx/   Placet, and the packages of enclave/requirements-onnx.txt
    wheel/       what was installed there
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

from placet.refusals import KernelMissing, MeasurementFailed

COMPONENTS = ("governance", "attestation", "sealing", "refusals", "proto", "enclave")
# The lock of each enclave. worker[onnx] serves models: it may import onnxruntime, and no other
# enclave may.
LOCKS = {
    "authority": "placet/enclave/requirements.txt",
    "worker": "placet/enclave/requirements.txt",
    "worker[onnx]": "placet/enclave/requirements-onnx.txt",
}
# Where in a build the environment of each enclave lies: one for each lock.
ENVIRONMENTS = {"authority": "venv", "worker": "venv", "worker[onnx]": "venv-onnx"}
_DOMAIN = b"placet/measure/v1"
# What the interpreter can import. A .pyc outside __pycache__ is a module without source; one inside
# is a copy of a source that is measured.
_CODE = (".py", ".pyc", ".so")
_KERNEL = "placet/enclave/_kernel."
_CACHE = "__pycache__"


def measure(enclave: str, build: Path | None = None) -> str:
    """Return the measurement of one of LOCKS as 64 hexadecimal digits; imports nothing it measures.

    Raises KernelMissing if there is no kernel, MeasurementFailed if a component or the lock
    file is missing, or cannot be read.
    """
    return _digest(enclave, measured_files(enclave, build))


def measurements(role: str, build: Path | None = None) -> tuple[str, ...]:
    """Return the measurements of a role's enclaves, in the order of LOCKS; raises as `measure`
    does."""
    return tuple(measure(one, build) for one in LOCKS if one.partition("[")[0] == role)


def measure_folders(enclave: str, components: Mapping[str, Iterable[Path]]) -> str:
    """Return the measurement of an enclave whose components lie there; raises as `measure` does."""
    return _digest(enclave, _files(enclave, components))


def measured_files(enclave: str, build: Path | None = None) -> dict[str, Path]:
    """Return the files that `measure` covers, by their measured names; raises as it does."""
    if build is not None:
        packages = _packages(build, enclave)
        return _files(enclave, {name: [packages / "placet" / name] for name in COMPONENTS})
    components = {name: _folders(name) for name in COMPONENTS}
    return _files(enclave, components, suffixes=tuple(EXTENSION_SUFFIXES))


def interpreter(build: Path, enclave: str) -> Path:
    """Return what runs an enclave of a build; raises MeasurementFailed if it is not there."""
    path = build / ENVIRONMENTS[enclave] / "bin" / "python"
    if not path.exists():
        raise _no_build(build)
    return path


def installed_at() -> Path:
    """Return the folder of the components that this interpreter imports. Raises
    MeasurementFailed."""
    return _folders("enclave")[0].parent


def _packages(build: Path, enclave: str) -> Path:
    found = list(
        (build / ENVIRONMENTS.get(enclave, "venv") / "lib").glob("python3.*/site-packages")
    )
    if len(found) != 1:
        raise _no_build(build)
    return found[0]


def _no_build(folder: Path) -> MeasurementFailed:
    return MeasurementFailed(
        f"{folder} is no build of the enclaves.",
        remedy="make one (make enclave), and name its folder",
    )


def _digest(enclave: str, files: Mapping[str, Path]) -> str:
    total = hashlib.sha256(_DOMAIN + _prefixed(enclave))
    for path in sorted(files):
        total.update(_prefixed(path) + _entry(files[path]))
    return total.hexdigest()


def _files(
    enclave: str,
    components: Mapping[str, Iterable[Path]],
    suffixes: tuple[str, ...] | None = None,
) -> dict[str, Path]:
    if enclave not in LOCKS:
        raise MeasurementFailed(
            f"There is no enclave {enclave!r}.",
            claim="enclave",
            expected=", ".join(LOCKS),
            actual=enclave,
        )
    lock = LOCKS[enclave]
    files: dict[str, Path] = {}
    for name, folders in components.items():
        for folder in folders:
            _collect(f"placet/{name}", folder, lock, suffixes, files)
    if lock not in files:
        raise MeasurementFailed(
            f"{lock} is not installed, so the dependencies of the enclave are not known.",
            remedy="install the complete package",
        )
    _check_kernel(files)
    return files


def _check_kernel(files: Iterable[str]) -> None:
    found = [name for name in files if name.startswith(_KERNEL) and name.endswith(".so")]
    if len(found) > 1:
        raise MeasurementFailed(f"There are {len(found)} kernels.", remedy="install one")
    if not found:
        raise KernelMissing(
            "The compiled kernel is missing: no enclave can run, and there is nothing to measure.",
            claim="kernel",
            remedy="name a build of the enclaves (make enclave), or install with a C compiler",
        )


def _folders(component: str) -> list[Path]:
    spec = find_spec(f"placet.{component}")
    locations = [Path(one) for one in (spec.submodule_search_locations if spec else None) or ()]
    # The path of a component without __init__.py may name import hooks beside folders: an editable
    # install has one.
    folders = [location for location in locations if location.is_dir()]
    if not folders:
        raise MeasurementFailed(
            f"placet.{component} is not installed.", remedy="install the complete package"
        )
    return folders


def _collect(
    prefix: str, folder: Path, lock: str, suffixes: tuple[str, ...] | None, files: dict[str, Path]
) -> None:
    for path in _walk(folder):
        name = f"{prefix}/{path.relative_to(folder).as_posix()}"
        if not (name.endswith(_CODE) or name == lock) or _not_imported(path.name, suffixes):
            continue
        if name in files:
            raise MeasurementFailed(f"{name} is installed twice.", remedy="install it once")
        files[name] = path


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if name != _CACHE]
        for name in folders:
            # It could lead out of what is measured, or in a circle.
            if Path(parent, name).is_symlink():
                raise MeasurementFailed(f"The folder {name} is a link; code must be in place.")
        yield from (Path(parent, name) for name in names)


def _not_imported(name: str, suffixes: tuple[str, ...] | None) -> bool:
    """Whether a module was compiled for another interpreter than that of these suffixes.

    A module's name has no dot.
    """
    if suffixes is None or not name.endswith(".so"):
        return False
    return not any(name.endswith(end) and "." not in name.removesuffix(end) for end in suffixes)


def _entry(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MeasurementFailed(f"{path.name} cannot be read.") from error
    return len(content).to_bytes(8, "big") + hashlib.sha256(content).digest()


def _prefixed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(8, "big") + data


def _unreadable(error: OSError) -> None:
    raise MeasurementFailed("A folder of the installed code cannot be read.") from error
