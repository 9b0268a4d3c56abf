# SPDX-License-Identifier: Apache-2.0
"""Installs each component folder as a subpackage of placet, and builds the enclave's kernel.

The mapping is here and not in pyproject.toml because it must discover subpackages: a list kept by
hand leaves a new one out of the wheel while it works in development.

The same sources, CPython, compiler and setuptools give the same wheel, to the byte, wherever and
whenever it is built.

    CC, CPPFLAGS, CFLAGS, LDFLAGS   the compiler, and what it is told beside FLAGS
    PLACET_AEAD                     what opens segments: openssl, or ipsec-mb
"""

import os
import platform
import shlex
from glob import glob
from pathlib import Path

from setuptools import Extension, find_namespace_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

COMPONENTS = [
    "attestation",
    "auditing",
    "builds",
    "client",
    "enclave",
    "governance",
    "host",
    "proto",
    "ratls",
    "refusals",
    "sealing",
]

# -g0: debug information holds the build folder's path. No contraction: a product fused with
# something else is rounded differently. -Werror is CFLAGS' affair.
FLAGS = [
    "-std=c11",
    "-O2",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-fvisibility=hidden",
    "-g0",
]

# The time of every file in the wheel, unless whoever builds it names another: 1980, the first that
# a zip file can say.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")


class Wheel(bdist_wheel):
    """A wheel whose files' modes do not come from the umask of whoever cloned or built."""

    def write_wheelfile(self, *args, **kwargs) -> None:
        """The last that is written before everything is packed."""
        super().write_wheelfile(*args, **kwargs)
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)


class Kernel(build_ext):
    """A kernel compiled by the flags that stand here, and no others.

    Those that CPython was compiled with differ from machine to machine, folders of whoever compiled
    it among them, and the kernel is measured.
    """

    def build_extensions(self) -> None:
        """With the environment's compiler in place of CPython's."""
        compiler = words("CC", "cc")
        self.compiler.set_executables(
            compiler_so=[*compiler, "-fPIC", *words("CPPFLAGS"), *words("CFLAGS")],
            linker_so=[*compiler, "-shared", *words("LDFLAGS")],
        )
        super().build_extensions()


def words(name: str, default: str = "") -> list[str]:
    """A variable of the environment, as a shell would split it."""
    return shlex.split(os.environ.get(name) or default)


def chosen_aead() -> str:
    """What AES-256-GCM comes from: OpenSSL's libcrypto ("openssl"), or Intel's faster "ipsec-mb".

    Two builds with two measurements, so what else is installed here never decides.
    """
    wanted = os.environ.get("PLACET_AEAD") or "openssl"
    if wanted not in ("openssl", "ipsec-mb"):
        raise SystemExit(f"PLACET_AEAD must be openssl or ipsec-mb; it is {wanted!r}.")
    if wanted == "ipsec-mb" and platform.machine() != "x86_64":
        raise SystemExit("ipsec-mb is for x86-64 alone.")
    return wanted


IPSEC_MB = chosen_aead() == "ipsec-mb"

setup(
    cmdclass={"bdist_wheel": Wheel, "build_ext": Kernel},
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
            sources=sorted(glob("enclave/kernel/**/*.c", recursive=True)),
            depends=sorted(glob("enclave/kernel/**/*.h", recursive=True)),
            extra_compile_args=FLAGS,
            define_macros=[("PLACET_WITH_IPSEC_MB", "1")] if IPSEC_MB else [],
            libraries=["IPSec_MB" if IPSEC_MB else "crypto"],
            # A client needs no kernel, so it installs without a compiler; an enclave refuses to
            # start. Who says which AEAD it is to have wants one.
            optional="PLACET_AEAD" not in os.environ,
        )
    ],
)
