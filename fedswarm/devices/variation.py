"""Devices for clients beyond the table: a row once more, with its series varied by keyed noise.

Client *i* of a population of *N* devices has row ``i mod N``. From *N* on, that row's link rate, availability and
battery level are shifted, each by one draw for every active interval: normal, sigma 0.07 of the series' usual range,
keyed by (seed, client). Shifted values are clipped to that range. Samples outside active intervals stay, and so do
pauses (values up to 0); the activity itself is the row's. The published draws are truncated at 1, more than 14 sigma,
which is further out than a keyed draw goes.

Clipping makes this no linear operation on the integrals of the row, so the traces of such clients are made when they
are asked for: a round asks for those it sampled, never for all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.noise import keyed_normals
from fedswarm.devices.population import Population
from fedswarm.devices.profile import VALUE_STEPS, gridded
from fedswarm.devices.ragged import Offsets, last_not_after, lengths_of, row_of_each

SIGMA: Final = 0.07
USUAL_RANGES: Final = {"rate": (1.0, 54.0), "availability": (35.0, 100.0), "battery_level": (-1.0, 99.0)}


def devices_of(population: Population, client_ids: NDArray[np.int64], seed: int) -> Population:
    """One row a client, in their order: the table's for ids in the table, varied ones for those beyond."""
    return varied(population.take(client_ids % len(population)), client_ids, len(population), seed)


def varied(devices: Population, client_ids: NDArray[np.int64], table_size: int, seed: int) -> Population:
    """The same devices, one row a client, with the series of those beyond the table varied.

    A sample is varied by itself, so this serves devices of which only some samples were taken, in any order.
    """
    spread = np.where(client_ids < table_size, 0.0, SIGMA)
    network, compute = dict(devices.network), dict(devices.compute)
    for series, offsets in ((network, devices.network_offsets), (compute, devices.compute_offsets)):
        stamps, *names = series
        interval = _interval_of_each(devices, series[stamps], offsets)
        for name in names:
            shifts = _shifts(devices, client_ids, spread, seed, name)
            series[name] = _shifted(series[name], interval, shifts, USUAL_RANGES[name])
    return replace(devices, network=network, compute=compute)


def _interval_of_each(devices: Population, stamps_s: NDArray[Any], offsets: Offsets) -> NDArray[np.int64]:
    """Number of the active interval that holds each sample, in the flat table; -1 where none does."""
    intervals = devices.activity
    row = row_of_each(offsets)
    first, count = intervals.offsets[row], lengths_of(intervals.offsets, row)
    interval = np.full(len(row), -1, dtype=np.int64)
    present = np.flatnonzero(count)
    stamps = stamps_s[present].astype(np.float64)
    found = last_not_after(intervals.starts_s, first[present], count[present], stamps)
    within = (intervals.starts_s[found] <= stamps) & (stamps < intervals.ends_s[found])
    interval[present[within]] = found[within]
    return interval


def _shifts(
    devices: Population, client_ids: NDArray[np.int64], spread: NDArray[np.float64], seed: int, name: str
) -> NDArray[np.float64]:
    """A shift for each active interval in units of the usual range, and 0 at the end for samples in none."""
    offsets = devices.activity.offsets
    row = row_of_each(offsets)
    within_row = np.arange(len(row)) - offsets[row]
    draws = keyed_normals(seed, 0, f"device-{name}", client_ids[row], within_row)
    return np.append(spread[row] * draws, 0.0)


def _shifted(
    values: NDArray[Any], interval: NDArray[np.int64], shifts: NDArray[np.float64], usual: tuple[float, float]
) -> NDArray[np.float32]:
    least, most = usual
    shift = shifts[interval]
    moved = np.clip((values - least) / (most - least) + shift, 0.0, 1.0) * (most - least) + least
    return gridded(np.where((shift != 0.0) & (values > 0), moved, values), VALUE_STEPS)
