# SPDX-License-Identifier: Apache-2.0
"""What gRPC itself bounds, by listener: messages, connections, and those that say nothing."""

from typing import Final

from placet.host.calls.bounds import MAX_REQUEST
from placet.proto.limits import GRPC_OPTIONS, MAX_WIRE

# Of a connection: how long its handshake may take, how long it stays without a call, and when one
# whose other end has gone is noticed.
HANDSHAKE_MS: Final = 10_000
IDLE_MS: Final = 60_000
KEEPALIVE_MS: Final = 30_000
MAX_STREAMS: Final = 1024

LOCAL_OPTIONS: Final = (*GRPC_OPTIONS, ("grpc.so_reuseport", 0))


def public_options(max_connections: int, max_unread: int) -> tuple[tuple[str, int], ...]:
    """The options of the listener that everybody reaches. `max_unread` are the bytes that a call
    may send before they are asked for; a message that is asked for has room in any case."""
    return (
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_REQUEST),
        ("grpc.max_send_message_length", MAX_WIRE),
        ("grpc.max_allowed_incoming_connections", max_connections),
        ("grpc.max_concurrent_streams", MAX_STREAMS),
        # Where gRPC probes the line, it takes 16 MiB of every call before anybody has looked at it.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", max_unread),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        ("grpc.max_connection_idle_ms", IDLE_MS),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", HANDSHAKE_MS),
        # A client may ask as often whether the host is there.
        ("grpc.http2.min_ping_interval_without_data_ms", HANDSHAKE_MS),
    )
