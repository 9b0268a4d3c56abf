# SPDX-License-Identifier: Apache-2.0
"""Evidence policies: the one of policy.toml, with something changed."""

import functools
import tomllib
from pathlib import Path
from typing import Any

from placet.attestation import (
    SIMULATION_SIGNER,
    Policy,
)
from placet.builds.measurement import LOCKS, measure, measurements

BASE: dict[str, Any] = tomllib.loads(Path(__file__).with_name("policy.toml").read_text())
# Whatever the collateral says of the machine.
ANY_MACHINE: dict[str, Any] = dict.fromkeys(
    ("tcb_statuses", "advisories", "max_collateral_age_seconds"), "any"
)


_measured = functools.cache(measurements)  # nobody changes Placet while its tests run


@functools.cache
def build() -> dict[str, dict[str, str]]:
    """What is measured of the Placet installed here, as a template of a constitution takes it."""
    return {"a build": {enclave: measure(enclave) for enclave in LOCKS}}


def policy(**changed: Any) -> Policy:
    """The policy with these fields changed, checked as any other."""
    return Policy.from_dict(BASE | changed)


def simulated(role: str, **changed: Any) -> dict[str, Any]:
    """What a council wants of enclaves of a role: the Placet installed here, simulated."""
    fields = {"measurements": _measured(role), "signers": [SIMULATION_SIGNER], **changed}
    return policy(**fields).to_dict()
