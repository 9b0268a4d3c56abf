# SPDX-License-Identifier: Apache-2.0
"""Certificates: what the host announces, for whoever knows an earlier one than it shows."""

from typing import Any

import grpc.aio

from placet.host.calls.certificates import Certificates
from placet.proto.v1 import certificates_pb2, certificates_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class CertificatesService(certificates_pb2_grpc.CertificatesServicer):
    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    async def GetNotices(
        self, request: certificates_pb2.GetNoticesRequest, context: Context
    ) -> certificates_pb2.NoticesResponse:
        return certificates_pb2.NoticesResponse(
            notices=[
                certificates_pb2.AnnouncedPin(
                    envelope=signed.envelope, certificate=signed.certificate
                )
                for signed in self._certificates.notices
            ]
        )
