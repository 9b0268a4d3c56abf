# SPDX-License-Identifier: Apache-2.0
"""The gRPC server with every service on it, standard health and reflection included."""

from dataclasses import dataclass
from typing import Any

import grpc.aio
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from placet.host.calls.interceptor import Steady, WireInterceptor
from placet.host.calls.servicers import (
    BlobsService,
    FederationsService,
    GovernanceService,
    InferenceService,
    JobsService,
    KeysService,
    LogService,
    RunsService,
)
from placet.host.enclaves.attach import Enclaves
from placet.host.seen.calls import SeenCalls
from placet.host.seen.health import PACKAGE, SERVICES, Health
from placet.proto.limits import GRPC_OPTIONS
from placet.proto.v1 import (
    blobs_pb2_grpc,
    enclaves_pb2_grpc,
    federations_pb2_grpc,
    governance_pb2_grpc,
    inference_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2_grpc,
    runs_pb2_grpc,
)


@dataclass(frozen=True, slots=True)
class Services:
    runs: RunsService
    jobs: JobsService
    federations: FederationsService
    inference: InferenceService
    governance: GovernanceService
    keys: KeysService
    blobs: BlobsService
    log: LogService
    enclaves: Enclaves


def make_server(
    services: Services, health: Health, seen: SeenCalls, max_calls: int, steady: Steady
) -> grpc.aio.Server:
    """A server that is not started and listens nowhere yet. `seen` comes before all else."""
    server = grpc.aio.server(
        interceptors=(seen, WireInterceptor(steady)),
        options=[*GRPC_OPTIONS, ("grpc.so_reuseport", 0)],
        maximum_concurrent_rpcs=max_calls,
    )
    runs_pb2_grpc.add_RunsServicer_to_server(services.runs, server)
    jobs_pb2_grpc.add_JobsServicer_to_server(services.jobs, server)
    federations_pb2_grpc.add_FederationsServicer_to_server(services.federations, server)
    inference_pb2_grpc.add_InferenceServicer_to_server(services.inference, server)
    governance_pb2_grpc.add_GovernanceServicer_to_server(services.governance, server)
    keys_pb2_grpc.add_KeysServicer_to_server(services.keys, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(services.blobs, server)
    log_pb2_grpc.add_LogServicer_to_server(services.log, server)
    enclaves_pb2_grpc.add_EnclavesServicer_to_server(services.enclaves, server)
    health.add_to(server)
    names = [PACKAGE + name for name in SERVICES]
    reflected: Any = reflection
    names += ["grpc.health.v1.Health", reflected.SERVICE_NAME]
    reflected.enable_server_reflection(names, server)
    return server
