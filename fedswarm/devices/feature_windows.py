"""What Bliss knows of a device's last hours: the last five samples of its link rate, availability and battery level.

Five *samples*, not five spans of time: network samples lie seconds apart and compute samples up to hours, so the two
windows reach back differently far. The published system (the FedScale fork with Bliss) takes them so, and so do we.

Going back from the newest sample, cyclically, a sample counts if the device was active half-way between it and the
next one; otherwise the last one that counted stands in its place. Half-way across the cycle's start lies 24 hours off
the mean of the two stamps. Before its first stamp a series is in the last sample of the cycle before (the time model
has the first value there, :mod:`fedswarm.devices.traces`; the difference is the published system's).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.population import Population
from fedswarm.devices.ragged import Offsets, Rows, last_not_after, lengths_of
from fedswarm.devices.trace_rules import CYCLE_S
from fedswarm.devices.variation import varied
from fedswarm.devices.world import ClientIds

WINDOWS: Final = 5


@dataclass(frozen=True, eq=False)
class FeatureWindows:
    """The last samples of each series, oldest first: float32 ``(clients, 5)``; Mb/s of 54, percent and percent."""

    rate: NDArray[np.float32]
    availability: NDArray[np.float32]
    battery_level: NDArray[np.float32]

    def stacked(self) -> NDArray[np.float32]:
        """All three side by side: ``(clients, 15)``, rates first, then availabilities, then battery levels."""
        return np.concatenate([self.rate, self.availability, self.battery_level], axis=1)


def feature_windows(population: Population, client_ids: ClientIds, now_s: float, seed: int) -> FeatureWindows:
    """The windows of some clients at virtual instant ``now_s``; ids beyond the table have their own variation."""
    rows = client_ids % len(population)
    in_cycle = np.full(len(rows), np.mod(now_s, CYCLE_S))
    network = _last_samples(population.network_offsets, population.network["network_stamps_s"], rows, in_cycle)
    compute = _last_samples(population.compute_offsets, population.compute["compute_stamps_s"], rows, in_cycle)
    offsets = np.arange(len(rows) + 1, dtype=np.int64) * WINDOWS
    samples = varied(
        replace(
            population,
            speeds={},
            texts={},
            network_offsets=offsets,
            network={name: column[network.ravel()] for name, column in population.network.items()},
            compute_offsets=offsets,
            compute={name: column[compute.ravel()] for name, column in population.compute.items()},
            activity=population.activity.take(rows),
        ),
        client_ids,
        len(population),
        seed,
    )
    network_slots = _slots_that_count(samples, samples.network["network_stamps_s"], network)
    compute_slots = _slots_that_count(samples, samples.compute["compute_stamps_s"], compute)
    return FeatureWindows(
        rate=_taken(samples.network["rate"], network_slots),
        availability=_taken(samples.compute["availability"], compute_slots),
        battery_level=_taken(samples.compute["battery_level"], compute_slots),
    )


def _last_samples(offsets: Offsets, stamps_s: NDArray[Any], rows: Rows, in_cycle: NDArray[np.float64]) -> Rows:
    """Flat positions ``(rows, 5)`` of the last samples at an instant of the cycle, oldest first."""
    first, count = offsets[rows], lengths_of(offsets, rows)
    newest = last_not_after(stamps_s, first, count, in_cycle) - first
    newest = np.where(stamps_s[first] > in_cycle, count - 1, newest)
    back = np.arange(WINDOWS - 1, -1, -1)
    positions: Rows = first[:, None] + (newest[:, None] - back) % count[:, None]
    return positions


def _slots_that_count(samples: Population, stamps_s: NDArray[Any], positions: Rows) -> Rows:
    """For each of the five slots the one whose sample stands in it: its own, or the nearest newer one that counts."""
    stamps = stamps_s.reshape(-1, WINDOWS).astype(np.float64)
    older, newer = stamps[:, :-1], stamps[:, 1:]
    crosses = positions[:, :-1] >= positions[:, 1:]
    half_way = np.where(crosses, np.mod((older + newer) / 2 + CYCLE_S / 2, CYCLE_S), (older + newer) / 2)
    rows = np.repeat(np.arange(len(stamps), dtype=np.int64), WINDOWS - 1)
    active = samples.activity.is_active(rows, half_way.ravel()).reshape(half_way.shape)
    own = np.arange(WINDOWS, dtype=np.int64)
    counts = np.where(active, own[:-1], WINDOWS - 1)
    # From the newest slot back, the smallest own slot so far is the last sample that counted.
    slots = np.full(stamps.shape, WINDOWS - 1, dtype=np.int64)
    slots[:, :-1] = np.minimum.accumulate(counts[:, ::-1], axis=1)[:, ::-1]
    return slots


def _taken(values: NDArray[Any], slots: Rows) -> NDArray[np.float32]:
    return np.take_along_axis(values.reshape(-1, WINDOWS), slots, axis=1).astype(np.float32)
