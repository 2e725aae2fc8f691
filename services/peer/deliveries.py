"""Our data streams: frames go out to each peer on a connection that carries nothing else, receipts come back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import grpc

from fedswarm.errors import WireError
from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.events import DeliveryLost, Event, Misbehaved, Receipted
from fedswarm.swarm.frame import MAX_FRAMES
from fedswarm.swarm.wire import decode_receipts
from services.peer.traffic import Meter
from services.process.grpc_settings import DATA_OPTIONS

DELIVER_METHOD: Final = "/fedswarm.v1.Peer/Deliver"
CALLER_KEY: Final = "fedswarm-peer"
"""The metadata in which a caller names itself, percent-encoded: names may hold what metadata may not."""

_JOINED_BYTES: Final = 256 * KIB
"""Frames that wait go out as one message up to this size: each message costs as much as some tens of KiB."""


class Deliveries:
    """All data streams that this node sends on, by receiver.

    A stream is opened ahead of the first frame, for that takes longer than a small frame; one that broke is opened
    again when it is needed.
    """

    def __init__(self, me: str, meter: Meter, feed: Callable[[Event], None]) -> None:
        self._me = me
        self._meter = meter
        self._feed = feed
        self._open: dict[str, Delivery] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def open(self, peer: str, target: str) -> Delivery:
        """The stream to a peer, opened now if there is none."""
        if peer not in self._open:
            self._open[peer] = Delivery(peer, target, self._me, self._meter, self._hear)
        return self._open[peer]

    def send(self, peer: str, target: str, frame: bytes, payload_bytes: int) -> None:
        """Sends a frame after those that wait; never waits itself."""
        self.open(peer, target).send(frame, payload_bytes)

    def close(self, peer: str) -> None:
        """Ends the stream to a peer, if there is one; nothing more is heard of it."""
        delivery = self._open.pop(peer, None)
        if delivery is not None:
            task = delivery.close()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close_all(self) -> None:
        """Ends all streams, and waits until they have."""
        for peer in list(self._open):
            self.close(peer)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _hear(self, event: Receipted | DeliveryLost | Misbehaved) -> None:
        if not isinstance(event, Receipted):
            self._open.pop(event.peer, None)
        self._feed(event)


class Delivery:
    """One ``Peer.Deliver`` call.

    The state machine bounds what is under way without a receipt, so the queue here is bounded too. ``hear`` is told of
    receipts, and of the end of the stream unless we closed it.
    """

    def __init__(
        self,
        peer: str,
        target: str,
        me: str,
        meter: Meter,
        hear: Callable[[Receipted | DeliveryLost | Misbehaved], None],
    ) -> None:
        self._peer = peer
        self._target = target
        self._me = me
        self._meter = meter
        self._hear = hear
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name=f"data stream to {peer}")

    def send(self, frame: bytes, payload_bytes: int) -> None:
        """Queues a frame."""
        self._waiting.append((frame, payload_bytes))
        self._wake.set()

    def close(self) -> asyncio.Task[None]:
        """Ends the stream without a word; await the task to know that it has."""
        self._closed = True
        self._waiting.clear()
        self._task.cancel()
        return self._task

    async def _run(self) -> None:
        end: DeliveryLost | Misbehaved
        try:
            end = DeliveryLost(self._peer, await self._carry())
        except WireError as error:
            end = Misbehaved(self._peer, f"sent broken receipts: {error}")
        if not self._closed:
            self._hear(end)

    async def _carry(self) -> str:
        async with grpc.aio.insecure_channel(self._target, options=DATA_OPTIONS) as channel:
            call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(DELIVER_METHOD)(
                metadata=grpc.aio.Metadata((CALLER_KEY, quote(self._me)))
            )
            writer = asyncio.create_task(self._write(call))
            try:
                return await self._read(call)
            finally:
                writer.cancel()
                call.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def _read(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> str:
        try:
            while isinstance(letter := await call.read(), bytes):
                self._meter.control_received += len(letter)
                receipts = decode_receipts(letter)
                if not self._closed:
                    self._hear(Receipted(self._peer, receipts))
        except grpc.aio.AioRpcError as error:
            return f"{self._target} answers {error.code().name}: {error.details()}"
        return "it closed the stream"

    async def _write(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        try:
            while True:
                self._wake.clear()
                while self._waiting:
                    frames, payload_bytes = self._next_frames()
                    await call.write(frames)
                    self._meter.sent += payload_bytes
                await self._wake.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader learns of it too, with the reason

    def _next_frames(self) -> tuple[bytes, int]:
        """What waits, as far as one message goes, and how many bytes of chunks that are."""
        frame, payload_bytes = self._waiting.popleft()
        if not self._waiting or len(frame) + len(self._waiting[0][0]) > _JOINED_BYTES:
            return frame, payload_bytes  # a large one is not copied
        frames, size = [frame], len(frame)
        while self._waiting and len(frames) < MAX_FRAMES and size + len(self._waiting[0][0]) <= _JOINED_BYTES:
            frame, more_bytes = self._waiting.popleft()
            frames.append(frame)
            size += len(frame)
            payload_bytes += more_bytes
        return b"".join(frames), payload_bytes
