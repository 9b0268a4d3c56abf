# SPDX-License-Identifier: Apache-2.0
"""A program bundle: an uncompressed tar of regular files with `main.py` at its top, pinned by the SHA-256 of its bytes."""

import hashlib
import io
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import ModuleType

from placet.enclave.errors import ProgramMalformed

MAX_BUNDLE_BYTES = 64 * 1024 * 1024
_MAX_FILES = 2000
_ENTRY = "main.py"


class Bundle:
    """The bytes of a bundle that has its form. Raises `ProgramMalformed`."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_BUNDLE_BYTES:
            raise _malformed(f"at most {MAX_BUNDLE_BYTES} bytes", f"{len(data)} bytes")
        self.digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.files = _files(data)
        if _ENTRY not in self.files:
            raise _malformed(f"{_ENTRY} at the top", "none")

    def load(self, folder: Path) -> Callable[..., object]:
        """Lay the files out in an empty folder, put it first on the import path, and return `main`.

        Whatever the program raises while it is imported passes through.
        """
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sys.path.insert(0, str(folder))
        module = ModuleType("__placet_program__")
        module.__file__ = str(folder / _ENTRY)
        sys.modules[module.__name__] = module
        code = compile(self.files[_ENTRY], module.__file__, "exec")
        # Running it is what the bundle is for: its digest is in the proposal that the council approved.
        exec(code, module.__dict__)  # noqa: S102
        main: Callable[..., object] | None = getattr(module, "main", None)
        if not callable(main):
            raise _malformed("a function main(job) in main.py", "none")
        return main


def _files(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts
                if not member.isreg() or not parts or ".." in parts or member.name[0] == "/":
                    raise _malformed("regular files with relative names", "something else")
                if member.name in files or len(files) >= _MAX_FILES:
                    raise _malformed(f"at most {_MAX_FILES} files, each once", "more")
                content = archive.extractfile(member)
                files[member.name] = content.read() if content else b""
    except (tarfile.TarError, EOFError, ValueError, UnicodeError, OverflowError):
        raise _malformed("an uncompressed tar", "other bytes") from None
    return files


def _malformed(expected: str, actual: str) -> ProgramMalformed:
    return ProgramMalformed(
        f"A program bundle has {expected}; this one has {actual}. Build it with `placet propose`.",
        claim="bundle",
        expected=expected,
        actual=actual,
    )
