"""A peer as somebody to ask for chunks: what it owes us, how it has behaved, and whether to ask it now."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from fedswarm.swarm.manifest import Key
from fedswarm.swarm.pace import Pace

_INTERESTS_REMEMBERED: Final = 64
_FIRST_RETRY_S: Final = 0.05
_LAST_RETRY_S: Final = 2.0


@dataclass(slots=True)
class Asked:
    """A request not yet answered; ``released`` once others may be asked for the same chunk."""

    sent_s: float
    size_bytes: int
    released: bool = False


@dataclass(slots=True)
class Holder:
    """State of the data stream to one peer, and of the control link if there is one."""

    name: str
    pace: Pace
    linked_s: float | None = None
    asked: dict[tuple[Key, int], Asked] = field(default_factory=dict)
    asked_bytes: int = 0
    interests: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    stalled: bool = False
    failures: int = 0
    retry_s: float = 0.0
    heard_s: float = 0.0

    @property
    def load(self) -> float:
        """Share of the window in use."""
        return self.asked_bytes / self.pace.window_bytes

    def may_ask(self, now_s: float, size_bytes: int) -> bool:
        """Whether one more chunk of this size may be asked for."""
        room = self.asked_bytes == 0 or self.asked_bytes + size_bytes <= self.pace.window_bytes
        return room and not self.stalled and now_s >= self.retry_s

    def ask(self, key: Key, index: int, size_bytes: int, now_s: float) -> None:
        """Notes a request."""
        if not self.asked:
            self.heard_s = now_s
        self.asked[key, index] = Asked(now_s, size_bytes)
        self.asked_bytes += size_bytes

    def answered(self, key: Key, index: int, now_s: float) -> Asked | None:
        """Notes an answer; ``None`` means that nobody asked."""
        asked = self.asked.pop((key, index), None)
        if asked is not None:
            self.asked_bytes -= asked.size_bytes
            self.heard_s = now_s
            self.stalled = False
            self.failures = 0
        return asked

    def stream_lost(self, now_s: float) -> None:
        """Nothing asked will come; the next attempt waits twice as long as the last."""
        self.asked.clear()
        self.asked_bytes = 0
        self.stalled = False
        self.retry_s = now_s + min(_FIRST_RETRY_S * 2**self.failures, _LAST_RETRY_S)
        self.failures += 1
        self.pace.restart()

    def silent_s(self, now_s: float) -> float:
        """Seconds since it last answered or was first asked; 0 when it owes nothing."""
        return now_s - self.heard_s if self.asked else 0.0

    def remember_interest(self, key: Key) -> None:
        """Keeps the latest interests only, so a hostile peer cannot fill our memory."""
        self.interests[key] = None
        self.interests.move_to_end(key)
        while len(self.interests) > _INTERESTS_REMEMBERED:
            self.interests.popitem(last=False)
