"""The ``Tracker`` service around the registry of introductions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

import grpc

from fedswarm.clock import Clock
from fedswarm.errors import FedswarmError, TopologyError
from fedswarm.swarm.announcements import Announcement, Progress, Publication, Reference
from fedswarm.swarm.introductions import Introductions, Lease, Notice
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Address
from fedswarm.swarm.topology_choice import family_of_text
from fedswarm.v1 import tracker_pb2, tracker_pb2_grpc
from services.tracker.outbox import Outbox, address_to_proto

SERVICE_NAME: Final = "fedswarm.v1.Tracker"
FIRST_WORD_S: Final = 10.0  # for a peer that opened a stream to announce itself
MOST_ADDRESSES: Final = 1_000  # in the answer to a scrape
MOST_STUDIED: Final = 300  # peers of a job whose topology a scrape has time for


class TrackerServicer(tracker_pb2_grpc.TrackerServicer):
    """One ``Announce`` stream is one lease; it ends with the stream, or when renewals stop."""

    def __init__(self, clock: Clock, lease_s: float) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._registry = Introductions(lease_s, family_of_text)
        self._outboxes: dict[Lease, Outbox] = {}

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers the service."""
        tracker_pb2_grpc.add_TrackerServicer_to_server(self, server)

    async def Announce(
        self,
        request_iterator: AsyncIterator[tracker_pb2.Announcement],
        context: grpc.aio.ServicerContext[tracker_pb2.Announcement, tracker_pb2.Introduction],
    ) -> AsyncIterator[tracker_pb2.Introduction]:
        """Introduces a newcomer to those it is to link with, then tells it who comes and goes among them."""
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                first = await anext(request_iterator, None)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"no announcement within {FIRST_WORD_S:g} s")
        if first is None:
            return
        try:
            lease, notices = self._registry.announce(_announcement(first), self._clock.now_s())
        except FedswarmError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        outbox = self._outboxes[lease] = Outbox(self._lease_s, whole=self._registry.is_whole(lease.job))
        self._deliver(notices)
        renewals = asyncio.create_task(self._renew(lease, outbox, request_iterator), name=f"lease of {lease.peer}")
        try:
            while (introduction := await outbox.take()) is not None:
                yield introduction
            await self._complain(renewals, context)
        finally:
            renewals.cancel()
            self._end(lease)

    async def Find(
        self,
        request: tracker_pb2.FindRequest,
        context: grpc.aio.ServicerContext[tracker_pb2.FindRequest, tracker_pb2.FindReply],
    ) -> tracker_pb2.FindReply:
        """Who publishes what in a round."""
        found = self._registry.publications(request.job, request.round)
        return tracker_pb2.FindReply(publications=map(_publication_to_proto, found))

    async def Scrape(
        self,
        request: tracker_pb2.ScrapeRequest,
        context: grpc.aio.ServicerContext[tracker_pb2.ScrapeRequest, tracker_pb2.ScrapeReply],
    ) -> tracker_pb2.ScrapeReply:
        """A job in numbers, and the first of its peers."""
        census = self._registry.census(request.job)
        peers = self._registry.peers(request.job)[: min(request.most_peers, MOST_ADDRESSES)]
        return tracker_pb2.ScrapeReply(
            peers=map(address_to_proto, peers),
            peer_count=census.peers,
            seed_count=census.seeds,
            uplink_bps=census.uplink_bps,
            held_chunks=census.held_chunks,
            wanted_chunks=census.wanted_chunks,
            sent_bytes=census.sent_bytes,
            received_bytes=census.received_bytes,
            topology=await self._topology(request.job) if 0 < census.peers <= MOST_STUDIED else None,
        )

    async def keep_time(self) -> None:
        """Ends leases that were not renewed, and the waiting of founders; runs until cancelled."""
        while True:
            await asyncio.sleep(self._lease_s / 4)
            now_s = self._clock.now_s()
            for lease in self._registry.expired(now_s):
                self._end(lease)
            self._deliver(self._registry.settle(now_s))

    async def _renew(
        self, lease: Lease, outbox: Outbox, announcements: AsyncIterator[tracker_pb2.Announcement]
    ) -> None:
        """Takes renewals until the stream or the lease ends; raises :class:`FedswarmError` for an impossible one."""
        try:
            async for message in announcements:
                if not self._registry.renew(lease, _announcement(message), self._clock.now_s()):
                    break
                outbox.answer(whole=self._registry.is_whole(lease.job))
        finally:
            outbox.close()

    async def _complain(
        self,
        renewals: asyncio.Task[None],
        context: grpc.aio.ServicerContext[tracker_pb2.Announcement, tracker_pb2.Introduction],
    ) -> None:
        """Tells a peer why its stream ends, if that is a renewal of its own."""
        if renewals.done() and not renewals.cancelled() and isinstance(error := renewals.exception(), FedswarmError):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def _end(self, lease: Lease) -> None:
        """The stream of this lease ends; if that means that its peer left, its neighbours hear of it."""
        outbox = self._outboxes.pop(lease, None)
        if outbox is not None:
            outbox.close()
        self._deliver(self._registry.leave(lease))

    def _deliver(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            outbox = self._outboxes.get(notice.lease)
            if outbox is not None:
                outbox.put(notice)

    async def _topology(self, job: str) -> tracker_pb2.Topology | None:
        from fedswarm.swarm.topology_statistics import statistics_of

        try:
            topology = self._registry.topology(job)
        except TopologyError:  # random subsets may, if rarely, leave a peer alone until it dials acquaintances
            return None
        if topology is None:
            return None
        figures = await asyncio.to_thread(statistics_of, topology)
        return tracker_pb2.Topology(
            edges=figures.edges,
            diameter=figures.diameter,
            mean_degree=figures.mean_degree,
            min_degree=figures.min_degree,
            max_degree=figures.max_degree,
            spectral_gap=figures.spectral_gap,
        )


def _announcement(message: tracker_pb2.Announcement) -> Announcement:
    progress = message.progress
    return Announcement(
        job=message.job,
        address=Address(message.peer.peer_id, message.peer.target),
        uplink_bps=message.uplink_bps,
        progress=Progress(
            round=progress.round,
            held_chunks=progress.held_chunks,
            wanted_chunks=progress.wanted_chunks,
            sent_bytes=progress.sent_bytes,
            received_bytes=progress.received_bytes,
        ),
        wanted_peers=message.wanted_peers,
        topology=message.topology,
        founders=message.founders,
        published=tuple(Reference(Key(each.round, each.source), each.root) for each in message.published),
    )


def _publication_to_proto(publication: Publication) -> tracker_pb2.Publication:
    key, root = publication.reference.key, publication.reference.root
    return tracker_pb2.Publication(
        reference=tracker_pb2.Reference(round=key.round, source=key.source, root=root),
        holder=address_to_proto(publication.holder),
    )
