"""Whose requests are answered: few at a time, so that chunks are complete soon and multiply.

In a cluster everybody obeys one owner, so nobody has to be made to reciprocate, as BitTorrent's choker does. What is
left of it is what makes swarms fast: serve those that take chunks fastest, since they pass them on soonest, and always
one drawn at random, so that newcomers and the slow get their turn (the optimistic unchoke).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from fedswarm.randomness import generator


@dataclass(frozen=True, slots=True)
class Candidate:
    """A neighbour that wants something, and how many bytes it took from us since the last decision."""

    peer: str
    taken_bytes: int
    unchoked: bool


@dataclass(slots=True)
class Choker:
    """Decides again and again who of the interested is unchoked; ``draws`` names this peer's own random numbers."""

    slots: int
    optimistic_rechokes: int
    seed: int
    draws: str
    _decisions: int = 0
    _optimistic: str = field(default="")

    def decide(self, interested: Collection[Candidate]) -> set[str]:
        """Who is answered until the next decision."""
        self._decisions += 1
        if len(interested) <= self.slots:
            return {candidate.peer for candidate in interested}
        fastest = sorted(interested, key=lambda one: (-one.taken_bytes, not one.unchoked, one.peer))
        chosen = {candidate.peer for candidate in fastest[: self.slots - 1]}
        others = sorted(candidate.peer for candidate in fastest[self.slots - 1 :])
        if self._optimistic not in others or self._decisions % self.optimistic_rechokes == 0:
            waiting = [peer for peer in others if peer != self._optimistic] or others
            draw = generator(self.seed, self._decisions, f"optimistic unchoke at {self.draws}")
            self._optimistic = waiting[int(draw.integers(len(waiting)))]
        return {*chosen, self._optimistic}

    def has_room(self, unchoked: int) -> bool:
        """Whether one more may be answered at once, without waiting for the next decision."""
        return unchoked < self.slots
