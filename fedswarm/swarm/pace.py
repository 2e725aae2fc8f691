"""How fast one holder answers: how much to ask of it at once, and when its silence means trouble."""

from __future__ import annotations

from typing import Final

from fedswarm.swarm.chunks import KIB

# The queue a holder may build for us, in seconds of its own pace: enough to keep a link full, little enough that a
# chunk can still be had elsewhere when the holder turns slow.
QUEUE_TARGET_S: Final = 0.2
FIRST_WINDOW_BYTES: Final = 128 * KIB
FIRST_TIMEOUT_S: Final = 3.0
MIN_TIMEOUT_S: Final = 1.0
MAX_TIMEOUT_S: Final = 15.0

_LATE_FACTOR: Final = 1.5
_LATE_MARGIN_S: Final = 0.1


class Pace:
    """Estimates from the response times of one holder.

    The window grows by each arrival (doubling every round trip, as TCP's slow start) while answers come within the
    target, and shrinks when they take twice as long. The time-out is Jacobson's: ``srtt + 4 rttvar`` (RFC 6298).
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._deviation_s = 0.0
        self.window_bytes = min(FIRST_WINDOW_BYTES, limit_bytes)
        self.response_s: float | None = None

    @property
    def timeout_s(self) -> float:
        """Seconds of silence, with requests outstanding, after which the holder counts as stalled."""
        if self.response_s is None:
            return FIRST_TIMEOUT_S
        return min(max(self.response_s + 4 * self._deviation_s, MIN_TIMEOUT_S), MAX_TIMEOUT_S)

    def overdue(self, waited_s: float) -> bool:
        """Whether an answer keeps us waiting much longer than this holder's answers do."""
        if self.response_s is None:
            return False
        return waited_s > _LATE_FACTOR * (self.response_s + 4 * self._deviation_s) + _LATE_MARGIN_S

    def arrived(self, response_s: float, payload_bytes: int) -> None:
        """Learns from one answer: seconds since it was asked for, and its size."""
        if self.response_s is None:
            self.response_s, self._deviation_s = response_s, response_s / 2
        else:
            self._deviation_s += (abs(response_s - self.response_s) - self._deviation_s) / 4
            self.response_s += (response_s - self.response_s) / 8
        if response_s <= QUEUE_TARGET_S:
            self.window_bytes = min(self.window_bytes + payload_bytes, self._limit_bytes)
        elif response_s > 2 * QUEUE_TARGET_S:
            self.window_bytes = max(self.window_bytes - payload_bytes // 2, 2 * payload_bytes)
