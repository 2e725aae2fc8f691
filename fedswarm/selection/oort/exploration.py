"""How many clients are to be explored (Algorithm 1, "Exploration"; section 4.3).

The share explored decays by a constant factor every round until its floor.

Deviation. The paper samples clients that were never tried "by speed", as a guess from their kind of device. Durations
are first known when a client was tried, and nothing else is assumed here, so they are sampled uniformly, as in the
reference. The authors' code weighs them by their number of samples, of which the paper says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ExplorationSchedule:
    """Share of the participants to explore: ``max(floor, factor decay^R)`` in round R, from 1."""

    factor: float
    decay: float
    floor: float

    def share(self, round_number: int) -> float:
        """The share in that round; it decays before it is used first, as in the authors' code."""
        return max(self.floor, self.factor * self.decay**round_number)

    def split(self, round_number: int, count: int, untried: int, tried: int) -> tuple[int, int]:
        """How many of ``count`` to explore and to exploit; either fills up what the other cannot provide."""
        explore = min(math.floor(count * self.share(round_number)), untried)
        exploit = min(count - explore, tried)
        return min(count - exploit, untried), exploit
