"""The ``Tracker`` service around the registry of introductions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import grpc

from fedswarm.clock import Clock
from fedswarm.errors import WireError
from fedswarm.swarm.introductions import Introductions, Lease
from fedswarm.v1 import common_pb2, tracker_pb2, tracker_pb2_grpc

SERVICE_NAME: Final = "fedswarm.v1.Tracker"
MAX_WAITING: Final = 1024


class TrackerServicer(tracker_pb2_grpc.TrackerServicer):
    """One ``Announce`` stream is one lease; it ends with the stream, or when renewals stop."""

    def __init__(self, clock: Clock, lease_s: float) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._registry = Introductions(lease_s)
        self._outboxes: dict[Lease, asyncio.Queue[tracker_pb2.Introduction | None]] = {}

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers the service."""
        tracker_pb2_grpc.add_TrackerServicer_to_server(self, server)

    async def Announce(
        self,
        request_iterator: AsyncIterator[tracker_pb2.Announcement],
        context: grpc.aio.ServicerContext[tracker_pb2.Announcement, tracker_pb2.Introduction],
    ) -> AsyncIterator[tracker_pb2.Introduction]:
        """Introduces a newcomer to the peers already there, then tells it who left."""
        first = await anext(request_iterator, None)
        if first is None:
            return
        try:
            lease, others = self._registry.announce(
                first.job, first.peer.peer_id, first.peer.target, self._clock.now_s()
            )
        except WireError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        outbox: asyncio.Queue[tracker_pb2.Introduction | None] = asyncio.Queue(MAX_WAITING)
        self._outboxes[lease] = outbox
        renewals = asyncio.create_task(self._renew(lease, request_iterator))
        try:
            yield tracker_pb2.Introduction(
                joined=[_address(other) for other in others], renew_within_ms=int(self._lease_s * 1000)
            )
            while (introduction := await outbox.get()) is not None:
                yield introduction
        finally:
            renewals.cancel()
            self._end(lease)

    async def Scrape(
        self,
        request: tracker_pb2.ScrapeRequest,
        context: grpc.aio.ServicerContext[tracker_pb2.ScrapeRequest, tracker_pb2.ScrapeReply],
    ) -> tracker_pb2.ScrapeReply:
        """The peers of a job."""
        return tracker_pb2.ScrapeReply(peers=[_address(lease) for lease in self._registry.peers(request.job)])

    async def expire_leases(self) -> None:
        """Ends leases that were not renewed; runs until cancelled."""
        while True:
            await asyncio.sleep(self._lease_s / 4)
            for lease in self._registry.expired(self._clock.now_s()):
                self._end(lease)

    async def _renew(self, lease: Lease, announcements: AsyncIterator[tracker_pb2.Announcement]) -> None:
        async for _ in announcements:
            if not self._registry.renew(lease, self._clock.now_s()):
                break
        self._end(lease)

    def _end(self, lease: Lease) -> None:
        """The stream of this lease ends; if that means that its peer left, the others hear of it."""
        outbox = self._outboxes.pop(lease, None)
        if outbox is not None:
            _put(outbox, None)
        if not self._registry.leave(lease):
            return
        left = tracker_pb2.Introduction(left=[lease.peer_id])
        for other in self._registry.peers(lease.job):
            if other in self._outboxes:
                _put(self._outboxes[other], left)


def _put(outbox: asyncio.Queue[tracker_pb2.Introduction | None], introduction: tracker_pb2.Introduction | None) -> None:
    """To a peer that does not read, the oldest news is lost: its links tell it the same."""
    if outbox.full():
        outbox.get_nowait()
    outbox.put_nowait(introduction)


def _address(lease: Lease) -> common_pb2.PeerAddress:
    return common_pb2.PeerAddress(peer_id=lease.peer_id, target=lease.target)
