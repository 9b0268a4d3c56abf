# SPDX-License-Identifier: Apache-2.0
"""Keys: evidence and provisioning, relayed to the authority."""

from placet.host.calls.forwarded import Forwarding, forwarded
from placet.proto.v1 import common_pb2, enclaves_pb2, keys_pb2, keys_pb2_grpc


class KeysService(Forwarding, keys_pb2_grpc.KeysServicer):
    GetEvidence = forwarded(enclaves_pb2.KIND_EVIDENCE, keys_pb2.EvidenceResponse)
    Provision = forwarded(enclaves_pb2.KIND_PROVISION, common_pb2.Committed)
