"""How fast this peer can send, and so how much it may have under way: known, or estimated from receipts.

A window of unacknowledged bytes that is too small leaves the uplink idle between receipts; one that is too large fills
buffers on the way, so that whatever is decided later (a repair, a theft at the end of a broadcast) comes late. The
right size is the rate times a fixed time, so everything hangs on the rate. Averages of what was sent are of no use:
they include the times when there was nothing to send, give a smaller window, and so a smaller average. What works is
BBR's idea (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 2016): each receipt tells how much
was delivered while its frame was under way, and the *maximum* of these rates over the last seconds is the rate of the
bottleneck, as long as the window is allowed to be somewhat larger than that maximum says.

One thing differs. A maximum picks the luckiest sample, and on a busy host luck is large: receipts that waited for a
process to be scheduled are read all at once, and the frames that leave in between seem to fly two or three times as
fast as they can. So what counts is what was delivered in 0.4 s; shorter samples are good enough for the first second.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Flight:
    """A frame under way, with what was delivered by everybody when it left."""

    sent_s: float
    size_bytes: int
    delivered_bytes: int
    delivered_s: float
    starved: bool = False
    """Whether it left while too little was under way: then its rate says nothing about the uplink."""
    earlier_s: float = 0.0
    """When the frame left that was delivered last at that time."""


class UplinkEstimate(Protocol):
    """The rate of an uplink."""

    @property
    def bps(self) -> int:
        """Bits a second, 0 as long as nothing is known."""
        ...

    def window_bytes(self, inflight_s: float) -> float:
        """How much may be under way without a receipt to keep the uplink busy for ``inflight_s``."""
        ...

    def depart(self, size_bytes: int, now_s: float) -> Flight:
        """Notes that a frame leaves."""
        ...

    def idle(self, now_s: float) -> None:
        """Notes that nothing is left to be sent although more could be under way."""
        ...

    def receipt(self, flight: Flight, now_s: float) -> None:
        """Notes that a frame arrived."""
        ...


class KnownUplink:
    """A rate that somebody told: a device profile, a configuration, a shaped link."""

    def __init__(self, bps: int) -> None:
        self._bps = bps

    @property
    def bps(self) -> int:
        """As told."""
        return self._bps

    def window_bytes(self, inflight_s: float) -> float:
        """The rate times the time."""
        return self._bps / 8 * inflight_s

    def depart(self, size_bytes: int, now_s: float) -> Flight:
        """Nothing is learnt from it."""
        return Flight(now_s, size_bytes, 0, now_s)

    def idle(self, now_s: float) -> None:
        """Nothing is learnt from it."""

    def receipt(self, flight: Flight, now_s: float) -> None:
        """Nothing is learnt from it."""


class MeasuredUplink:
    """The windowed maximum of delivery rates, with BBR's start: the window doubles until the rate grows no more."""

    MEMORY_S: Final = 5.0
    MEMORY_OF_FLIGHTS_S: Final = 1.0
    SPAN_S: Final = 0.4
    FIRST_WINDOW_BYTES: Final = 128 * 1024
    START_GAIN: Final = 2.0
    CRUISE_GAIN: Final = 1.1
    GROWTH: Final = 1.25
    ROUNDS_WITHOUT_GROWTH: Final = 3
    LONG_FLIGHT_S: Final = 0.35

    def __init__(self) -> None:
        self._departed_bytes = 0
        self._delivered_bytes = 0
        self._delivered_s = 0.0
        self._samples: deque[tuple[float, float]] = deque()  # (instant, bytes a second), rates descending
        self._delivered_sent_s = 0.0
        self._deliveries: deque[tuple[float, int]] = deque()  # (instant, delivered by then) of the last span
        self._starved_s = -math.inf
        self._starved_until_bytes = 0
        self._knows_spans = False
        self._starting = True
        self._full_rate = 0.0
        self._stale_rounds = 0
        self._round_ends_at_bytes = 0

    @property
    def bps(self) -> int:
        """The largest rate of the last seconds."""
        return round(8 * self._samples[0][1]) if self._samples else 0

    def window_bytes(self, inflight_s: float) -> float:
        """The rate times the time, and a gain that lets a larger rate show."""
        gain = self.START_GAIN if self._starting else self.CRUISE_GAIN
        return max(self.FIRST_WINDOW_BYTES, gain * self.bps / 8 * inflight_s)

    def depart(self, size_bytes: int, now_s: float) -> Flight:
        """Remembers what was delivered by now, to see later what was delivered meanwhile."""
        if self._delivered_s == 0.0:
            self._delivered_s = self._delivered_sent_s = now_s
        if not self._deliveries:
            self._deliveries.append((now_s, 0))
        self._departed_bytes += size_bytes
        starved = self._delivered_bytes < self._starved_until_bytes
        return Flight(
            now_s, size_bytes, self._delivered_bytes, self._delivered_s, starved, earlier_s=self._delivered_sent_s
        )

    def idle(self, now_s: float) -> None:
        """What is under way is too little to tell the rate, and so is what leaves before all of it has arrived."""
        self._starved_s = now_s
        self._starved_until_bytes = self._departed_bytes

    def receipt(self, flight: Flight, now_s: float) -> None:
        """One sample: what was delivered in a span of time, or at first while this frame was under way."""
        self._delivered_bytes += flight.size_bytes
        self._delivered_s = now_s
        self._delivered_sent_s = max(self._delivered_sent_s, flight.sent_s)
        self._sample_span(now_s)
        if not self._knows_spans:
            self._sample_flight(flight, now_s)
        self._look_for_growth(flight, now_s)

    def _sample_span(self, now_s: float) -> None:
        self._deliveries.append((now_s, self._delivered_bytes))
        while self._deliveries[1][0] <= now_s - self.SPAN_S:
            self._deliveries.popleft()
        since_s, before_bytes = self._deliveries[0]
        if now_s - since_s < self.SPAN_S:
            return
        self._knows_spans = True
        rate = (self._delivered_bytes - before_bytes) / (now_s - since_s)
        self._take(rate, now_s, starved=self._starved_s >= since_s)

    def _sample_flight(self, flight: Flight, now_s: float) -> None:
        """Delivered since the frame left, over the time that this took, or that sending it took if that was longer."""
        elapsed_s = max(now_s - min(flight.sent_s, flight.delivered_s), flight.sent_s - flight.earlier_s)
        if elapsed_s > 0:
            rate = (self._delivered_bytes - flight.delivered_bytes) / elapsed_s
            self._take(rate, now_s - (self.MEMORY_S - self.MEMORY_OF_FLIGHTS_S), starved=flight.starved)

    def _take(self, rate: float, now_s: float, *, starved: bool) -> None:
        """A rate reached when there was not enough to send is a lower bound."""
        if starved and self._samples and rate <= self._samples[0][1]:
            return
        while self._samples and self._samples[-1][1] <= rate:
            self._samples.pop()
        self._samples.append((now_s, rate))
        while self._samples[0][0] < now_s - self.MEMORY_S:
            self._samples.popleft()

    def _look_for_growth(self, flight: Flight, now_s: float) -> None:
        """Once a round trip: the start is over when the rate no longer grows by a quarter.

        So it is when a frame was under way for so long that it must have waited in a queue of our making.
        """
        if not self._starting or flight.delivered_bytes < self._round_ends_at_bytes or flight.starved:
            return
        self._round_ends_at_bytes = self._delivered_bytes
        rate = self._samples[0][1] if self._samples else 0.0
        if rate >= self._full_rate * self.GROWTH:
            self._full_rate, self._stale_rounds = rate, 0
        else:
            self._stale_rounds += 1
        queued = now_s - flight.sent_s > self.LONG_FLIGHT_S
        self._starting = self._stale_rounds < self.ROUNDS_WITHOUT_GROWTH and not queued
