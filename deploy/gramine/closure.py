# SPDX-License-Identifier: Apache-2.0
"""Which files an enclave reads: the sources that it imports, and the libraries that these are
linked with.

Computed by the enclave's interpreter (`imports.py`), with the very options and environment that the
manifest gives it. That it is what a running enclave opens, no less and no more, is proved by
tests/unit/deploy under strace.
"""

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from placet.governance.bundles import unpack
from placet.governance.documents import Serve
from placet.governance.terms import decode_terms
from placet.refusals import Refusal

# No .pyc is looked at: what is measured is what a council can read. The folder of compiled modules
# does not exist.
OPTIONS = ("-I", "-B", "-X", "pycache_prefix=/none")
# C and UTC need no files of the host's; libcrypto's own configuration would be one more to trust.
ENVIRONMENT = {
    "LC_ALL": "C",
    "TZ": "UTC0",
    "OPENSSL_CONF": "/dev/null",
    "OPENBLAS_NUM_THREADS": "4",
}

# Gramine brings these of its own.
LIBC = frozenset(
    f"{name}.so.{number}"
    for name, number in (
        ("libc", 6), ("libm", 6), ("libdl", 2), ("libpthread", 0), ("librt", 1), ("libutil", 1),
        ("libresolv", 2), ("ld-linux-x86-64", 2),
    )
)  # fmt: skip

# What is asked for and not needed: name services and the machine's own description. Gramine makes
# some of them itself (sys.enable_extra_runtime_domain_names_conf, /proc, /sys); where a file is
# missing nothing changes.
NOT_NEEDED = (
    "/etc/passwd",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/ld.so.cache",
    "/etc/os-release",
    "/usr/lib/os-release",
    "/proc/",
    "/sys/",
    "/dev/",
)

# What a worker loads when it is launched for terms and not for a program, by the action that they
# are proposed with.
TASKS = {
    "federate": ("placet.enclave.worker.federation.round",),
    "serve": (
        "placet.enclave.worker.inference.task",
        "onnxruntime",
        "numpy.random",
        "encodings.ascii",
    ),
}

_LINE = re.compile(r"\s+(\S+) => (/\S+) \(0x[0-9a-f]+\)")


@dataclass(frozen=True, slots=True)
class Closure:
    """Absolute paths. `libraries` lie outside of the interpreter's folders, by the name they are
    asked for.

    `aead` is what the kernel was built to open segments with: "openssl" or "ipsec-mb".
    """

    interpreter: Path
    prefix: Path
    stdlib: Path
    files: tuple[Path, ...]
    libraries: dict[str, Path]
    aead: str

    @property
    def all(self) -> list[Path]:
        """Everything that has to be trusted."""
        return sorted({self.interpreter, *self.files, *self.libraries.values()})

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(path.stat().st_size for path in self.all)


def closure(python: Path, role: str, modules: tuple[str, ...] = ()) -> Closure:
    """Return what `role` reads under the interpreter of a venv, and what importing `modules`
    adds."""
    probe = Path(__file__).with_name("imports.py")
    found = json.loads(_run([str(python), *OPTIONS, str(probe), role, *modules]))
    folders = "import sys, sysconfig; print(sys.prefix, sysconfig.get_path('stdlib'), sep='\\n')"
    prefix, stdlib = map(Path, _run([str(python), "-I", "-c", folders]).splitlines())
    interpreter = python.resolve()
    inside = [p for p in map(Path, found["libraries"]) if _below(p, prefix) or _below(p, stdlib)]
    files = {*map(Path, found["files"]), *inside}
    libraries = _linked([interpreter, *inside], prefix)
    return Closure(interpreter, prefix, stdlib, tuple(sorted(files)), libraries, found["aead"])


def action_of(bundle: bytes) -> str:
    """What a worker is launched for: "job" with a program; with terms, which are JSON, "serve" or
    "federate"."""
    if not bundle.startswith(b"{"):
        return "job"
    try:
        return "serve" if isinstance(decode_terms(bundle), Serve) else "federate"
    except Refusal as refusal:
        sys.exit(f"These are no terms that a worker can be launched for. {refusal}")


def modules_of(bundle: bytes) -> tuple[str, ...]:
    """The modules that the sources of a program bundle import, but for those that it brings itself;
    or the task that terms set."""
    if (action := action_of(bundle)) != "job":
        return TASKS[action]
    own: set[str] = set()
    found: set[str] = set()
    for name, content in _files(bundle).items():
        own.add(name.split("/")[0].removesuffix(".py"))
        if name.endswith(".py"):
            found |= _imported(ast.parse(content))
    return tuple(sorted(name for name in found if name.split(".")[0] not in own))


def _files(bundle: bytes) -> dict[str, bytes]:
    try:
        return unpack(bundle)
    except Refusal as refusal:
        sys.exit(f"This is no program that a worker would take. {refusal}")


def _imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def _linked(binaries: list[Path], prefix: Path) -> dict[str, Path]:
    """What the loader looks for outside of the venv, as ldd says, without Gramine's own C
    library."""
    found: dict[str, Path] = {}
    for name, path in _LINE.findall(_run(["ldd", *map(str, binaries)])):
        if name not in LIBC and not _below(Path(path).resolve(), prefix):
            found[name] = Path(path)
    return dict(sorted(found.items()))


def _below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
