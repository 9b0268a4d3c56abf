# SPDX-License-Identifier: Apache-2.0
"""The guard: an audit hook that refuses a program the network, other processes, and files beyond its own.

Defence in depth, not a sandbox: native code and `os._exit` are beyond it (docs/threat-model.md). It is laid on before
the program's first line and cannot be taken off.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class GuardRefused(PermissionError):
    """The program asked for what no program may do."""


_FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.startfile",
    "os.chroot",
    "os.setxattr",
    "pty.spawn",
    "ctypes.dlopen",
    "ftplib.",
    "http.",
    "imaplib.",
    "poplib.",
    "smtplib.",
    "telnetlib.",
    "urllib.",
    "webbrowser.",
    "fcntl.",
    "syslog.",
    "signal.pthread_kill",
)
# Events whose first argument is a path that is changed or created.
_CHANGING = frozenset(
    {
        "os.chdir",
        "os.chflags",
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "shutil.move",
        "shutil.rmtree",
    }
)
_LISTING = frozenset({"os.listdir", "os.scandir", "os.walk"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def lay_guard(scratch: Path, *also_writable: Path) -> None:
    """From here on this process may write below `scratch` and read there and where Python's modules are."""
    writable = tuple(os.path.realpath(path) for path in (scratch, *also_writable))
    readable = (*writable, *_module_folders(), os.devnull)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            _check(path, writable if flags & _WRITING else readable)
        elif event in _CHANGING:
            for path in (
                arguments[:2] if event in ("os.rename", "os.link", "os.symlink") else arguments[:1]
            ):
                _check(path, writable)
        elif event in _LISTING:
            _check(arguments[0], readable)
        elif event.startswith(_FORBIDDEN):
            raise GuardRefused("a program has no network and no processes")

    sys.addaudithook(hook)


def _check(path: object, roots: Iterable[str]) -> None:
    if isinstance(path, int):
        return  # a descriptor that is open already
    if path is None:
        path = "."
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise GuardRefused("a program names files by path")
    real = os.path.realpath(os.fsdecode(path))
    if not any(real == root or real.startswith(root + os.sep) for root in roots):
        raise GuardRefused("a program reads and writes in its scratch folder")


def _module_folders() -> tuple[str, ...]:
    """Where Python and its packages lie, links resolved."""
    paths = sysconfig.get_paths()
    found = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *sys.path]
    return tuple({os.path.realpath(path) for path in found if path and os.path.isdir(path)})
