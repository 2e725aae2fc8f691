"""gRPC options that both ends of every connection share."""

from __future__ import annotations

from typing import Final

# A frame is one chunk (at most 4 MiB) with a short header; control messages are far smaller. The largest control
# message is a registration with all clients of an executor.
MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024

_SIZES: Final = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]

SERVER_OPTIONS: Final = [
    *_SIZES,
    # Two processes must never share a port by accident: without this a second server would bind silently.
    ("grpc.so_reuseport", 0),
    ("grpc.http2.max_frame_size", 16 * 1024 * 1024 - 1),
]

CONTROL_OPTIONS: Final = [
    *_SIZES,
    # Channels to one target share a connection unless told otherwise; control must not queue behind weights.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]

DATA_OPTIONS: Final = [
    *CONTROL_OPTIONS,
    ("grpc.http2.max_frame_size", 16 * 1024 * 1024 - 1),
]
