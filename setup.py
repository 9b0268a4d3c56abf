# SPDX-License-Identifier: Apache-2.0
"""Installs each component folder as a subpackage of placet, and builds the enclave's kernel.

The mapping is here and not in pyproject.toml because it must discover subpackages: a list kept by
hand leaves a new one out of the wheel while it works in development.
"""

from glob import glob

from setuptools import Extension, find_namespace_packages, setup

COMPONENTS = ["attestation", "client", "enclave", "governance", "host", "proto", "sealing"]

setup(
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
            extra_compile_args=["-std=c11", "-Wall", "-Wextra", "-fvisibility=hidden", "-g0"],
            # A client needs no kernel, so it installs without a compiler; an enclave refuses to start.
            optional=True,
        )
    ],
)
