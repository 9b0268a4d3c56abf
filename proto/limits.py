# SPDX-License-Identifier: Apache-2.0
"""Version and size bounds of the wire: part of the contract, so both ends read them here.

Bulk bytes travel in chunks, never in one message. The host bounds each kind of message besides
(`placet.host.calls.bounds`).
"""

from typing import Final

WIRE_VERSION: Final = 1
# Every call to a Placet service carries this metadata key with the wire version as text.
VERSION_KEY: Final = "placet-wire"
# Of an enclave's Attach call: the launch token that the host passed to the process it started.
TOKEN_KEY: Final = "placet-launch-token"
# Of a principal's calls: "Bearer " and the token that Access.Login gave (RFC 6750).
ACCESS_KEY: Final = "authorization"
BEARER: Final = "Bearer "
# A call with the first key is answered with the others: Unix milliseconds, and the host's release.
ASK_KEY: Final = "placet-who-answers"
TIME_KEY: Final = "placet-time"
RELEASE_KEY: Final = "placet-release"

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_DOCUMENT: Final = 256 * KIB  # a DSSE envelope
MAX_FRAME: Final = 4 * MIB  # the payload of one frame
MAX_COALESCED: Final = 1 * MIB  # frames are gathered into one message up to this size
MAX_CHUNK: Final = 1 * MIB  # a piece of a blob
# A sealed question or answer of a MiB, padded and with what opens a session. What is longer goes in
# pieces, each of which is full but the last.
MAX_SEALED: Final = 1288 * KIB
MAX_WHOLE: Final = 80 * MIB + 8 * KIB  # one of 64 MiB, as all its pieces
MAX_WIRE: Final = 8 * MIB  # what gRPC itself accepts: a full frame and room for its neighbours

# grpc channel and server options that belong to the bounds above.
GRPC_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_WIRE),
    ("grpc.max_send_message_length", MAX_WIRE),
)
