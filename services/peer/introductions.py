"""A peer's side of the tracker: stays announced, passes on whom it is introduced to, outlives the tracker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import grpc

from fedswarm.randomness import generator
from fedswarm.swarm.events import Departed, Introduced
from fedswarm.swarm.messages import Address
from fedswarm.v1 import common_pb2, tracker_pb2
from services.process.grpc_settings import CONTROL_OPTIONS

log = logging.getLogger(__name__)

ANNOUNCE_METHOD: Final = "/fedswarm.v1.Tracker/Announce"

_FIRST_RETRY_S: Final = 0.2
_LAST_RETRY_S: Final = 5.0
_DEFAULT_RENEWAL_S: Final = 5.0


class TrackerSession:
    """Keeps the lease of one peer at one tracker; a lost tracker is sought again, ever more patiently."""

    def __init__(
        self, tracker: str, job: str, peer_id: str, target: str, feed: Callable[[Introduced | Departed], None]
    ) -> None:
        self._tracker = tracker
        self._feed = feed
        self._me = peer_id
        self._announcement = tracker_pb2.Announcement(
            job=job, peer=common_pb2.PeerAddress(peer_id=peer_id, target=target)
        )
        self.introduced = asyncio.Event()
        """Set once the tracker has answered."""
        self._task = asyncio.create_task(self._stay(), name=f"tracker at {tracker}")

    async def close(self) -> None:
        """Gives the lease up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _stay(self) -> None:
        failures = 0
        while True:
            try:
                await self._announce()
                failures = 0
            except grpc.aio.AioRpcError as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "the tracker at %s is lost (%s); known peers stay linked", self._tracker, error.code().name
                    )
            # Spread, so that a returning tracker is not met by all peers at once.
            spread = generator(0, failures, f"tracker back-off of {self._me}").uniform(0.5, 1.0)
            await asyncio.sleep(min(_FIRST_RETRY_S * 2**failures, _LAST_RETRY_S) * spread)

    async def _announce(self) -> None:
        async with grpc.aio.insecure_channel(self._tracker, options=CONTROL_OPTIONS) as channel:
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
                await call.write(self._announcement)
                while isinstance(introduction := await call.read(), tracker_pb2.Introduction):
                    self._take(introduction)
                    if renewals is None:
                        period_s = introduction.renew_within_ms / 3000 or _DEFAULT_RENEWAL_S
                        renewals = asyncio.create_task(self._renew(call, period_s))
            finally:
                call.cancel()
                if renewals is not None:
                    renewals.cancel()
                    await asyncio.gather(renewals, return_exceptions=True)

    def _take(self, introduction: tracker_pb2.Introduction) -> None:
        for peer_id in introduction.left:
            self._feed(Departed(peer_id))
        others = [Address(peer.peer_id, peer.target) for peer in introduction.joined if peer.peer_id != self._me]
        if others:
            self._feed(Introduced(tuple(others)))
        self.introduced.set()

    async def _renew(
        self, call: grpc.aio.StreamStreamCall[tracker_pb2.Announcement, tracker_pb2.Introduction], period_s: float
    ) -> None:
        while True:
            await asyncio.sleep(period_s)
            await call.write(self._announcement)
