# SPDX-License-Identifier: Apache-2.0
"""A program bundle: an uncompressed tar of regular files with `main.py` at its top, pinned by the SHA-256 of its bytes.

The program is imported from the very bytes that were hashed. Files on disk belong to the host, which could change them
between the check and the import. What else the bundle carries is read with `pkgutil.get_data(__name__, "file")`.
"""

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import sys
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from types import ModuleType

from placet.enclave.errors import ProgramMalformed

MAX_BUNDLE_BYTES = 64 * 1024 * 1024
_MAX_FILES = 2000
_ENTRY = "main.py"
_PROGRAM = "__placet_program__"
_ROOT = "/bundle/"  # where the files seem to lie; there is nothing on disk


class Bundle:
    """The bytes of a bundle that has its form. Raises `ProgramMalformed`."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_BUNDLE_BYTES:
            raise _malformed(f"at most {MAX_BUNDLE_BYTES} bytes", f"{len(data)} bytes")
        self.digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.files = _files(data)
        if _ENTRY not in self.files:
            raise _malformed(f"{_ENTRY} at the top", "none")

    def load(self) -> Callable[..., object]:
        """Import the program and return its `main`. Whatever it raises while it is imported passes through."""
        importer = _Importer(self.files)
        # First, as the folder of a script is: the program's own modules before installed ones of the same name.
        sys.meta_path.insert(0, importer)
        spec = importlib.util.spec_from_loader(_PROGRAM, importer)
        if spec is None:
            raise _malformed(f"{_ENTRY} at the top", "none")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_PROGRAM] = module
        importer.exec_module(module)
        main: Callable[..., object] | None = getattr(module, "main", None)
        if not callable(main):
            raise _malformed("a function main(job) in main.py", "none")
        return main


class _Importer(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Finds and loads Python source among the files of a bundle."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
        /,
    ) -> importlib.machinery.ModuleSpec | None:
        if self._name(fullname) not in self._files:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def get_filename(self, fullname: str) -> str:
        return _ROOT + self._name(fullname)

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._files[self._name(fullname)])

    def get_data(self, path: str | bytes) -> bytes:
        name = str(path).removeprefix(_ROOT)
        if name not in self._files:
            raise FileNotFoundError(f"the bundle has no such file: {name}")
        return self._files[name]

    def is_package(self, fullname: str) -> bool:
        return self._name(fullname).endswith("__init__.py")

    def _name(self, fullname: str) -> str:
        if fullname == _PROGRAM:
            return _ENTRY
        base = fullname.replace(".", "/")
        package = base + "/__init__.py"
        return package if package in self._files else base + ".py"


def _files(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                _check_member(member, files)
                content = archive.extractfile(member)
                files[member.name] = content.read() if content else b""
    except (tarfile.TarError, EOFError, ValueError, UnicodeError, OverflowError):
        raise _malformed("an uncompressed tar", "other bytes") from None
    return files


def _check_member(member: tarfile.TarInfo, files: Mapping[str, bytes]) -> None:
    path = PurePosixPath(member.name)
    plain = str(path) == member.name and ".." not in path.parts and not path.is_absolute()
    # A sparse file counts as regular and can be of any size.
    if not member.isreg() or member.issparse() or not plain or member.name == ".":
        raise _malformed("regular files with plain relative names", "something else")
    if member.name in files or len(files) >= _MAX_FILES:
        raise _malformed(f"at most {_MAX_FILES} files, each once", "more")


def _malformed(expected: str, actual: str) -> ProgramMalformed:
    return ProgramMalformed(
        f"A program bundle has {expected}; this one has {actual}. Build it with `placet propose`.",
        claim="bundle",
        expected=expected,
        actual=actual,
    )
