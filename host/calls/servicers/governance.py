# SPDX-License-Identifier: Apache-2.0
"""Governance: documents go to the authority. They are read in the log."""

from placet.host.calls.forwarded import Forwarding, forwarded
from placet.proto.v1 import common_pb2, enclaves_pb2, governance_pb2_grpc


class GovernanceService(Forwarding, governance_pb2_grpc.GovernanceServicer):
    Found = forwarded(enclaves_pb2.KIND_FOUND, common_pb2.Committed)
    Propose = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Vote = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed)
    Stop = forwarded(enclaves_pb2.KIND_RECORD, common_pb2.Committed, stop=True)
    Amend = forwarded(enclaves_pb2.KIND_AMEND, common_pb2.Committed)
