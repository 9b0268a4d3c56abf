# SPDX-License-Identifier: Apache-2.0
"""The services of the contract, one file each; thin: they check, ask and answer."""

from placet.host.servicers.blobs import BlobsService
from placet.host.servicers.federations import FederationsService
from placet.host.servicers.governance import GovernanceService
from placet.host.servicers.inference import InferenceService
from placet.host.servicers.jobs import JobsService
from placet.host.servicers.keys import KeysService
from placet.host.servicers.log import LogService

__all__ = [
    "BlobsService",
    "FederationsService",
    "GovernanceService",
    "InferenceService",
    "JobsService",
    "KeysService",
    "LogService",
]
