# SPDX-License-Identifier: Apache-2.0
"""Where the files of a published log lie: in a folder, or below an address on the web.

Nothing is believed of what is read there; whoever reads verifies it.
"""

from pathlib import Path
from typing import Protocol

from placet.client.connection.web import Web
from placet.client.errors import FileRefused
from placet.client.files import read_file


class Place(Protocol):
    """Files by their paths below the log's prefix."""

    def find(self, path: str, limit: int) -> bytes | None:
        """A file of at most `limit` bytes; None where there is none."""
        ...


class Folder:
    """A log in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, path: str, limit: int) -> bytes | None:
        """Raises `FileRefused`."""
        file = self._folder / path
        return read_file(file, limit) if file.is_file() else None


class Address:
    """A log below an address, by HTTP or HTTPS."""

    def __init__(self, url: str, web: Web) -> None:
        self._url = url.rstrip("/")
        self._web = web

    def find(self, path: str, limit: int) -> bytes | None:
        """Raises `HostUnreachable` or `AnswerMalformed`."""
        return self._web.find(f"{self._url}/{path}", limit)


def open_place(where: str, ca: Path | None = None) -> Place:
    """A folder, or an address that begins with http:// or https://. Raises `FileRefused`."""
    if where.startswith(("http://", "https://")):
        return Address(where, Web(ca, plain=True))
    if not Path(where).is_dir():
        raise FileRefused(f"{where} is neither a folder nor a web address. Name one of them.")
    return Folder(Path(where))
