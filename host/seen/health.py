# SPDX-License-Identifier: Apache-2.0
"""Standard gRPC health, by service.

""                  it runs: a supervisor that finds this wanting may start it again
placet.ready        it does all that it is for: nothing below is the matter
placet.authority    the authority is attached, and answers
placet.store        what is committed becomes durable, and can be read
placet.disk         there is room for what others than blobs need
placet.clock        the clock goes as it should
placet.v1.Runs, ... a service of the contract: what it needs is well
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

CONDITIONS: Final = ("authority", "store", "disk", "clock")
PACKAGE: Final = "placet.v1."
_WITH_AUTHORITY = ("authority", "store")
# What each service of the contract needs.
SERVICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "Federations": _WITH_AUTHORITY,
        "Governance": _WITH_AUTHORITY,
        "Inference": _WITH_AUTHORITY,
        "Jobs": _WITH_AUTHORITY,
        "Keys": _WITH_AUTHORITY,
        "Runs": _WITH_AUTHORITY,
        "Access": ("store",),
        "Blobs": ("store", "disk"),
        "Certificates": (),
        "Founding": ("disk",),
        "Log": ("store",),
    }
)
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "": (),
        "placet.ready": CONDITIONS,
        **{f"placet.{each}": (each,) for each in CONDITIONS},
        **{PACKAGE + name: needs for name, needs in SERVICES.items()},
    }
)


class Health:
    """Health as the wire tells it."""

    def __init__(self) -> None:
        # grpc_health has no types.
        self._servicer: Any = cast("Any", health).aio.HealthServicer()

    def add_to(self, server: grpc.aio.Server) -> None:
        cast("Any", health_pb2_grpc).add_HealthServicer_to_server(self._servicer, server)

    async def show(self, ailing: frozenset[str]) -> None:
        """Tell of each service whether all that it needs is well."""
        status = health_pb2.HealthCheckResponse
        for name, needs in _NEEDS.items():
            serves = ailing.isdisjoint(needs)
            await self._servicer.set(name, status.SERVING if serves else status.NOT_SERVING)

    async def drain(self) -> None:
        """Nothing serves any more, whatever happens next."""
        await self._servicer.enter_graceful_shutdown()
