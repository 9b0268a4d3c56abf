# SPDX-License-Identifier: Apache-2.0
"""The gRPC server with every service on it, standard health and reflection included."""

from dataclasses import dataclass
from typing import Any, cast

import grpc.aio
from grpc_health.v1 import (
    health,
    health_pb2,
    health_pb2_grpc,
)
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from placet.host.calls.interceptor import Gate, Steady, WireInterceptor
from placet.host.calls.options import LOCAL_OPTIONS, public_options
from placet.host.calls.servicers import (
    AccessService,
    BlobsService,
    CertificatesService,
    FederationsService,
    GovernanceService,
    InferenceService,
    JobsService,
    KeysService,
    LogService,
    RunsService,
)
from placet.host.enclaves.attach import Enclaves
from placet.host.tasks import Tasks
from placet.proto.v1 import (
    access_pb2_grpc,
    blobs_pb2_grpc,
    certificates_pb2_grpc,
    enclaves_pb2_grpc,
    federations_pb2_grpc,
    governance_pb2_grpc,
    inference_pb2_grpc,
    jobs_pb2_grpc,
    keys_pb2_grpc,
    log_pb2_grpc,
    runs_pb2_grpc,
)

Server = grpc.aio.Server
_PACKAGE = "placet.v1."
_WITH_AUTHORITY = ("Federations", "Governance", "Inference", "Jobs", "Keys", "Runs")
_ALONE = ("Access", "Blobs", "Certificates", "Log")


@dataclass(frozen=True, slots=True)
class Services:
    access: AccessService
    runs: RunsService
    jobs: JobsService
    federations: FederationsService
    inference: InferenceService
    governance: GovernanceService
    keys: KeysService
    blobs: BlobsService
    log: LogService
    certificates: CertificatesService
    enclaves: Enclaves


class Health:
    """Standard health: the host as a whole serves while it runs, what needs the authority with
    it."""

    def __init__(self) -> None:
        # grpc_health has no types.
        self._servicer: Any = cast("Any", health).aio.HealthServicer()
        self._tasks = Tasks()

    def add_to(self, server: grpc.aio.Server) -> None:
        cast("Any", health_pb2_grpc).add_HealthServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """The host listens; no authority is attached yet."""
        for name in ("", *(_PACKAGE + name for name in _ALONE)):
            await self._servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._with_authority(False)

    def authority(self, attached: bool) -> None:
        """An authority has come or gone."""
        self._tasks.spawn(self._with_authority(attached))

    async def drain(self) -> None:
        """Nothing serves any more, whatever happens next."""
        await self._servicer.enter_graceful_shutdown()

    async def _with_authority(self, attached: bool) -> None:
        status = health_pb2.HealthCheckResponse
        state = status.SERVING if attached else status.NOT_SERVING
        for name in _WITH_AUTHORITY:
            await self._servicer.set(_PACKAGE + name, state)


def make_server(
    services: Services, health: Health, gate: Gate, steady: Steady, max_connections: int
) -> Server:
    """The server that everybody reaches; it is not started and listens nowhere yet."""
    server = grpc.aio.server(
        interceptors=(WireInterceptor(gate, steady),), options=public_options(max_connections)
    )
    access_pb2_grpc.add_AccessServicer_to_server(services.access, server)
    runs_pb2_grpc.add_RunsServicer_to_server(services.runs, server)
    jobs_pb2_grpc.add_JobsServicer_to_server(services.jobs, server)
    federations_pb2_grpc.add_FederationsServicer_to_server(services.federations, server)
    inference_pb2_grpc.add_InferenceServicer_to_server(services.inference, server)
    governance_pb2_grpc.add_GovernanceServicer_to_server(services.governance, server)
    keys_pb2_grpc.add_KeysServicer_to_server(services.keys, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(services.blobs, server)
    log_pb2_grpc.add_LogServicer_to_server(services.log, server)
    certificates_pb2_grpc.add_CertificatesServicer_to_server(services.certificates, server)
    health.add_to(server)
    names = [_PACKAGE + name for name in (*_WITH_AUTHORITY, *_ALONE)]
    reflected: Any = reflection
    names += ["grpc.health.v1.Health", reflected.SERVICE_NAME]
    reflected.enable_server_reflection(names, server)
    return server


def make_enclave_server(services: Services, gate: Gate, steady: Steady) -> Server:
    """The server for enclaves of this machine: nobody else's calls take a place of theirs."""
    server = grpc.aio.server(interceptors=(WireInterceptor(gate, steady),), options=LOCAL_OPTIONS)
    enclaves_pb2_grpc.add_EnclavesServicer_to_server(services.enclaves, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(services.blobs, server)
    log_pb2_grpc.add_LogServicer_to_server(services.log, server)
    return server
