"""Time as an argument: cores take instants, shells own a :class:`Clock`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock in seconds; its zero means nothing."""

    def now_s(self) -> float:
        """The present instant."""
        ...


class WallClock:
    """The machine's monotonic clock."""

    def now_s(self) -> float:
        """Seconds since some fixed moment of this boot."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told; for tests and simulations."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        """Seconds set so far."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Moves time forward."""
        if seconds < 0:
            raise ValueError(f"time does not run backwards: advance({seconds})")
        self._now_s += seconds
