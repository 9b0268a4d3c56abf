# SPDX-License-Identifier: Apache-2.0
"""What the kernel's cipher can do at most: `limit.c`, built here with each of the libraries that
the kernel can use."""

import ctypes
import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "enclave" / "kernel"
LIBRARIES = {"ipsec_mb": ["-DPLACET_WITH_IPSEC_MB", "-lIPSec_MB"], "evp": ["-lcrypto"]}


class Cipher:
    """Opens streams by one library, without the interpreter's lock."""

    def __init__(self, library: Path) -> None:
        self._open = ctypes.CDLL(str(library)).open_streams

    def open(
        self,
        keys: Sequence[tuple[bytes, bytes]],
        streams: Sequence[memoryview],
        segment_bytes: int,
    ) -> None:
        """Raises `SystemExit` if a segment does not open: a wrong result has no speed."""
        arrays = [np.frombuffer(stream, np.uint8) for stream in streams]
        pointers = (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
        failed = self._open(
            ctypes.c_size_t(len(keys)),
            b"".join(key for key, _ in keys),
            b"".join(prefix for _, prefix in keys),
            pointers,
            ctypes.c_size_t(len(streams[0])),
            ctypes.c_size_t(segment_bytes),
        )
        if failed:
            raise SystemExit("a segment did not open")


def ciphers() -> dict[str, Cipher]:
    """Those whose library is installed here."""
    found = dict[str, Cipher]()
    for name, (*defines, library) in LIBRARIES.items():
        out = ROOT / "build" / f"limit-{name}.so"
        out.parent.mkdir(exist_ok=True)
        sources = [Path(__file__).with_suffix(".c"), *sorted(KERNEL.glob("gcm_*.c"))]
        command = [
            *shlex.split(os.environ.get("CC", "cc")),
            "-std=c11",
            "-O2",
            "-shared",
            "-fPIC",
            *defines,
        ]
        command += [f"-I{KERNEL}", *map(str, sources), library, "-o", str(out)]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            found[name] = Cipher(out)
    return found
