# SPDX-License-Identifier: Apache-2.0
"""Program bundles: the same folder always gives the same bytes, so its digest can be voted on.

An uncompressed ustar archive of regular files, sorted by name, with mode 0644, no owners and no times. `main.py` lies at
its top and has `def main(job) -> None`. Byte code and hidden files are left out; links and other kinds are refused.
"""

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from placet.client._files import read_file
from placet.client.errors import FileRefused
from placet.governance.envelope import digest_of

ENTRY = "main.py"
MAX_BUNDLE = 64 * 1024 * 1024
MAX_FILES = 2000


@dataclass(frozen=True, slots=True)
class Bundle:
    """The bytes of a program."""

    data: bytes

    @property
    def digest(self) -> str:
        """What a proposal names as its program."""
        return digest_of(self.data)

    @property
    def blob(self) -> str:
        """The id under which the host keeps it: the first half of the digest."""
        return blob_of(self.digest)


def blob_of(program: str) -> str:
    """The blob id of a program's digest."""
    return program.removeprefix("sha256:")[:32]


def build_bundle(source: Path) -> Bundle:
    """The bundle of a folder, or of one Python file, which becomes its main.py. Raises `FileRefused`."""
    files = {ENTRY: source} if source.is_file() else _collect(source)
    if ENTRY not in files:
        raise FileRefused(
            f"{source} has no {ENTRY}. A program is a folder with {ENTRY}, which has def main(job).",
            claim=str(source),
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files, key=str.encode):
            _add(archive, name, read_file(files[name], MAX_BUNDLE))
    if buffer.tell() > MAX_BUNDLE:
        raise _too_large(source)
    return Bundle(buffer.getvalue())


def _collect(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileRefused(f"{folder} is neither a folder nor a file.", claim=str(folder))
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _left_out(name)]
        for name in [*names, *(one for one in folders if Path(parent, one).is_symlink())]:
            path = Path(parent, name)
            if _left_out(name):
                continue
            if path.is_symlink() or not path.is_file():
                raise FileRefused(
                    f"{path} is not a regular file. Put a copy in its place.", claim=str(path)
                )
            found[path.relative_to(folder).as_posix()] = path
            if len(found) > MAX_FILES:
                raise _too_large(folder)
    return found


def _left_out(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".") or name.endswith(".pyc")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    try:
        archive.addfile(member, io.BytesIO(content))
    except ValueError:
        raise FileRefused(
            f"The name {name} is too long for a bundle. Shorten it.", claim=name
        ) from None


def _too_large(source: Path) -> FileRefused:
    return FileRefused(
        f"{source} is too large for a program: at most {MAX_FILES} files and {MAX_BUNDLE} bytes. Seal data as inputs instead.",
        claim=str(source),
    )
