# SPDX-License-Identifier: Apache-2.0
"""The guard: an audit hook that refuses a program the network, other processes, and files beyond
its own.

Defence in depth, not a sandbox: native code, `os._exit`, and descriptors that the enclave itself
has open are beyond it (docs/threat-model.md). It is laid on before the program's first line. What
the hook needs is bound when it is made, so that no module's name can be changed under it; a hostile
program can take it away all the same, from inside its own process.

Why paths are judged as they are. An event of `open` does not tell the folder that a relative name
is relative to, so a relative name must be right for every folder that could be meant: folders are
opened below scratch only, links cannot be made, a relative name has no "..", and the current folder
is scratch.
"""

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

Hook = Callable[[str, tuple[Any, ...]], None]


class GuardRefused(PermissionError):
    """The program asked for what no program may do."""


# Events that begin so are refused.
_FORBIDDEN = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.startfile",
    "os.chroot",
    "os.link",
    "os.symlink",
    "os.setxattr",
    "os.removexattr",
    "fcntl.",
    "syslog.",
    "signal.pthread_kill",
    "sqlite3.",  # opens files by itself
    "gc.get_",  # finds what the enclave holds
    "sys._current_frames",
    "sys.addaudithook",
)
# Events whose first argument, or first two, are paths that are changed or created.
_CHANGING = {
    "os.chdir": 1,
    "os.chflags": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.utime": 1,
}
# What numerical libraries look up about the machine.
_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/sys/fs/cgroup")
_LISTING = frozenset({"os.listdir", "os.scandir"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def lay_guard(scratch: Path, *also_writable: Path) -> None:
    """From here on this process may write below `scratch` and read there and where Python's modules
    are."""
    writable = tuple(os.path.realpath(path) for path in (scratch, *also_writable))
    os.chdir(writable[0])
    _refuse_to_spawn()
    sys.addaudithook(_hook(writable, _module_folders()))


def _hook(writable: tuple[str, ...], modules: tuple[str, ...]) -> Hook:
    # threadpoolctl finds the loaded numerical libraries by their mapping.
    readable = (*writable, *modules, *_MACHINE, f"/proc/{os.getpid()}/maps")
    check, refuse = _checker()
    forbidden, changing, listing, writing = _FORBIDDEN, _CHANGING, _LISTING, _WRITING
    null = os.devnull

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if path != null:
                check(path, writable if flags & writing else readable, writable)
        elif event in changing:
            for path in arguments[: changing[event]]:
                check(path, writable, writable)
        elif event in listing:
            check("." if arguments[0] is None else arguments[0], readable, readable)
        elif event == "import" or event == "ctypes.dlopen":
            # Native code comes from where modules are installed, not from what the program wrote.
            library = arguments[1] if event == "import" else arguments[0]
            if library is not None:
                check(library, modules, modules)
        elif event.startswith(forbidden):
            refuse("a program has no network and no processes")

    return hook


def _checker() -> tuple[
    Callable[[Any, tuple[str, ...], tuple[str, ...]], None], Callable[[str], None]
]:
    """`check(path, roots, folders)` raises unless the path lies below a root, and, if it is a
    folder, below `folders`."""
    realpath, isdir, isabs, fsdecode = os.path.realpath, os.path.isdir, os.path.isabs, os.fsdecode
    refused, separator = GuardRefused, os.sep

    def refuse(why: str) -> None:
        raise refused(why)

    def below(real: str, roots: tuple[str, ...]) -> bool:
        return any(real == root or real.startswith(root + separator) for root in roots)

    def check(path: Any, roots: tuple[str, ...], folders: tuple[str, ...]) -> None:
        if isinstance(path, int):
            return  # a descriptor that is open already
        name = fsdecode(path)  # raises for what is no path
        if not isabs(name) and ".." in name.split(separator):
            refuse("a relative path leads down")
        real = realpath(name)
        if not below(real, roots) or (isdir(real) and not below(real, folders)):
            refuse("a program reads and writes in its scratch folder")

    return check, refuse


def _refuse_to_spawn() -> None:
    """The start of a process by `multiprocessing` raises no audit event, so it is refused here."""
    import _posixsubprocess

    def refuse(*_: object) -> int:
        raise GuardRefused("a program has no processes")

    _posixsubprocess.fork_exec = refuse


def _module_folders() -> tuple[str, ...]:
    """Where Python and its packages lie, links resolved; our own may lie in a checkout, beside
    them."""
    paths = sysconfig.get_paths()
    found = [paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"], *sys.path]
    for name, module in list(sys.modules.items()):
        if name.startswith("placet.") and name.count(".") == 1:
            found += getattr(module, "__path__", ())
    return tuple({os.path.realpath(path) for path in found if path and os.path.isdir(path)})
