"""Random processes that make the 48-hour traces of a synthetic device.

Each takes a generator and returns integer samples. Their shapes are those suggested by what is published of the
device file of the FedScale fork with Bliss: bursts of network samples a few seconds apart, nine link rates with known
shares, processors 35 to 100 percent free, batteries from -1 (unknown) to 99 percent, devices away most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.trace_rules import CYCLE_S

Integers = NDArray[np.int64]

CYCLE_WHOLE_S: Final = int(CYCLE_S)
POINTS_PER_BURST: Final = 20
STEP_RANGE_S: Final = (5, 7)
COMPUTE_SPACING_S: Final = 60

AVAILABILITY_RANGE: Final = (35, 100)
AVAILABILITY_CENTRE: Final = 60.0
AVAILABILITY_PULL: Final = 0.1
AVAILABILITY_STEP: Final = 7.0

BATTERY_FULL: Final = 99.0
BATTERY_UNKNOWN_SHARE: Final = 0.01
CHARGING_SHARE: Final = 0.15

NEVER_ACTIVE_SHARE: Final = 0.02
ACTIVE_SHARE: Final = 0.38
ACTIVE_SPREAD: Final = 1.5
MOST_INTERVALS: Final = 8
SHORTEST_INTERVAL_S: Final = 60


def burst_stamps(random: np.random.Generator, points: int) -> tuple[Integers, NDArray[np.bool_]]:
    """Instants of network samples, strictly ascending, and which of them begin a burst; both ``(points,)``.

    A point begins a burst with probability 1 / 20, and otherwise follows the one before by 5 to 7 s. Bursts arrive as
    a Poisson process with dead time: given their number, uniformly in the time that they leave free.
    """
    begins = random.random(points) < 1 / POINTS_PER_BURST
    begins[0] = True
    steps_s = random.integers(STEP_RANGE_S[0], STEP_RANGE_S[1] + 1, points)
    occupied_s = np.cumsum(steps_s) - steps_s
    free_s = CYCLE_WHOLE_S - int(occupied_s[-1]) - STEP_RANGE_S[1]
    arrivals_s = np.sort(random.integers(0, free_s, int(begins.sum())))
    return arrivals_s[np.cumsum(begins) - 1] + occupied_s, begins


class LinkRateChain:
    """A first-order Markov chain over ascending link rates that moves to a neighbour or stays.

    It is the Metropolis chain (Metropolis et al. 1953) of a fair step up or down: accepted with probability
    ``min(1, share of the neighbour / own share)``, so its stationary distribution is exactly the given shares.
    """

    def __init__(self, shares: Sequence[float]) -> None:
        self.stationary = np.asarray(shares, dtype=np.float64) / sum(shares)
        ratio = self.stationary[1:] / self.stationary[:-1]
        self.up = np.append(0.5 * np.minimum(1.0, ratio), 0.0)
        self.down = np.append(0.0, 0.5 * np.minimum(1.0, 1.0 / ratio))

    def transitions(self) -> NDArray[np.float64]:
        """The matrix ``(rates, rates)``: probability of going from the row's rate to the column's."""
        matrix = np.diag(self.up[:-1], 1) + np.diag(self.down[1:], -1)
        return matrix + np.diag(1.0 - matrix.sum(axis=1))

    def walk(self, random: np.random.Generator, begins: NDArray[np.bool_]) -> list[int]:
        """Index of the rate at each point; where a burst begins it is drawn afresh from the stationary distribution."""
        draws = random.random(len(begins))
        fresh = np.searchsorted(np.cumsum(self.stationary), draws, side="right").clip(max=len(self.up) - 1)
        up, down_from = self.up.tolist(), (1.0 - self.down).tolist()
        states: list[int] = []
        state = 0
        for draw, anew, begin in zip(draws.tolist(), fresh.tolist(), begins.tolist(), strict=True):
            if begin:
                state = anew
            elif draw < up[state]:
                state += 1
            elif draw >= down_from[state]:
                state -= 1
            states.append(state)
        return states


def spread_stamps(random: np.random.Generator, points: int) -> Integers:
    """Instants of compute samples ``(points,)``: uniform over the cycle, at least a minute apart."""
    free_s = CYCLE_WHOLE_S - points * COMPUTE_SPACING_S
    return np.sort(random.integers(0, free_s, points)) + COMPUTE_SPACING_S * np.arange(points, dtype=np.int64)


def availability_walk(random: np.random.Generator, points: int) -> list[int]:
    """Percent of the processor that is free: a random walk pulled towards 60, held within 35 and 100."""
    least, most = AVAILABILITY_RANGE
    noise = (AVAILABILITY_STEP * random.standard_normal(points)).tolist()
    level = float(random.integers(least, most + 1))
    levels = []
    for step in noise:
        level += AVAILABILITY_PULL * (AVAILABILITY_CENTRE - level) + step
        level = min(max(level, least), most)
        levels.append(round(level))
    return levels


def battery_sawtooth(random: np.random.Generator, stamps_s: Integers) -> Integers:
    """Battery level in percent at each stamp, or -1 where it is unknown.

    One to three times a cycle it falls evenly from 99 to a low of the device's own, then is charged again.
    """
    charges = int(random.integers(1, 4))
    low = float(random.uniform(0.0, 50.0))
    phase = (stamps_s * charges / CYCLE_S + random.random()) % 1.0
    drained = np.where(phase < 1 - CHARGING_SHARE, phase / (1 - CHARGING_SHARE), (1 - phase) / CHARGING_SHARE)
    levels = np.rint(BATTERY_FULL - (BATTERY_FULL - low) * drained).astype(np.int64)
    return np.where(random.random(len(stamps_s)) < BATTERY_UNKNOWN_SHARE, -1, levels)


def activity_boundaries(random: np.random.Generator) -> tuple[list[int], list[int]]:
    """Instants at which a device begins to take part, and at which it stops, as the published file writes them.

    2 % of all devices never take part; their first list is empty. The others have 1 to 8 intervals a cycle (one more
    in the list where an interval spans its end), of lengths divided at random, that cover a share drawn from a Beta
    distribution. Over all devices the share averages 38 %.
    """
    if random.random() < NEVER_ACTIVE_SHARE:
        return [], [0]
    mean = ACTIVE_SHARE / (1 - NEVER_ACTIVE_SHARE)
    share = random.beta(ACTIVE_SPREAD, ACTIVE_SPREAD * (1 / mean - 1))
    count = int(random.integers(1, MOST_INTERVALS + 1))
    least_s = count * SHORTEST_INTERVAL_S
    active_s = min(max(int(share * CYCLE_S), least_s), CYCLE_WHOLE_S - least_s)
    begin, stop = [], []
    instant_s = int(random.integers(0, CYCLE_WHOLE_S))
    absences_s = _divided(random, CYCLE_WHOLE_S - active_s, count)
    for presence_s, absence_s in zip(_divided(random, active_s, count), absences_s, strict=True):
        begin.append(instant_s % CYCLE_WHOLE_S)
        stop.append((instant_s + presence_s) % CYCLE_WHOLE_S)
        instant_s += presence_s + absence_s
    return _with_phase_at_zero(sorted(begin), sorted(stop))


def _with_phase_at_zero(begin: list[int], stop: list[int]) -> tuple[list[int], list[int]]:
    """Says the phase at 0 in the list it belongs to, unless a boundary lies there already."""
    if min(begin[0], stop[0]) == 0:
        return begin, stop
    return (begin, [0, *stop]) if begin[0] < stop[0] else ([0, *begin], stop)


def _divided(random: np.random.Generator, total_s: int, pieces: int) -> list[int]:
    """A length cut at random into pieces of at least a minute."""
    free_s = total_s - pieces * SHORTEST_INTERVAL_S
    cuts = [0, *sorted(random.integers(0, free_s + 1, pieces - 1).tolist()), free_s]
    return [after - before + SHORTEST_INTERVAL_S for before, after in pairwise(cuts)]
