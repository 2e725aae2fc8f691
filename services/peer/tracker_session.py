"""One tracker as a peer sees it: an announcement kept alive on a stream, and sought again when the tracker is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

import grpc

from fedswarm.randomness import generator
from fedswarm.swarm.announcements import Announcement, Publication, Reference
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.messages import Address
from fedswarm.swarm.referrals import Word
from fedswarm.v1 import common_pb2, tracker_pb2
from services.process.grpc_settings import CONTROL_OPTIONS

log = logging.getLogger(__name__)

ANNOUNCE_METHOD: Final = "/fedswarm.v1.Tracker/Announce"
FIND_METHOD: Final = "/fedswarm.v1.Tracker/Find"
ANSWER_TIMEOUT_S: Final = 5.0

_FIRST_RETRY_S: Final = 0.2
_LAST_RETRY_S: Final = 10.0
_RENEWALS_A_LEASE: Final = 3
_LEASES_S: Final = (0.3, 3600.0)  # what a tracker may ask for

_Call = grpc.aio.StreamStreamCall[tracker_pb2.Announcement, tracker_pb2.Introduction]


class TrackerSession:
    """Keeps this peer announced at one tracker.

    ``announcement`` says what is true at the time. ``begin`` is called when the tracker takes a new announcement in,
    ``hear`` with what it then says, ``lose`` when it says nothing any more.
    """

    def __init__(
        self,
        tracker: str,
        announcement: Callable[[], Announcement],
        begin: Callable[[], None],
        hear: Callable[[Word], None],
        lose: Callable[[], None],
    ) -> None:
        self.tracker = tracker
        self._announcement = announcement
        self._begin = begin
        self._hear = hear
        self._lose = lose
        self._changed = asyncio.Event()
        self._failures = 0  # in a row
        self._task = asyncio.create_task(self._stay(), name=f"tracker at {tracker}")

    def renew(self) -> None:
        """Announces at once, in place of in a while."""
        self._changed.set()

    async def close(self) -> None:
        """Gives the lease up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def find(self, round_index: int) -> list[Publication]:
        """What this tracker knows to be published in a round; nothing if it does not answer in time."""
        request = tracker_pb2.FindRequest(job=self._announcement().job, round=round_index)
        async with grpc.aio.insecure_channel(self.tracker, options=CONTROL_OPTIONS) as channel:
            find: grpc.aio.UnaryUnaryMultiCallable[tracker_pb2.FindRequest, tracker_pb2.FindReply] = (
                channel.unary_unary(
                    FIND_METHOD,
                    request_serializer=tracker_pb2.FindRequest.SerializeToString,
                    response_deserializer=tracker_pb2.FindReply.FromString,
                )
            )
            try:
                reply = await find(request, timeout=ANSWER_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                log.info("the tracker at %s was asked in vain: %s", self.tracker, error.code().name)
                return []
        return [_publication(message) for message in reply.publications]

    async def _stay(self) -> None:
        while True:
            try:
                await self._announce()
            except (grpc.aio.AioRpcError, TimeoutError) as error:
                self._failures += 1
                if self._failures == 1:
                    log.warning("the tracker at %s is lost (%s); known peers stay linked", self.tracker, _why(error))
            # Spread, so that a returning tracker is not met by all peers at once.
            me = self._announcement().address.peer
            spread = generator(0, self._failures, f"tracker back-off of {me}").uniform(0.5, 1.0)
            await asyncio.sleep(min(_FIRST_RETRY_S * 2**self._failures, _LAST_RETRY_S) * spread)

    async def _announce(self) -> None:
        """Holds one stream until the tracker ends it; raises what ends it otherwise."""
        async with grpc.aio.insecure_channel(self.tracker, options=CONTROL_OPTIONS) as channel:
            announce: grpc.aio.StreamStreamMultiCallable[tracker_pb2.Announcement, tracker_pb2.Introduction] = (
                channel.stream_stream(
                    ANNOUNCE_METHOD,
                    request_serializer=tracker_pb2.Announcement.SerializeToString,
                    response_deserializer=tracker_pb2.Introduction.FromString,
                )
            )
            call = announce()
            renewals: asyncio.Task[None] | None = None
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await call.write(_announcement_to_proto(self._announcement()))
                    introduction = await call.read()
                if not isinstance(introduction, tracker_pb2.Introduction):
                    return
                self._failures = 0
                self._begin()
                lease_s = min(max(introduction.renew_within_ms / 1000, _LEASES_S[0]), _LEASES_S[1])
                renewals = asyncio.create_task(self._renew(call, lease_s / _RENEWALS_A_LEASE))
                while isinstance(introduction, tracker_pb2.Introduction):
                    self._hear(_word(introduction))
                    async with asyncio.timeout(lease_s):
                        introduction = await call.read()
            finally:
                self._lose()
                call.cancel()
                if renewals is not None:
                    renewals.cancel()
                    await asyncio.gather(renewals, return_exceptions=True)

    async def _renew(self, call: _Call, period_s: float) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await self._changed.wait()
            self._changed.clear()
            await call.write(_announcement_to_proto(self._announcement()))


def _why(error: grpc.aio.AioRpcError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return "it is silent"
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return f"it refuses this peer: {error.details()}"
    return error.code().name


def _announcement_to_proto(announcement: Announcement) -> tracker_pb2.Announcement:
    progress = announcement.progress
    return tracker_pb2.Announcement(
        job=announcement.job,
        peer=common_pb2.PeerAddress(peer_id=announcement.address.peer, target=announcement.address.target),
        uplink_bps=announcement.uplink_bps,
        progress=tracker_pb2.Progress(
            round=progress.round,
            held_chunks=progress.held_chunks,
            wanted_chunks=progress.wanted_chunks,
            sent_bytes=progress.sent_bytes,
            received_bytes=progress.received_bytes,
        ),
        wanted_peers=announcement.wanted_peers,
        topology=announcement.topology,
        founders=announcement.founders,
        published=[
            tracker_pb2.Reference(round=each.key.round, source=each.key.source, root=each.root)
            for each in announcement.published
        ],
    )


def _publication(message: tracker_pb2.Publication) -> Publication:
    reference = message.reference
    return Publication(Reference(Key(reference.round, reference.source), reference.root), _address(message.holder))


def _word(introduction: tracker_pb2.Introduction) -> Word:
    return Word(
        joined=tuple(map(_address, introduction.joined)),
        left=tuple(introduction.left),
        expected=tuple(introduction.expected),
        whole=introduction.whole,
    )


def _address(message: common_pb2.PeerAddress) -> Address:
    return Address(message.peer_id, message.target)
