# SPDX-License-Identifier: Apache-2.0
"""Commented templates that `placet init` writes, from the .toml files beside this one.

Each is a complete file; what has to be replaced is in capitals.
"""

from collections.abc import Mapping
from importlib import resources
from string import Template


def template(name: str) -> str:
    """The template of a grant, or of what a council is asked for: "job", "federation", "serve"."""
    return (resources.files("placet.client.drafts") / f"{name}.toml").read_text()


def constitution_template(builds: Mapping[str, Mapping[str, str]], signer: str) -> str:
    """constitution.toml with the measurements of builds, by name and enclave.

    Without a build they are left to be filled in: nobody has chosen one. `signer` is that of every
    simulated enclave.
    """
    return Template(template("constitution")).substitute(
        authority=_measurements(builds, "authority"),
        workers=_measurements(builds, "worker"),
        signer=signer,
    )


def _measurements(builds: Mapping[str, Mapping[str, str]], role: str) -> str:
    """The lines of a role: each measurement below the names of its enclave and its build."""
    if not builds:
        return f'  "MEASUREMENT OF THE {role.upper()} OF A BUILD"'
    return "\n".join(
        f'  # {enclave}: {name}\n  "{measurement}",'
        for name, enclaves in builds.items()
        for enclave, measurement in enclaves.items()
        if enclave.partition("[")[0] == role
    )
