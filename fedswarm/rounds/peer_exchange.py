"""One exchange at one peer: whose weights are being fetched, whose are there, and until when it waits."""

from __future__ import annotations

from enum import Enum


class FetchEnd(Enum):
    """How a fetch ended."""

    COMPLETE = "complete"
    EXPIRED = "expired"
    """At its deadline, with a part of the chunks."""
    FAILED = "failed"
    """Whoever had the rest is gone, or what came could not be used; a part may be there."""


class PeerExchange:
    """Exchange ``index``, whose deadline is the instant ``deadline_s``."""

    def __init__(self, index: int, deadline_s: float) -> None:
        self.index = index
        self.deadline_s = deadline_s
        self.is_extended = False
        self._running: set[str] = set()
        self._ends: dict[str, FetchEnd] = {}

    @property
    def sources(self) -> set[str]:
        """Whose weights were or are being fetched."""
        return self._running | self._ends.keys()

    @property
    def complete(self) -> set[str]:
        """Whose weights are there as a whole."""
        return {peer for peer, end in self._ends.items() if end is FetchEnd.COMPLETE}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being fetched and nothing could be."""
        return not self._running and FetchEnd.EXPIRED not in self._ends.values()

    def begin(self, peer: str) -> None:
        """The weights of a peer are being fetched."""
        self._ends.pop(peer, None)
        self._running.add(peer)

    def end(self, peer: str, end: FetchEnd) -> None:
        """A fetch ended."""
        self._running.discard(peer)
        self._ends[peer] = end

    def extend(self, by_s: float) -> None:
        """Too little is there: a second deadline follows the first."""
        self.deadline_s += by_s
        self.is_extended = True

    def expired(self) -> list[str]:
        """Whose fetches were ended by the first deadline, for another try."""
        return sorted(peer for peer, end in self._ends.items() if end is FetchEnd.EXPIRED)
