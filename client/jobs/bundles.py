# SPDX-License-Identifier: Apache-2.0
"""Program bundles: the same folder always gives the same bytes, so its digest can be voted on, and
the other way round.

`main.py` lies at the top and has `def main(job) -> None`. Byte code and hidden files are left out;
links and other kinds are refused. The archive, and what sources may hold, are those that the
enclave takes: placet.governance.bundles.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from placet.client.errors import FileRefused
from placet.client.files import read_file, write_file
from placet.governance.bundles import ENTRY, MAX_BUNDLE, MAX_FILES, is_left_out, pack, unpack
from placet.governance.envelope import digest_of
from placet.refusals import DocumentMalformed


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

    def files(self, source: str = "the bundle") -> dict[str, bytes]:
        """Its files by name, which are all that it holds. Raises `FileRefused`, which names the
        source."""
        try:
            return unpack(self.data)
        except DocumentMalformed as error:
            raise _refused(source, error) from None

    def write(self, folder: Path) -> None:
        """Unpack it into a new folder, to be read: `build_bundle` of that folder gives these bytes.
        Raises `FileRefused`."""
        files = self.files(str(folder))
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise FileRefused(f"Cannot make {folder}: {error.strerror}. Name a new one.") from None
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content)


def blob_of(program: str) -> str:
    """The blob id of a program's digest."""
    return program.removeprefix("sha256:")[:32]


def build_bundle(source: Path) -> Bundle:
    """The bundle of a folder, or of one Python file, which becomes its main.py. Raises
    `FileRefused`."""
    files = {ENTRY: source} if source.is_file() else _collect(source)
    try:
        return Bundle(pack({name: read_file(path, MAX_BUNDLE) for name, path in files.items()}))
    except DocumentMalformed as error:
        raise _refused(source, error) from None


def _collect(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileRefused(f"{folder} is neither a folder nor a file.", claim=str(folder))
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_left_out(name)]
        for name in [*names, *(one for one in folders if Path(parent, one).is_symlink())]:
            path = Path(parent, name)
            if is_left_out(name):
                continue
            if path.is_symlink() or not path.is_file():
                raise FileRefused(
                    f"{path} is not a regular file. Put a copy in its place.", claim=str(path)
                )
            found[path.relative_to(folder).as_posix()] = path
            if len(found) > MAX_FILES:
                return found  # more than a program has
    return found


def _refused(source: Path | str, error: DocumentMalformed) -> FileRefused:
    details = error.details
    return FileRefused(
        f"{source} is no program: {details['claim']} should be {details['expected']}, and is "
        f"{details['actual']}. Correct it; seal data as inputs instead.",
        **details,
    )
