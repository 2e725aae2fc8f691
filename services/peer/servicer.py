"""The ``Peer`` service: what other peers call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import grpc

from services.peer.arrivals import Arrivals
from services.peer.links import Links

SERVICE_NAME: Final = "fedswarm.v1.Peer"


class PeerServicer:
    """Registers both methods without serializers: letters and frames are decoded by us, so that we see who errs."""

    def __init__(self, links: Links, arrivals: Arrivals) -> None:
        self._links = links
        self._arrivals = arrivals

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers both methods."""
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Link": grpc.stream_stream_rpc_method_handler(self.link),
            "Deliver": grpc.stream_stream_rpc_method_handler(self.deliver),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),))

    async def link(self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """One control link, dialled by another peer."""
        await self._links.accept(context)

    async def deliver(self, _: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """One data stream of another peer."""
        await self._arrivals.accept(context)
