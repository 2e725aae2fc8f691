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
    """An exchange whose deadline is the instant ``deadline_s``."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self.is_extended = False
        self._running: set[str] = set()
        self._deadlines: dict[str, float] = {}  # of each peer's last fetch
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
        """Whether nothing is being fetched, and no more is to be had of what was."""
        return not self._running and FetchEnd.EXPIRED not in self._ends.values()

    def begin(self, peer: str) -> None:
        """The weights of a peer are being fetched, until the deadline as it stands."""
        self._deadlines[peer] = self.deadline_s
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

    def cut_short(self) -> list[str]:
        """Whose fetches a deadline ended that is not the last any more: there is time for the rest."""
        expired = (peer for peer, end in self._ends.items() if end is FetchEnd.EXPIRED)
        return sorted(peer for peer in expired if self._deadlines[peer] < self.deadline_s)
