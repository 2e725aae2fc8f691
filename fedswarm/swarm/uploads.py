"""What is to be sent to whom, and how much of it may be under way. The rules:

1. Frames wait in a queue for each neighbour; one is sent at most once, whoever asked for it to be sent, but for streams
   that break before a receipt is back: then again, though not for ever (:mod:`~fedswarm.swarm.strays` counts on that).
2. Bytes under way without a receipt are bounded by *time*: a fraction of a second of our uplink, so that buffers on the
   way stay short; at least two frames, at most a fixed number of bytes.
3. One neighbour may have no more than its share of that (twice the even share), so that a slow reader does not stop
   the others; a neighbour that gives no receipts for long does not count.
4. The neighbour that is furthest behind goes first, then the one served longest ago: with ties broken by order the mean
   peer is served well and the last one badly.
5. Token buckets cap the rate, for all together and for each neighbour; who waits for tokens holds nobody up but itself.
6. Frames for one neighbour leave in *trains*, as many as a small fraction of a second of our uplink holds: what leaves
   together travels as one message, and messages cost more than bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fedswarm.swarm.chunks import KIB
from fedswarm.swarm.limits import Limits
from fedswarm.swarm.manifest import Key
from fedswarm.swarm.token_bucket import TokenBucket
from fedswarm.swarm.uplink import Flight, UplinkEstimate

MOST_WAITING: Final = 16_384
FEWEST_FRAMES: Final = 2
PATIENCE_S: Final = 3.0
TRAIN_S: Final = 0.04
MOST_TRAIN_BYTES: Final = 128 * KIB
MOST_SENT_AGAIN: Final = 3
"""How often a frame is sent again when streams break: whoever still lacks the chunk then, asks for it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of one set of weights."""

    key: Key
    index: int


class Departure(NamedTuple):
    """A frame to be sent now."""

    peer: str
    chunk: Chunk
    relay: bool


class _Waiting(NamedTuple):
    """A frame to be sent: of what size, whether its receiver relays it, and whether we are the ones who relay it.

    ``times`` is how often it was sent before.
    """

    size_bytes: int
    relay: bool
    duty: bool
    times: int = 0


class _Flying(NamedTuple):
    """A frame under way: whether its receiver relays it, and whether it is sent again should it be lost.

    ``times`` is how often it was sent before.
    """

    flight: Flight
    relay: bool
    again: bool
    times: int


@dataclass(slots=True)
class _Queue:
    """What waits for, and is under way to, one neighbour."""

    bucket: TokenBucket | None
    waiting: OrderedDict[Chunk, _Waiting] = field(default_factory=OrderedDict)
    flying: OrderedDict[Chunk, _Flying] = field(default_factory=OrderedDict)
    waiting_bytes: int = 0
    flying_bytes: int = 0
    receipted_bytes: int = 0
    served: int = 0
    heard_s: float = 0.0
    stalled: bool = False


class Uploads:
    """All uploads of one peer.

    Args:
        limits: bounds.
        uplink: how fast we can send.
        behind: how many chunks of these weights a neighbour holds; the fewer, the sooner it is served.
        cap: a token bucket for everything sent.
        cap_each: makes the token bucket of one neighbour.
    """

    def __init__(
        self,
        limits: Limits,
        uplink: UplinkEstimate,
        behind: Callable[[str, Key], int],
        cap: TokenBucket | None = None,
        cap_each: Callable[[], TokenBucket] | None = None,
    ) -> None:
        self.uplink = uplink
        self._limits = limits
        self._behind = behind
        self._cap = cap
        self._cap_each = cap_each
        self._queues: dict[str, _Queue] = {}
        self._served = 0

    # ---- what waits -----------------------------------------------------------------------------------------------

    def put(self, peer: str, chunk: Chunk, size_bytes: int, *, duty: bool = False) -> bool:
        """A chunk is to be sent, on request or (``duty``) to relay it; false when too much waits already."""
        queue = self._queue(peer)
        if chunk in queue.waiting or chunk in queue.flying:
            return True
        if len(queue.waiting) >= MOST_WAITING:
            return False
        queue.waiting[chunk] = _Waiting(size_bytes, relay=False, duty=duty)
        queue.waiting_bytes += size_bytes
        return True

    def take_back(self, peer: str, chunk: Chunk) -> bool:
        """A chunk need not be sent; false when it did not wait."""
        queue = self._queues.get(peer)
        if queue is None or chunk not in queue.waiting:
            return False
        queue.waiting_bytes -= queue.waiting.pop(chunk).size_bytes
        return True

    def forget(self, key: Key, peers: Iterable[str] | None = None) -> None:
        """Nothing of these weights is to be sent any more, to these neighbours or to nobody."""
        for peer in list(self._queues) if peers is None else peers:
            self._forget(self._queue(peer), key)

    @staticmethod
    def _forget(queue: _Queue, key: Key) -> None:
        for chunk in [chunk for chunk in queue.waiting if chunk.key == key]:
            queue.waiting_bytes -= queue.waiting.pop(chunk).size_bytes
        for chunk, flying in queue.flying.items():
            if chunk.key == key:
                queue.flying[chunk] = flying._replace(again=False)

    def clear_requests(self, peer: str) -> None:
        """What a neighbour asked for is not to be sent; what is ours to relay to it still is."""
        queue = self._queues.get(peer)
        for chunk in [c for c, waiting in queue.waiting.items() if not waiting.duty] if queue else []:
            self.take_back(peer, chunk)

    def drop(self, peer: str) -> None:
        """The neighbour is gone."""
        self._queues.pop(peer, None)

    def lost(self, peer: str) -> list[Chunk]:
        """The stream to a neighbour broke: frames without a receipt are sent again, before all others, if needed.

        Returns those that were lost so often that they are not.
        """
        queue = self._queues.get(peer)
        if queue is None:
            return []
        needed = [(chunk, flying) for chunk, flying in queue.flying.items() if flying.again]
        given_up = [chunk for chunk, flying in needed if flying.times >= MOST_SENT_AGAIN]
        for chunk, (flight, relay, _, times) in reversed(needed):
            if times >= MOST_SENT_AGAIN:
                continue
            queue.waiting[chunk] = _Waiting(flight.size_bytes, relay, duty=True, times=times + 1)
            queue.waiting.move_to_end(chunk, last=False)
            queue.waiting_bytes += flight.size_bytes
        queue.flying.clear()
        queue.flying_bytes = 0
        queue.stalled = False
        return given_up

    @property
    def backlog_bytes(self) -> int:
        """Everything that waits."""
        return sum(queue.waiting_bytes for queue in self._queues.values())

    @property
    def busy(self) -> bool:
        """Whether anything is under way, or waits for somebody who acknowledges what it gets."""
        return any((queue.flying or queue.waiting) and not queue.stalled for queue in self._queues.values())

    def has_work_for(self, peer: str) -> bool:
        """Whether anything waits for a neighbour or is under way to it."""
        queue = self._queues.get(peer)
        return queue is not None and bool(queue.waiting or queue.flying)

    def receipted_bytes(self, peer: str) -> int:
        """What a neighbour acknowledged since it is linked."""
        queue = self._queues.get(peer)
        return 0 if queue is None else queue.receipted_bytes

    # ---- what is under way ----------------------------------------------------------------------------------------

    def train_bytes(self, chunk_bytes: int) -> int:
        """How much may leave together for one neighbour: at least a chunk, and no more where that would be a burst."""
        if self._cap is not None or self._cap_each is not None:
            return chunk_bytes
        return max(chunk_bytes, min(int(TRAIN_S * self.uplink.bps / 8), MOST_TRAIN_BYTES))

    def able(self, trains: Mapping[str, int], now_s: float) -> list[str]:
        """Those of these neighbours for whom a train of so many bytes may leave now."""
        if not trains:
            return []
        window = self._window_bytes(max(trains.values()))
        room = window - self._flying_bytes
        if room < min(trains.values()):
            return []
        busy = sum(1 for queue in self._queues.values() if queue.waiting or queue.flying) or 1
        share = 2 * window / busy

        def may(queue: _Queue, size_bytes: int) -> bool:
            fits = queue.flying_bytes + size_bytes <= max(FEWEST_FRAMES * size_bytes, share)
            return size_bytes <= room and fits and not queue.stalled and self._delay_s(queue, now_s) <= 0

        return [peer for peer, size_bytes in trains.items() if may(self._queue(peer), size_bytes)]

    def look_for_idleness(self, now_s: float) -> None:
        """After all has left that there was: whether more could be under way."""
        if not self.backlog_bytes and self._flying_bytes < self._window_bytes(0):
            self.uplink.idle(now_s)

    @property
    def _flying_bytes(self) -> int:
        return sum(queue.flying_bytes for queue in self._queues.values() if not queue.stalled)

    def depart(self, peer: str, chunk: Chunk, size_bytes: int, now_s: float, *, relay: bool) -> Departure:
        """Notes that a frame leaves now."""
        queue = self._queue(peer)
        waited = queue.waiting.get(chunk)
        self.take_back(peer, chunk)
        if not queue.flying:
            queue.heard_s = now_s
        flight = self.uplink.depart(size_bytes, now_s)
        queue.flying[chunk] = _Flying(flight, relay, again=True, times=waited.times if waited else 0)
        queue.flying_bytes += size_bytes
        self._served += 1
        queue.served = self._served
        for bucket in (self._cap, queue.bucket):
            if bucket is not None:
                bucket.take(now_s, size_bytes)
        return Departure(peer, chunk, relay)

    def next(self, now_s: float) -> list[Departure]:
        """The train to leave now, of frames that wait for one neighbour; none when it is not time."""
        most = self.train_bytes(0)
        trains = {
            peer: max(next(iter(queue.waiting.values())).size_bytes, min(queue.waiting_bytes, most))
            for peer, queue in self._queues.items()
            if queue.waiting
        }
        able = self.able(trains, now_s)
        if not able:
            return []

        def rank(peer: str) -> tuple[int, int]:
            queue = self._queues[peer]
            return self._behind(peer, next(iter(queue.waiting)).key) + len(queue.flying), queue.served

        peer = min(able, key=rank)
        queue, left_bytes = self._queues[peer], trains[peer]
        departures: list[Departure] = []
        while queue.waiting:
            chunk, waiting = next(iter(queue.waiting.items()))
            left_bytes -= waiting.size_bytes
            if left_bytes < 0:
                break
            departures.append(self.depart(peer, chunk, waiting.size_bytes, now_s, relay=waiting.relay))
        return departures

    def receipt(self, peer: str, chunk: Chunk, now_s: float) -> int | None:
        """A neighbour acknowledges a frame: its size, or ``None`` if none was under way."""
        queue = self._queues.get(peer)
        flown = queue.flying.pop(chunk, None) if queue else None
        if queue is None or flown is None:
            return None
        flight = flown.flight
        queue.flying_bytes -= flight.size_bytes
        queue.receipted_bytes += flight.size_bytes
        queue.heard_s = now_s
        queue.stalled = False
        self.uplink.receipt(flight, now_s)
        return flight.size_bytes

    # ---- time -----------------------------------------------------------------------------------------------------

    def look_for_stalled(self, now_s: float) -> None:
        """A neighbour that owes receipts for long is sent nothing more until one comes."""
        for queue in self._queues.values():
            queue.stalled = bool(queue.flying) and now_s - queue.heard_s > PATIENCE_S

    def wake_s(self, now_s: float) -> float | None:
        """When to look again although nothing happened: tokens are there, or patience is over."""
        instants = []
        for queue in self._queues.values():
            if queue.flying and not queue.stalled:
                instants.append(queue.heard_s + PATIENCE_S + 0.001)
            delay_s = self._delay_s(queue, now_s)
            if delay_s > 0:
                instants.append(now_s + delay_s)
        return min(instants, default=None)

    def _delay_s(self, queue: _Queue, now_s: float) -> float:
        if self._cap is None and queue.bucket is None:
            return 0.0  # the usual case, asked very often
        buckets = [bucket for bucket in (self._cap, queue.bucket) if bucket is not None]
        return max((bucket.delay_s(now_s) for bucket in buckets), default=0.0)

    def _window_bytes(self, size_bytes: int) -> float:
        window = self.uplink.window_bytes(self._limits.inflight_s)
        return min(max(window, FEWEST_FRAMES * size_bytes), self._limits.most_inflight_bytes)

    def _queue(self, peer: str) -> _Queue:
        if peer not in self._queues:
            self._queues[peer] = _Queue(self._cap_each() if self._cap_each else None)
        return self._queues[peer]
