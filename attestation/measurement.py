# SPDX-License-Identifier: Apache-2.0
"""The measurement of a simulated enclave: a digest over the code that it can run.

    SHA-256("placet/measure/v1" ‖ P(enclave) ‖ for each file, by path: P(path) ‖ size ‖ SHA-256)

where P(x) is the length of x as 8 bytes, big-endian, followed by x; size is 8 bytes. An enclave is named
by its role, and in brackets by its variant, if it is one. The files are the Python sources and compiled
modules of the trusted components and the one lock of this enclave, named as they are installed
(placet/enclave/...), so a checkout and a wheel of it have one measurement.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

from placet.attestation.errors import MeasurementError

COMPONENTS = ("governance", "attestation", "sealing", "proto", "enclave")
# The lock of each enclave. worker[onnx] serves models: it may import onnxruntime, and no other enclave may.
LOCKS = {
    "authority": "placet/enclave/requirements.txt",
    "worker": "placet/enclave/requirements.txt",
    "worker[onnx]": "placet/enclave/requirements-onnx.txt",
}
_DOMAIN = b"placet/measure/v1"
# What the interpreter can import. A .pyc outside __pycache__ is a module without source; one inside
# is a copy of a source that is measured.
_CODE = (".py", ".pyc", ".so")
_CACHE = "__pycache__"


def measure(enclave: str) -> str:
    """Return the measurement of one of LOCKS as 64 hexadecimal digits; imports nothing it measures.

    Raises MeasurementError if a component or the lock file is not installed, or cannot be read.
    """
    return measure_folders(enclave, {name: _folders(name) for name in COMPONENTS})


def measurements(role: str) -> tuple[str, ...]:
    """Return the measurements of a role's enclaves, in the order of LOCKS; raises as `measure` does."""
    return tuple(measure(enclave) for enclave in LOCKS if enclave.partition("[")[0] == role)


def measure_folders(enclave: str, components: Mapping[str, Iterable[Path]]) -> str:
    """Return the measurement of an enclave whose components are in these folders."""
    files = _files(enclave, components)
    total = hashlib.sha256(_DOMAIN + _prefixed(enclave))
    for path in sorted(files):
        total.update(_prefixed(path) + _entry(files[path]))
    return total.hexdigest()


def measured_files(enclave: str) -> dict[str, Path]:
    """Return the files that `measure` covers, by the name they are measured under; raises as it does."""
    return _files(enclave, {name: _folders(name) for name in COMPONENTS})


def _files(enclave: str, components: Mapping[str, Iterable[Path]]) -> dict[str, Path]:
    if enclave not in LOCKS:
        raise MeasurementError(
            f"There is no enclave {enclave!r}.",
            claim="enclave",
            expected=", ".join(LOCKS),
            actual=enclave,
        )
    lock = LOCKS[enclave]
    files: dict[str, Path] = {}
    for name, folders in components.items():
        for folder in folders:
            _collect(f"placet/{name}", folder, lock, files)
    if lock not in files:
        raise MeasurementError(
            f"{lock} is not installed, so the dependencies of the enclave are not known.",
            remedy="install the complete package",
        )
    return files


def _folders(component: str) -> list[Path]:
    spec = find_spec(f"placet.{component}")
    locations = [Path(one) for one in (spec.submodule_search_locations if spec else None) or ()]
    # The path of a component without __init__.py may name import hooks beside folders: an editable install has one.
    folders = [location for location in locations if location.is_dir()]
    if not folders:
        raise MeasurementError(
            f"placet.{component} is not installed.", remedy="install the complete package"
        )
    return folders


def _collect(prefix: str, folder: Path, lock: str, files: dict[str, Path]) -> None:
    for path in _walk(folder):
        name = f"{prefix}/{path.relative_to(folder).as_posix()}"
        if not (name.endswith(_CODE) or name == lock) or _other_python(name):
            continue
        if name in files:
            raise MeasurementError(f"{name} is installed twice.", remedy="install it once")
        files[name] = path


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if name != _CACHE]
        for name in folders:
            # It could lead out of what is measured, or in a circle.
            if Path(parent, name).is_symlink():
                raise MeasurementError(f"The folder {name} is a link; code must be in place.")
        yield from (Path(parent, name) for name in names)


def _other_python(name: str) -> bool:
    """A module compiled for another interpreter, which this one does not import."""
    return name.endswith(".so") and not name.endswith(tuple(EXTENSION_SUFFIXES))


def _entry(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MeasurementError(f"{path.name} cannot be read.") from error
    return len(content).to_bytes(8, "big") + hashlib.sha256(content).digest()


def _prefixed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(8, "big") + data


def _unreadable(error: OSError) -> None:
    raise MeasurementError("A folder of the installed code cannot be read.") from error
