# SPDX-License-Identifier: Apache-2.0
"""Version and size bounds of the wire: part of the contract, so both ends read them here.

Every message of the contract has a bound on its serialised size; a request above its bound is
refused before it is looked at. Bulk bytes travel in chunks, never in one message.
"""

from typing import Final

from google.protobuf.message import Message

WIRE_VERSION: Final = 1
# Every call to a Placet service carries this metadata key with the wire version as text.
VERSION_KEY: Final = "placet-wire"

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_DOCUMENT: Final = 256 * KIB  # a DSSE envelope
MAX_TICKET: Final = 2 * MIB  # a proposal and its ballots
MAX_FRAME: Final = 4 * MIB  # the payload of one frame
MAX_COALESCED: Final = 1 * MIB  # frames are gathered into one message up to this size
MAX_CHUNK: Final = 1 * MIB  # a piece of a blob
MAX_SEALED: Final = 1 * MIB  # a sealed question or answer
MAX_WIRE: Final = 8 * MIB  # what gRPC itself accepts: a full frame and room for its neighbours

# grpc channel and server options that belong to the bounds above.
GRPC_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_WIRE),
    ("grpc.max_send_message_length", MAX_WIRE),
)

_SMALL = 4 * KIB
_LISTING = 1 * MIB

MAX_BYTES: Final[dict[str, int]] = {
    "placet.v1.Refusal": 64 * KIB,
    "placet.v1.Ticket": MAX_TICKET,
    "placet.v1.Committed": 128 * KIB,
    "placet.v1.SubmitRequest": MAX_TICKET + _SMALL,
    "placet.v1.Job": 128 * KIB,
    "placet.v1.GetJobRequest": _SMALL,
    "placet.v1.ListJobsRequest": _SMALL,
    "placet.v1.ListJobsResponse": MAX_WIRE,
    "placet.v1.WatchRequest": _SMALL,
    "placet.v1.CancelRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.ResultRequest": _SMALL,
    "placet.v1.ResultResponse": 1 * MIB,
    "placet.v1.FoundRequest": 2 * MAX_DOCUMENT + _SMALL,
    "placet.v1.DocumentRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.AmendRequest": MAX_TICKET + MAX_DOCUMENT + _SMALL,
    "placet.v1.GetConstitutionRequest": _SMALL,
    "placet.v1.ConstitutionResponse": MAX_FRAME,
    "placet.v1.ListProposalsRequest": _SMALL,
    "placet.v1.ListProposalsResponse": _LISTING,
    "placet.v1.GetProposalRequest": _SMALL,
    "placet.v1.ProposalResponse": MAX_TICKET + _SMALL,
    "placet.v1.EvidenceRequest": _SMALL,
    "placet.v1.EvidenceResponse": 1 * MIB,
    "placet.v1.ProvisionRequest": MAX_DOCUMENT + 2 * _SMALL,
    "placet.v1.WithdrawRequest": MAX_DOCUMENT + _SMALL,
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
    "placet.v1.StartRequest": MAX_TICKET + _SMALL,
    "placet.v1.GetFederationRequest": _SMALL,
    "placet.v1.Federation": MAX_WIRE,
    "placet.v1.UpdateRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.UpdateReceipt": 256 * KIB,
    "placet.v1.ModelRequest": MAX_DOCUMENT + _SMALL,
    "placet.v1.ModelResponse": 1 * MIB,
    "placet.v1.ServeRequest": MAX_TICKET + _SMALL,
    "placet.v1.Service": 128 * KIB,
    "placet.v1.GetServiceRequest": _SMALL,
    "placet.v1.ListServicesRequest": _SMALL,
    "placet.v1.ListServicesResponse": MAX_WIRE,
    "placet.v1.DescribeRequest": _SMALL,
    "placet.v1.Description": MAX_WIRE,
    "placet.v1.PredictRequest": MAX_SEALED + _SMALL,
    "placet.v1.PredictResponse": MAX_SEALED + _SMALL,
    "placet.v1.Asks": MAX_WIRE,
    "placet.v1.Answers": MAX_WIRE,
    "placet.v1.Frames": MAX_WIRE,
}


def within_bound(message: Message) -> bool:
    """Whether the message is at most as large as its kind allows; a kind without a bound is never
    within it."""
    bound = MAX_BYTES.get(message.DESCRIPTOR.full_name)
    return bound is not None and message.ByteSize() <= bound
