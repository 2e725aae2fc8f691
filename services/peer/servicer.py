"""What a node answers: control links, and requests for chunks it holds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from fedswarm.swarm.manifest import Key
from fedswarm.swarm.wire import decode_frame, encode_missing
from fedswarm.v1 import peer_pb2
from services.peer.links import Links

SERVICE_NAME: Final = "fedswarm.v1.Peer"


class PeerServicer:
    """The ``Peer`` service. ``Fetch`` is registered without serializers, so frames go out as the very bytes held."""

    def __init__(self, links: Links, frame: Callable[[Key, int], bytes | None]) -> None:
        self._links = links
        self.frame = frame
        self.sent_bytes = 0

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers both methods."""
        handlers = {
            "Link": grpc.stream_stream_rpc_method_handler(
                self.link,
                request_deserializer=peer_pb2.PeerMessage.FromString,
                response_serializer=peer_pb2.PeerMessage.SerializeToString,
            ),
            "Fetch": grpc.stream_stream_rpc_method_handler(self.fetch),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),))

    async def link(
        self,
        _requests: AsyncIterator[peer_pb2.PeerMessage],
        context: grpc.aio.ServicerContext[peer_pb2.PeerMessage, peer_pb2.PeerMessage],
    ) -> None:
        """One control link, dialled by another peer."""
        await self._links.accept(context)

    async def fetch(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        """One frame for each request, in order; gRPC's flow control holds us back when the other side is slow."""
        async for request in requests:
            try:
                want = peer_pb2.Want.FromString(request)
            except DecodeError:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "that is not a Want message")
            key = Key(want.round, want.source)
            frame = self.frame(key, want.index)
            if frame is None:
                yield encode_missing(key, want.index)
            else:
                yield frame
                self.sent_bytes += len(decode_frame(frame).payload)
