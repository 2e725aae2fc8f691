"""Whose weights a peer waits for: those of the peers that it believes alive."""

from __future__ import annotations

from collections.abc import Iterable, Set


class ExpectedPeers:
    """What one peer knows of the others.

    A peer is believed alive from when it offers weights until it takes leave, or is *silent*: a whole exchange ends
    without its offer. Whoever offers something again is alive again. Weights (sample counts, say) are
    those last offered; of a peer that never offered any, the mean of those known.

    Args:
        own_weight: of this peer.
        founders: the other peers that begin the job together, believed alive from the beginning.
    """

    def __init__(self, own_weight: int, founders: Iterable[str] = ()) -> None:
        self.alive: set[str] = set(founders)
        self._own_weight = own_weight
        self._weights: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._refused: set[str] = set()

    @property
    def newest(self) -> int:
        """The latest exchange that anybody alive offered weights for; -1 before the first offer."""
        return max((self._newest.get(peer, -1) for peer in self.alive), default=-1)

    def met(self, peer: str) -> None:
        """A founder became known."""
        if peer not in self._refused:
            self.alive.add(peer)

    def offered(self, peer: str, exchange: int, weight: int) -> bool:
        """A peer offers weights for an exchange; returns whether it is listened to."""
        if peer in self._refused:
            return False
        self.alive.add(peer)
        self._weights[peer] = weight
        self._newest[peer] = max(exchange, self._newest.get(peer, -1))
        return True

    def left(self, peer: str) -> None:
        """A peer took leave."""
        self.alive.discard(peer)

    def refuse(self, peer: str) -> None:
        """A peer is not listened to any more."""
        self._refused.add(peer)
        self.alive.discard(peer)

    def drop_silent(self, exchange: int) -> None:
        """The exchange is over: who offered neither for it nor for a later one is no longer believed alive."""
        self.alive = {peer for peer in self.alive if self._newest.get(peer, -1) >= exchange}

    def drop_unheard(self, linked: Set[str]) -> None:
        """Who never offered anything and is not linked is no longer believed alive: the founders of long ago."""
        self.alive = {peer for peer in self.alive if peer in self._newest or peer in linked}

    def awaited(self, exchange: int) -> set[str]:
        """Who has still to offer for an exchange: not those who are further already and skipped it."""
        return {peer for peer in self.alive if self._newest.get(peer, -1) < exchange}

    def weight(self, peers: Iterable[str]) -> int:
        """What these peers and this one weigh together, at least 1."""
        known = [self._own_weight, *self._weights.values()]
        usual = round(sum(known) / len(known))
        return self._own_weight + sum(self._weights.get(peer, usual) for peer in peers)
