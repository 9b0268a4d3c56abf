# SPDX-License-Identifier: Apache-2.0
"""The gRPC server with every service on it, standard health and reflection included."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from placet.host.calls.options import LOCAL_OPTIONS
from placet.host.calls.servicers import (
    AccessService,
    BlobsService,
    CertificatesService,
    FederationsService,
    FoundingService,
    GovernanceService,
    InferenceService,
    JobsService,
    KeysService,
    LogService,
    RunsService,
)
from placet.host.enclaves.attach import Enclaves
from placet.host.seen.health import PACKAGE, SERVICES, Health
from placet.proto.v1 import (
    access_pb2_grpc,
    blobs_pb2_grpc,
    certificates_pb2_grpc,
    enclaves_pb2_grpc,
    federations_pb2_grpc,
    founding_pb2_grpc,
    governance_pb2_grpc,
    inference_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2_grpc,
    runs_pb2_grpc,
)

Server = grpc.aio.Server
Interceptors = Sequence[grpc.aio.ServerInterceptor]
Options = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Services:
    access: AccessService
    runs: RunsService
    jobs: JobsService
    federations: FederationsService
    inference: InferenceService
    founding: FoundingService
    governance: GovernanceService
    keys: KeysService
    blobs: BlobsService
    log: LogService
    certificates: CertificatesService
    enclaves: Enclaves


def make_server(
    services: Services, health: Health, interceptors: Interceptors, options: Options
) -> Server:
    """The server that everybody reaches; it is not started and listens nowhere yet."""
    server = grpc.aio.server(interceptors=interceptors, options=options)
    access_pb2_grpc.add_AccessServicer_to_server(services.access, server)
    runs_pb2_grpc.add_RunsServicer_to_server(services.runs, server)
    jobs_pb2_grpc.add_JobsServicer_to_server(services.jobs, server)
    federations_pb2_grpc.add_FederationsServicer_to_server(services.federations, server)
    inference_pb2_grpc.add_InferenceServicer_to_server(services.inference, server)
    founding_pb2_grpc.add_FoundingServicer_to_server(services.founding, server)
    governance_pb2_grpc.add_GovernanceServicer_to_server(services.governance, server)
    keys_pb2_grpc.add_KeysServicer_to_server(services.keys, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(services.blobs, server)
    log_pb2_grpc.add_LogServicer_to_server(services.log, server)
    certificates_pb2_grpc.add_CertificatesServicer_to_server(services.certificates, server)
    health.add_to(server)
    names = [PACKAGE + name for name in SERVICES]
    reflected: Any = reflection
    names += ["grpc.health.v1.Health", reflected.SERVICE_NAME]
    reflected.enable_server_reflection(names, server)
    return server


def make_enclave_server(services: Services, interceptors: Interceptors) -> Server:
    """The server for enclaves of this machine: nobody else's calls take a place of theirs."""
    server = grpc.aio.server(interceptors=interceptors, options=LOCAL_OPTIONS)
    enclaves_pb2_grpc.add_EnclavesServicer_to_server(services.enclaves, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(services.blobs, server)
    log_pb2_grpc.add_LogServicer_to_server(services.log, server)
    return server
