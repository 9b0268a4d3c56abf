# SPDX-License-Identifier: Apache-2.0
"""Run by the enclave's own interpreter: imports what a role imports, and prints what was read as
JSON.

    python -I -B -X pycache_prefix=/none imports.py authority|worker [MODULE...]

`files` are sources and data, `libraries` what is mapped into the process, `aead` whose AES-GCM the
kernel has. MODULE are what a program imports.
"""

import sys

opened: set[str] = set()


def hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str):
        opened.add(arguments[0])


sys.addaudithook(hook)


import importlib
import json
import os

# Where an enclave imports by a statement at its top, one name brings the rest; what it imports
# later is named here.
MODULES = {
    "authority": ["asyncio", "ctypes", "placet.enclave.authority.main"],
    "worker": ["ctypes", "numpy", "placet.enclave.worker.main"],
}


def main() -> None:
    role, *also = sys.argv[1:]
    common = ["runpy", "placet.attestation", "placet.enclave.__main__", "placet.enclave._kernel"]
    for name in [*common, *MODULES[role], *also]:
        importlib.import_module(name)
    if role == "worker":
        # As its guard does; the build's variables are a module of their own.
        importlib.import_module("sysconfig").get_paths()
    files = opened | loaded() | {os.path.join(sys.prefix, "pyvenv.cfg")}
    kernel = importlib.import_module("placet.enclave._kernel")
    found = {"files": sorted(filter(kept, files)), "libraries": sorted(mapped())}
    print(json.dumps({**found, "aead": kernel.AEAD}))


def loaded() -> set[str]:
    """Sources of modules, those loaded before the hook too; a frozen module has no location."""
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    return {spec.origin for spec in specs if spec is not None and spec.has_location and spec.origin}


def kept(path: str) -> bool:
    system = path.startswith(("/proc/", "/sys/", "/dev/", "/etc/"))
    return os.path.isfile(path) and not system and not os.path.samefile(path, __file__)


def mapped() -> set[str]:
    """Every file with native code that is in this process."""
    with open("/proc/self/maps") as lines:
        words = (line.split(maxsplit=5) for line in lines)
        return {word[5].strip() for word in words if len(word) == 6 and word[5].startswith("/")}


if __name__ == "__main__":
    main()
