"""Plots of a population and of a device's week, drawn into a matplotlib figure.

matplotlib is imported only when a plot is made (``pip install 'fedswarm[analysis]'``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fedswarm.devices.population import Population
from fedswarm.devices.statistics import (
    BINS,
    DAY_BINS,
    WEEK_DAYS,
    DeviceWeek,
    PopulationStatistics,
    mean_bandwidths_mbps,
    mean_computes_gflops,
)
from fedswarm.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTOGRAM_BINS: Final = 40
HOURS: Final = 48


def population_plot(population: Population, statistics: PopulationStatistics) -> Figure:
    """Three panels: share of devices online over 48 h, and how compute speed and bandwidth are spread."""
    figure, (online, compute, bandwidth) = _panels(1, 3, width=12, height=3.5)
    online.stairs(np.asarray(statistics.online_share) * 100, np.linspace(0, HOURS, BINS + 1), fill=True)
    online.set(xlabel="hour of the cycle", ylabel="devices online (%)", ylim=(0, 100), xlim=(0, HOURS))
    compute.hist(mean_computes_gflops(population), bins=HISTOGRAM_BINS)
    compute.set(xlabel="mean compute speed (GFLOP/s)", ylabel="devices")
    bandwidth.hist(mean_bandwidths_mbps(population), bins=HISTOGRAM_BINS)
    bandwidth.set(xlabel="mean bandwidth (Mb/s)", ylabel="devices")
    return figure


def week_plot(device: int, week: DeviceWeek) -> Figure:
    """Three panels over seven days: when the device is there, its compute speed and its bandwidth."""
    figure, panels = _panels(3, 1, width=10, height=6)
    days = np.linspace(0, WEEK_DAYS, WEEK_DAYS * DAY_BINS + 1)
    series = {
        "online (%)": np.asarray(week.online_share) * 100,
        "compute (GFLOP/s)": week.compute_gflops,
        "bandwidth (Mb/s)": week.bandwidth_mbps,
    }
    for panel, (label, values) in zip(panels, series.items(), strict=True):
        panel.stairs(values, days, fill=True)
        panel.set(ylabel=label, xlim=(0, WEEK_DAYS))
    panels[0].set_title(f"device {device}")
    panels[-1].set_xlabel("day")
    return figure


def _panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise DependencyError("plots need matplotlib: pip install 'fedswarm[analysis]'") from None
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(rows, columns)))
