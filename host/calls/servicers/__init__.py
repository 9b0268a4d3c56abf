# SPDX-License-Identifier: Apache-2.0
"""The services of the contract, one file each; thin: they check, ask and answer."""

from placet.host.calls.servicers.access import AccessService
from placet.host.calls.servicers.blobs import BlobsService
from placet.host.calls.servicers.certificates import CertificatesService
from placet.host.calls.servicers.federations import FederationsService
from placet.host.calls.servicers.founding import FoundingService
from placet.host.calls.servicers.governance import GovernanceService
from placet.host.calls.servicers.inference import InferenceService
from placet.host.calls.servicers.jobs import JobsService
from placet.host.calls.servicers.keys import KeysService
from placet.host.calls.servicers.log import LogService
from placet.host.calls.servicers.runs import RunsService

__all__ = [
    "AccessService",
    "BlobsService",
    "CertificatesService",
    "FederationsService",
    "FoundingService",
    "GovernanceService",
    "InferenceService",
    "JobsService",
    "KeysService",
    "LogService",
    "RunsService",
]
