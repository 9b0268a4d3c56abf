# SPDX-License-Identifier: Apache-2.0
"""The files of a machine that is not there: a temporary folder, and what a kernel does when they
are used."""

import ctypes
import errno
from collections.abc import Callable
from pathlib import Path

from placet.attestation.machine.files import DeviceFiles

GRAMINE = "/dev/attestation"
TSM = "/sys/kernel/config/tsm/report"


class DeviceTree:
    """Files below a folder. `quote` makes the answer to 64 bytes of report data."""

    def __init__(self, root: Path, quote: Callable[[bytes], bytes]) -> None:
        self.root, self.quote = root, quote
        self.provider, self.certificates = "tdx_guest", b""
        self.intruder = False  # somebody else writes while the answer is read
        self.device_key = bytes(range(32))
        self.asked: list[bytes] = []
        self._files = DeviceFiles(root)

    @property
    def objects(self) -> list[Path]:
        """The report objects there are."""
        return list(self._at(TSM).iterdir())

    def put(self, path: str, data: bytes) -> None:
        """Lay down a file."""
        self._at(path).parent.mkdir(parents=True, exist_ok=True)
        self._at(path).write_bytes(data)

    def offer_tsm(self, provider: str, certificates: bytes = b"") -> None:
        """Mount configfs."""
        self._at(TSM).mkdir(parents=True, exist_ok=True)
        self.provider, self.certificates = provider, certificates

    def offer_gramine(self) -> None:
        """Be inside gramine-sgx."""
        self.put(f"{GRAMINE}/attestation_type", b"dcap")
        self.put(f"{GRAMINE}/user_report_data", bytes(64))
        self.put(f"{GRAMINE}/quote", b"")
        self.put(f"{GRAMINE}/keys/_sgx_mrenclave", bytes(range(16)))
        self.put(f"{GRAMINE}/my_target_info", b"t" * 512)
        self.put(f"{GRAMINE}/target_info", bytes(512))
        self.put(f"{GRAMINE}/report", b"\x0c" * 16 + bytes(48) + b"\xaa" * 32 + bytes(336))

    def exists(self, path: str) -> bool:
        return self._files.exists(path)

    def read(self, path: str, limit: int) -> bytes:
        if self.intruder and path.endswith("/outblob"):
            self._count(path)
        return self._files.read(path, limit)

    def write(self, path: str, data: bytes) -> None:
        self._files.write(path, data)
        folder = path.rpartition("/")[0]
        if path.endswith("/user_report_data"):
            self.asked.append(data)
            self.put(f"{folder}/quote", self.quote(data))
        elif folder.startswith(TSM):
            self._count(path)
            if path.endswith("/inblob"):
                self.asked.append(data)
                self.put(f"{folder}/outblob", self.quote(data))

    def make_folder(self, path: str) -> None:
        self._files.make_folder(path)
        self.put(f"{path}/provider", self.provider.encode() + b"\n")
        self.put(f"{path}/generation", b"0\n")
        self.put(f"{path}/inblob", b"")
        if self.provider == "sev_guest":
            self.put(f"{path}/privlevel", b"")
            self.put(f"{path}/auxblob", self.certificates)

    def remove_folder(self, path: str) -> None:
        for file in self._at(path).iterdir():  # on configfs the files go with the object
            file.unlink()
        self._files.remove_folder(path)

    def control(self, path: str, request: int, argument: ctypes.Structure) -> None:
        """Answer as Linux's sev-guest driver does: two pointers, 32 bytes asked, 64 answered."""
        if not self.exists(path):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        if request != (3 << 30 | 32 << 16 | ord("S") << 8 | 1) or ctypes.sizeof(argument) != 32:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        words = (ctypes.c_uint64 * 4).from_buffer(argument)
        self.asked.append(ctypes.string_at(words[1], 32))
        ctypes.memmove(words[2], bytes(32) + self.device_key, 64)

    def _count(self, path: str) -> None:
        counter = f"{path.rpartition('/')[0]}/generation"
        found = int(self._files.read(counter, 32))
        self.put(counter, b"%d\n" % (found + 1))

    def _at(self, path: str) -> Path:
        return self.root / path.removeprefix("/")
