# SPDX-License-Identifier: Apache-2.0
"""Every message of the contract has a bound on its serialised size; a request above its bound is
refused before it is looked at."""

from typing import Final

from google.protobuf.message import Message

from placet.proto.limits import (
    KIB,
    MAX_CHUNK,
    MAX_COALESCED,
    MAX_DOCUMENT,
    MAX_SEALED,
    MAX_WIRE,
    MIB,
)

_TICKET = 2 * MIB  # a proposal and its ballots
_SMALL = 4 * KIB

MAX_BYTES: Final[dict[str, int]] = {
    "placet.v1.ChallengeRequest": _SMALL,
    "placet.v1.ChallengeResponse": _SMALL,
    "placet.v1.LoginRequest": 4 * _SMALL,
    "placet.v1.LoginResponse": _SMALL,
    "placet.v1.Refusal": 64 * KIB,
    "placet.v1.Ticket": _TICKET,
    "placet.v1.Committed": 128 * KIB,
    "placet.v1.StartRequest": _TICKET + _SMALL,
    "placet.v1.Run": MAX_WIRE,
    "placet.v1.GetRunRequest": _SMALL,
    "placet.v1.ListRunsRequest": _SMALL,
    "placet.v1.ListRunsResponse": MAX_WIRE,
    "placet.v1.WatchRequest": _SMALL,
    "placet.v1.ResultRequest": _SMALL,
    "placet.v1.ResultResponse": 1 * MIB,
    "placet.v1.FoundRequest": 2 * MAX_DOCUMENT + _SMALL,
    "placet.v1.OpenBoardRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.ReadBoardRequest": _SMALL,
    "placet.v1.PostRequest": 4 * _SMALL,
    "placet.v1.Board": MAX_WIRE,
    "placet.v1.DocumentRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.AmendRequest": _TICKET + MAX_DOCUMENT + _SMALL,
    "placet.v1.EvidenceRequest": _SMALL,
    "placet.v1.EvidenceResponse": 1 * MIB,
    "placet.v1.ProvisionRequest": MAX_DOCUMENT + 2 * _SMALL,
    "placet.v1.PutRequest": MAX_CHUNK + _SMALL,
    "placet.v1.BlobInfo": _SMALL,
    "placet.v1.GetBlobRequest": _SMALL,
    "placet.v1.BlobChunk": MAX_CHUNK + _SMALL,
    "placet.v1.StatRequest": _SMALL,
    "placet.v1.DeleteBlobRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.DeleteBlobResponse": _SMALL,
    "placet.v1.GetCheckpointRequest": _SMALL,
    "placet.v1.CheckpointResponse": 128 * KIB,
    "placet.v1.GetEntriesRequest": _SMALL,
    "placet.v1.EntriesResponse": MAX_WIRE,
    "placet.v1.GetDocumentRequest": _SMALL,
    "placet.v1.DocumentResponse": 1 * MIB,
    "placet.v1.InclusionProofRequest": _SMALL,
    "placet.v1.ConsistencyProofRequest": _SMALL,
    "placet.v1.ProofResponse": 16 * KIB,
    "placet.v1.GetTileRequest": _SMALL,
    "placet.v1.TileResponse": MAX_WIRE,
    "placet.v1.GetNoticesRequest": _SMALL,
    "placet.v1.NoticesResponse": 1 * MIB,
    "placet.v1.UpdateRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.UpdateReceipt": 256 * KIB,
    "placet.v1.ModelRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.ModelResponse": 1 * MIB,
    "placet.v1.DescribeRequest": _SMALL,
    "placet.v1.Description": MAX_WIRE,
    "placet.v1.PredictRequest": MAX_SEALED + _SMALL,
    "placet.v1.PredictResponse": MAX_SEALED + _SMALL,
    "placet.v1.Asks": MAX_COALESCED + MAX_SEALED + _SMALL,
    "placet.v1.Answers": MAX_WIRE,
    "placet.v1.Frames": MAX_WIRE,
}

# The largest message that a caller may send: questions, or an amendment, with the constitution
# beside its ticket.
MAX_REQUEST: Final = max(MAX_BYTES["placet.v1.AmendRequest"], MAX_BYTES["placet.v1.Asks"])


def within_bound(message: Message) -> bool:
    """Whether the message is at most as large as its kind allows; a kind without a bound is never
    within it."""
    bound = MAX_BYTES.get(message.DESCRIPTOR.full_name)
    return bound is not None and message.ByteSize() <= bound
