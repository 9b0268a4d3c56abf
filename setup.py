# SPDX-License-Identifier: Apache-2.0
"""Installs each component folder as a subpackage of placet, and builds the enclave's kernel.

The mapping is here and not in pyproject.toml because it must discover subpackages: a list kept by
hand leaves a new one out of the wheel while it works in development.

The same sources, CPython, compiler and setuptools give the same wheel, to the byte, wherever and whenever it is built.
"""

import os
import platform
import shlex
import subprocess
from glob import glob
from pathlib import Path

from setuptools import Extension, find_namespace_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel

COMPONENTS = ["attestation", "client", "enclave", "governance", "host", "proto", "sealing"]

# The time of every file in the wheel, unless whoever builds it names another: 1980, the first that a zip file can say.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")


class Wheel(bdist_wheel):
    """A wheel whose files' modes do not come from the umask of whoever cloned or built."""

    def write_wheelfile(self, *args, **kwargs) -> None:
        """The last that is written before everything is packed."""
        super().write_wheelfile(*args, **kwargs)
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)


def has_header(name: str) -> bool:
    """Whether the compiler that will build the kernel finds this header."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        found = subprocess.run(
            [*compiler, *shlex.split(os.environ.get("CPPFLAGS", "")), "-E", "-x", "c", "-"],
            input=f"#include <{name}>\n",
            text=True,
            check=False,
            capture_output=True,
        )
    except OSError:
        return False
    return found.returncode == 0


def chosen_aead() -> str:
    """What AES-256-GCM comes from: OpenSSL's libcrypto ("openssl"), or Intel's faster "ipsec-mb".

    PLACET_AEAD says which: a build whose measurement others repeat must not depend on what else is installed. Without it,
    ipsec-mb where its header is.
    """
    possible = platform.machine() == "x86_64" and has_header("intel-ipsec-mb.h")
    wanted = os.environ.get("PLACET_AEAD") or ("ipsec-mb" if possible else "openssl")
    if wanted not in ("openssl", "ipsec-mb"):
        raise SystemExit(f"PLACET_AEAD must be openssl or ipsec-mb; it is {wanted!r}.")
    if wanted == "ipsec-mb" and not possible:
        raise SystemExit("ipsec-mb needs x86-64 and its header (Debian: libipsec-mb-dev).")
    return wanted


IPSEC_MB = chosen_aead() == "ipsec-mb"

setup(
    cmdclass={"bdist_wheel": Wheel},
    packages=[
        f"placet.{name}"
        for name in find_namespace_packages(
            include=[*COMPONENTS, *(f"{component}.*" for component in COMPONENTS)],
            exclude=["enclave.kernel", "enclave.kernel.*", "*.__pycache__"],
        )
    ],
    package_dir={f"placet.{component}": component for component in COMPONENTS},
    ext_modules=[
        Extension(
            "placet.enclave._kernel",
            sources=sorted(glob("enclave/kernel/*.c")),
            depends=sorted(glob("enclave/kernel/*.h")),
            # -g0: debug information holds the build folder's path, and the compiled kernel is
            # measured, so it must not depend on where it was built. -Werror is CFLAGS' affair.
            # No contraction: a product fused with something else is rounded differently.
            extra_compile_args=[
                "-std=c11",
                "-O2",
                "-ffp-contract=off",
                "-Wall",
                "-Wextra",
                "-fvisibility=hidden",
                "-g0",
            ],
            define_macros=[("PLACET_WITH_IPSEC_MB", "1")] if IPSEC_MB else [],
            libraries=["IPSec_MB" if IPSEC_MB else "crypto"],
            # A client needs no kernel, so it installs without a compiler; an enclave refuses to start.
            optional=True,
        )
    ],
)
