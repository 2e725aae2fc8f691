"""How many clients that were never tried to explore, and which (Algorithm 1, "Exploration"; section 4.3).

The share explored decays by a constant factor every round until its floor.

Deviations. The paper samples by speed, guessed from the kind of device, and leaves open how to weigh computing against
transfers: ``paper`` takes their geometric mean, which depends on no unit. Where nothing is known of the devices, and
with ``reference`` always, all are sampled alike. The authors' code has each client's simulated duration before it was
ever tried and weighs by it and by the number of samples, of which the paper says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def device_speed(profiles: Mapping[str, NDArray[Any]]) -> Floats:
    """Geometric mean of the speeds that device profiles give for computing (GFLOP/s) and for transfers (Mb/s)."""
    compute_gflops = (profiles["cpu_flops"] + profiles["gpu_flops"]) / 1e9
    speed: Floats = np.sqrt(compute_gflops * profiles["peak_throughput_mbps"])
    return speed


def explore(draws: np.random.Generator, speeds: Floats, count: int) -> Positions:
    """Draws ``count`` clients, at most as many as there are, in proportion to their speeds.

    Uniformly if the speed of any is unknown (NaN).
    """
    if np.isnan(speeds).any():
        return draws.choice(len(speeds), count, replace=False)
    return draw_weighted(draws, speeds, count)
