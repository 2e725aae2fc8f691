"""How many clients are to be explored, and which (Algorithm 1, "Exploration"; section 4.3).

The share explored decays by a constant factor every round until its floor. Never tried means: never was a success, so
nothing is known of the client's utility. ``paper`` samples such clients "by speed": those known to be slower than T are
penalised like tried ones. ``reference`` samples uniformly, and counts a straggler as tried.

Deviation: the authors' code weighs clients by their number of samples as well, of which the paper says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedswarm.selection.contract import Floats
from fedswarm.selection.weighted_draw import Positions, draw_weighted


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


def explore(draws: np.random.Generator, weights: Floats, count: int) -> Positions:
    """Draws ``count`` clients in proportion to their weights."""
    if len(weights) and weights.min() == weights.max():
        return draws.choice(len(weights), min(count, len(weights)), replace=False)
    return draw_weighted(draws, weights, count)
