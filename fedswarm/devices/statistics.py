"""A population in numbers: how fast its devices are, and how many of them are there at each time of the 48 hours.

Speeds are means over a cycle, without noise; every mean over time is an exact integral.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.activity import Activity
from fedswarm.devices.population import Population
from fedswarm.devices.trace_rules import CYCLE_S
from fedswarm.devices.traces import TraceTable

Floats = NDArray[np.float64]

PERCENTILES: Final = (5, 25, 50, 75, 95)
BINS: Final = 96
DAY_BINS: Final = BINS // 2
WEEK_DAYS: Final = 7


@dataclass(frozen=True)
class PopulationStatistics:
    """``online_share`` has 96 entries, one a half hour; percentiles are those of :data:`PERCENTILES`, over devices."""

    devices: int
    excluded: int
    never_online: int
    network_samples: int
    compute_samples: int
    compute_gflops: tuple[float, ...]
    bandwidth_mbps: tuple[float, ...]
    online_percent: tuple[float, ...]
    online_share: tuple[float, ...]

    @property
    def mean_online_share(self) -> float:
        """Share of devices that are there at a moment chosen at random."""
        return sum(self.online_share) / len(self.online_share)


@dataclass(frozen=True)
class DeviceWeek:
    """One device over seven days (three and a half cycles); each tuple has an entry a half hour, 48 a day."""

    online_share: tuple[float, ...]
    compute_gflops: tuple[float, ...]
    bandwidth_mbps: tuple[float, ...]


def describe(population: Population) -> PopulationStatistics:
    """The statistics of a population."""
    online_s = _online_s(population.activity)
    return PopulationStatistics(
        devices=len(population),
        excluded=len(population.excluded),
        never_online=int(np.count_nonzero(online_s == 0)),
        network_samples=int(population.network_offsets[-1]),
        compute_samples=int(population.compute_offsets[-1]),
        compute_gflops=_percentiles(mean_computes_gflops(population)),
        bandwidth_mbps=_percentiles(mean_bandwidths_mbps(population)),
        online_percent=_percentiles(online_s / CYCLE_S * 100),
        online_share=_floats(online_shares(population.activity)),
    )


def describe_week(population: Population, device: int) -> DeviceWeek:
    """A device's week. Raises DataError if the population has no such device."""
    alone = Population.from_profiles([population.profile(device)])
    return DeviceWeek(
        online_share=_week(online_shares(alone.activity)),
        compute_gflops=_week(_speeds_over_time(alone.compute_traces) / 1e9),
        bandwidth_mbps=_week(_speeds_over_time(alone.network_traces)),
    )


def online_shares(activity: Activity, bins: int = BINS) -> Floats:
    """Mean share of devices that are there in each of ``bins`` equal parts of the 48 hours."""
    edges = np.linspace(0.0, CYCLE_S, bins + 1)
    starts_s, ends_s = activity.starts_s.astype(np.float64), activity.ends_s.astype(np.float64)
    before = [float(np.minimum(ends_s, edge).sum() - np.minimum(starts_s, edge).sum()) for edge in edges]
    shares: Floats = np.diff(before) / (CYCLE_S / bins) / (len(activity.offsets) - 1)
    return shares


def mean_computes_gflops(population: Population) -> Floats:
    """Each device's mean compute speed over a cycle, GFLOP/s."""
    return _mean_speeds(population.compute_traces) / 1e9


def mean_bandwidths_mbps(population: Population) -> Floats:
    """Each device's mean bandwidth over a cycle, Mb/s."""
    return _mean_speeds(population.network_traces)


def _online_s(activity: Activity) -> Floats:
    lengths = activity.ends_s.astype(np.float64) - activity.starts_s
    totals = np.append(0.0, np.cumsum(lengths))
    online_s: Floats = np.diff(totals[activity.offsets])
    return online_s


def _mean_speeds(traces: TraceTable) -> Floats:
    return traces.integrals[traces.offsets[1:] - 1] * traces.scale / CYCLE_S


def _speeds_over_time(traces: TraceTable) -> Floats:
    """The mean speed of a table's only device in each half hour."""
    edges = np.linspace(0.0, CYCLE_S, BINS + 1)
    speeds: Floats = np.diff(np.interp(edges, traces.starts_s, traces.integrals)) / (CYCLE_S / BINS) * traces.scale[0]
    return speeds


def _percentiles(values: Floats) -> tuple[float, ...]:
    return _floats(np.percentile(values, PERCENTILES))


def _week(cycle: Floats) -> tuple[float, ...]:
    return _floats(np.resize(cycle, WEEK_DAYS * DAY_BINS))


def _floats(values: Floats | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
