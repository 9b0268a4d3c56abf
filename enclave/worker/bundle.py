# SPDX-License-Identifier: Apache-2.0
"""A program bundle: the one archive of its files (placet.governance.bundles), pinned by the SHA-256
of its bytes.

The program is imported from the very bytes that were hashed. Files on disk belong to the host,
which could change them between the check and the import. Other files of the bundle are read with
`pkgutil.get_data(__name__, "file")`.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

from placet.governance.bundles import ENTRY, unpack
from placet.governance.envelope import digest_of
from placet.refusals import DocumentMalformed, ProgramMalformed

_PROGRAM = "__placet_program__"
_ROOT = "/bundle/"  # where the files seem to lie; there is nothing on disk


class Bundle:
    """The bytes of a bundle that has its form. Raises `ProgramMalformed`."""

    def __init__(self, data: bytes) -> None:
        self.digest = digest_of(data)
        try:
            self.files = unpack(data)
        except DocumentMalformed as error:
            raise _malformed(**error.details) from None

    def load(self) -> Callable[..., object]:
        """Import the program and return its `main`. Whatever it raises while it is imported passes
        through."""
        importer = _Importer(self.files)
        # First, as the folder of a script is: the program's own modules before installed ones of
        # the same name.
        sys.meta_path.insert(0, importer)
        spec = importlib.util.spec_from_loader(_PROGRAM, importer)
        if spec is None:
            raise _malformed("bundle", f"one with {ENTRY} at its top", "one without")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_PROGRAM] = module
        importer.exec_module(module)
        main: Callable[..., object] | None = getattr(module, "main", None)
        if not callable(main):
            raise _malformed(ENTRY, "a module with a function main(job)", "one without")
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
            return ENTRY
        base = fullname.replace(".", "/")
        package = base + "/__init__.py"
        return package if package in self._files else base + ".py"


def _malformed(claim: str, expected: str, actual: str) -> ProgramMalformed:
    return ProgramMalformed(
        f"The program's {claim} should be {expected}, and is {actual}. Build it with `placet "
        "propose`.",
        claim=claim,
        expected=expected,
        actual=actual,
    )
