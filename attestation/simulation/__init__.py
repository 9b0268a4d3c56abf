# SPDX-License-Identifier: Apache-2.0
"""A machine made of software: real DCAP quotes under a root whose key is published."""

from placet.attestation.simulation.attester import SimulatedAttester
from placet.attestation.simulation.root import SIMULATION_ROOT, SIMULATION_SIGNER, SIMULATION_SVN
from placet.attestation.simulation.service import SimulatedQuotingService

__all__ = [
    "SIMULATION_ROOT",
    "SIMULATION_SIGNER",
    "SIMULATION_SVN",
    "SimulatedAttester",
    "SimulatedQuotingService",
]
