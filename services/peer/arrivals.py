"""Data streams of other peers: frames come in, a few at a time, and receipts go back."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import grpc

from fedswarm.clock import Clock
from fedswarm.errors import WireError
from fedswarm.swarm.events import Event, FrameArrived, Misbehaved
from fedswarm.swarm.frame import decode_frames
from fedswarm.swarm.messages import Receipt
from fedswarm.swarm.shaping import Caps
from fedswarm.swarm.token_bucket import TokenBucket
from fedswarm.swarm.wire import MAX_MESSAGES, encode_receipts
from services.peer.deliveries import CALLER_KEY
from services.peer.link import let_finish
from services.peer.links import Links
from services.peer.spacing import Spacing
from services.peer.traffic import Meter


class Arrivals:
    """All data streams that end at this node, by sender; a later one takes the place of an earlier one.

    A message of frames is taken off its stream when the one before is dealt with, and dealt with when the caps allow:
    gRPC's flow control holds the sender back, and at most one message a stream waits here.
    """

    def __init__(self, links: Links, meter: Meter, clock: Clock, caps: Caps, feed: Callable[[Event], None]) -> None:
        self._links = links
        self._meter = meter
        self._clock = clock
        self._caps = caps
        self._cap = caps.for_all(clock.now_s())
        self._feed = feed
        self._open: dict[str, Arrival] = {}

    def acknowledge(self, peer: str, receipt: Receipt) -> None:
        """Gives a peer a receipt for the frame that it sent last."""
        if arrival := self._open.get(peer):
            arrival.acknowledge(receipt)

    def end(self, peer: str) -> None:
        """Takes no more frames of a peer, if it was sending."""
        if arrival := self._open.pop(peer, None):
            arrival.ended.set()

    def end_all(self) -> None:
        """Takes no more frames of anybody who is sending."""
        for peer in list(self._open):
            self.end(peer)

    async def accept(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Serves one stream; returns when it ends."""
        metadata = dict(context.invocation_metadata() or ())
        peer = unquote(str(metadata.get(CALLER_KEY, "")))
        if await self._links.settled(peer) is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"no link to a peer {peer!r}: link first")
        self.end(peer)
        arrival = self._open[peer] = Arrival(context, self._meter)
        try:
            await arrival.run(functools.partial(self._take, peer, self._caps.for_one(self._clock.now_s())))
        except WireError as error:
            self._feed(Misbehaved(peer, f"sent a broken frame: {error}"))
        finally:
            if self._open.get(peer) is arrival:
                del self._open[peer]

    async def _take(self, peer: str, own_cap: TokenBucket | None, buffer: bytes) -> None:
        now_s = self._clock.now_s()
        buckets = [bucket for bucket in (self._cap, own_cap) if bucket is not None]
        for bucket in buckets:
            bucket.take(now_s, len(buffer))
        delay_s = max((bucket.delay_s(now_s) for bucket in buckets), default=0.0)
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        frames = decode_frames(buffer)
        for following, frame in enumerate(frames, 1 - len(frames)):
            self._meter.arrived += len(frame.payload)
            self._feed(FrameArrived(peer, frame.key, frame.index, frame.payload, frame.relay, following < 0))


class Arrival:
    """One incoming ``Peer.Deliver`` call."""

    def __init__(self, context: grpc.aio.ServicerContext[bytes, bytes], meter: Meter) -> None:
        self.ended = asyncio.Event()
        self._context = context
        self._meter = meter
        self._receipts: deque[Receipt] = deque()
        self._wake = asyncio.Event()

    def acknowledge(self, receipt: Receipt) -> None:
        """Queues a receipt; ends the stream of a sender that does not read them."""
        self._receipts.append(receipt)
        self._wake.set()
        if len(self._receipts) > MAX_MESSAGES:
            self.ended.set()

    async def run(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hands on frames until the sender or :attr:`ended` ends the stream; raises what ``take`` raises."""
        reader, writer = asyncio.create_task(self._read(take)), asyncio.create_task(self._write())
        ending = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait((reader, writer, ending), return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()
        finally:
            self.ended.set()
            self._wake.set()
            await let_finish(writer)
            for task in (reader, ending):
                task.cancel()
            await asyncio.gather(reader, ending, return_exceptions=True)

    async def _read(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        while isinstance(frames := await self._context.read(), bytes):
            await take(frames)

    async def _write(self) -> None:
        spacing = Spacing()
        while not self.ended.is_set():
            self._wake.clear()
            while self._receipts and not self.ended.is_set():
                await spacing.wait()
                waiting = [self._receipts.popleft() for _ in range(min(len(self._receipts), MAX_MESSAGES))]
                letter = encode_receipts(waiting)
                await self._context.write(letter)
                self._meter.control_sent += len(letter)
            await self._wake.wait()
