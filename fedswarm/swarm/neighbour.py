"""A linked peer: who wants what of whom, what it owes us, how it has behaved, and whether to ask it now."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from fedswarm.swarm.manifest import Key
from fedswarm.swarm.pace import Pace

INTERESTS_REMEMBERED: Final = 4096
UNDER_WAY_S: Final = 30.0
"""Frames sent before we said that we want nothing more arrive within this time."""


@dataclass(slots=True)
class Asked:
    """A request not yet answered; ``released`` once others may be asked for the same chunk."""

    sent_s: float
    size_bytes: int
    released: bool = False


@dataclass(slots=True)
class Neighbour:
    """State of one link.

    BitTorrent's four flags are ``am_choking``, ``peer_choking``, ``am_interested`` and ``peer_interested``; interest
    is kept for each set of weights.
    """

    name: str
    target: str
    uplink_bps: int
    linked_s: float
    pace: Pace
    heard_s: float = 0.0
    """When it last said or sent anything."""
    said_s: float = 0.0
    """When we last said anything to it."""
    am_choking: bool = True
    peer_choking: bool = True
    wanted_here: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    """Weights it is interested in."""
    wanted_there: set[Key] = field(default_factory=set)
    """Weights we told it we are interested in."""
    wanted_lately: dict[Key, float] = field(default_factory=dict)
    """Weights that we told it we are no longer interested in, and when."""
    asked: dict[tuple[Key, int], Asked] = field(default_factory=dict)
    asked_bytes: int = 0
    cancelled: set[tuple[Key, int]] = field(default_factory=set)
    """Requests taken back whose frames may be under way."""
    answered_s: float = 0.0
    """When it last answered, or was first asked."""
    stalled: bool = False
    """Whether it owes answers for too long to be asked for more."""
    given_up: bool = False
    """Whether it stalled for so long that only a sign from itself has it asked again."""
    backlog_bytes: int = 0
    """What waits for its uplink, as it says."""
    told_bps: int = 0
    """How fast we told it that our uplink is."""
    charged_us: bool = False
    """Whether it gave us chunks to relay since it was last told what waits for our uplink."""
    news: dict[Key, int] = field(default_factory=dict)
    """From which of the chunks that arrived here on it was told of none yet."""
    used_s: float = 0.0
    """When the link was last seen to be of use, though the topology does without it."""
    released_here: bool = False
    """Whether we told it that we can do without the link."""
    released_there: bool = False
    """Whether it told us so."""
    strays: int = 0
    """Frames of chunks that nobody here wants, beyond those that a request or a wish of ours explains."""
    repeats: dict[tuple[Key, int], int] = field(default_factory=dict)
    """How often chunks came in vain that it may have sent in good faith."""

    @property
    def am_interested(self) -> bool:
        """Whether we want something it may have."""
        return bool(self.wanted_there)

    @property
    def peer_interested(self) -> bool:
        """Whether it wants something we may have."""
        return bool(self.wanted_here)

    @property
    def load(self) -> float:
        """Share of the window in use."""
        return self.asked_bytes / self.pace.window_bytes

    def may_ask(self, size_bytes: int) -> bool:
        """Whether one more chunk of this size may be asked for."""
        if self.peer_choking or self.stalled:
            return False
        return self.asked_bytes == 0 or self.asked_bytes + size_bytes <= self.pace.window_bytes

    def ask(self, key: Key, index: int, size_bytes: int, now_s: float) -> None:
        """Notes a request."""
        if not self.asked:
            self.answered_s = now_s
        self.asked[key, index] = Asked(now_s, size_bytes)
        self.asked_bytes += size_bytes
        self.cancelled.discard((key, index))

    def forget_repeats(self, key: Key) -> None:
        """What it sends of these weights from now on is counted anew."""
        self.repeats = {chunk: count for chunk, count in self.repeats.items() if chunk[0] != key}

    def take_back(self, key: Key, index: int) -> Asked | None:
        """Notes that no answer is expected any more; ``None`` means that nobody asked."""
        asked = self.asked.pop((key, index), None)
        if asked is not None:
            self.asked_bytes -= asked.size_bytes
        return asked

    def take_answer(self, key: Key, index: int, now_s: float) -> Asked | None:
        """Notes an answer; ``None`` means that nobody asked."""
        asked = self.take_back(key, index)
        if asked is not None:
            self.answered_s = now_s
        return asked

    def stop_wanting(self, key: Key, now_s: float) -> None:
        """Notes that it was told that we want nothing more of these weights."""
        self.wanted_there.discard(key)
        self.wanted_lately = {key: at_s for key, at_s in self.wanted_lately.items() if at_s > now_s - UNDER_WAY_S}
        self.wanted_lately[key] = now_s

    def may_think_wanted(self, key: Key, now_s: float) -> bool:
        """Whether it sent frames of these weights in good faith: by what we told it, we want or wanted them."""
        return key in self.wanted_there or self.wanted_lately.get(key, -UNDER_WAY_S) > now_s - UNDER_WAY_S

    def silent_s(self, now_s: float) -> float:
        """Seconds since it last answered or was first asked; 0 when it owes nothing."""
        return now_s - self.answered_s if self.asked else 0.0

    def remember_wish(self, key: Key) -> None:
        """Keeps the latest wishes only, so a hostile peer cannot fill our memory."""
        self.wanted_here[key] = None
        self.wanted_here.move_to_end(key)
        while len(self.wanted_here) > INTERESTS_REMEMBERED:
            self.wanted_here.popitem(last=False)
