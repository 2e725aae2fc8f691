"""A token bucket on given time: how much may be sent or read, and when. It never polls, and rounding never adds up.

A bucket holds ``burst_bytes`` when full and fills at a rate that may change with time. While it is not full, its
content is ``burst + integral of the rate since it was last full - bytes taken since then``: whole bytes and one
integral, whatever the number of takes in between. All questions are answered as instants, by the inverse of that
integral, so who waits until the instant it was told finds the bucket ready.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class RateSource(Protocol):
    """A rate as a function of time."""

    def bps(self, now_s: float) -> float:
        """The rate at an instant, bits a second; 0 is a pause."""
        ...

    def finish_s(self, start_s: float, n_bytes: int) -> float:
        """When ``n_bytes`` begun at ``start_s`` are through; infinite if never."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """The same rate at any time."""

    rate_bps: float

    def __post_init__(self) -> None:
        if not 0 < self.rate_bps < math.inf:
            raise ValueError(f"a rate of {self.rate_bps} bit/s is no limit that lets something through")

    def bps(self, now_s: float) -> float:
        """The rate."""
        return self.rate_bps

    def finish_s(self, start_s: float, n_bytes: int) -> float:
        """When ``n_bytes`` begun at ``start_s`` are through."""
        return start_s + n_bytes * 8 / self.rate_bps


class TokenBucket:
    """Limits whoever takes from it only while it is not in debt.

    In any span of time at most ``burst + the largest take + integral of the rate`` goes through; a busy taker gets all
    of the rate, even if it always comes late, as long as it is late by no more than the burst takes to fill.

    A sender may wait and then take: its bytes go out at the begin of their time on the link. Or it takes and then
    waits, and they go out at the end of it, as on a real link; so does a reader, which learns sizes only afterwards.
    Instants must not run backwards.
    """

    def __init__(self, rate: RateSource, burst_bytes: int) -> None:
        if burst_bytes < 0:
            raise ValueError(f"a burst of {burst_bytes} bytes is negative")
        self._rate = rate
        self._burst_bytes = burst_bytes
        self._full_s = -math.inf  # the last instant at which the bucket is known to have been full
        self._taken_bytes = 0  # since then

    def bps(self, now_s: float) -> float:
        """The rate at which the bucket fills at an instant, bits a second."""
        return self._rate.bps(now_s)

    def ready_s(self, now_s: float) -> float:
        """The first instant from ``now_s`` on without a debt; infinite if that never comes."""
        debt_bytes = self._taken_bytes - self._burst_bytes
        if debt_bytes <= 0:
            return now_s
        return max(now_s, self._rate.finish_s(self._full_s, debt_bytes))

    def delay_s(self, now_s: float) -> float:
        """Seconds from ``now_s`` until no debt is left; infinite if that never comes."""
        return self.ready_s(now_s) - now_s

    def take(self, now_s: float, n_bytes: int) -> None:
        """Takes ``n_bytes`` out, debt or not."""
        # Full at this very instant is as good as not full yet, and keeps the sum without a rounding.
        if self._taken_bytes == 0 or self._rate.finish_s(self._full_s, self._taken_bytes) < now_s:
            self._full_s = now_s
            self._taken_bytes = 0
        self._taken_bytes += n_bytes
