"""Synthetic devices: static fields with the published frequencies, traces from simple processes.

A device is a function of ``(seed, device id)`` alone: it is the same in a population of ten and of ten thousand.

Only frequencies are published, so fields are drawn independently of each other (but a model suits its brand, and the
name of a system its version). Real devices are not so: a fast processor comes with more memory. See
``docs/devices.md`` for what is published and what is made up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Generic, TypeVar

import numpy as np

from fedswarm.devices import synthesis_tables as tables
from fedswarm.devices.population import Population
from fedswarm.devices.population_file import MAX_DEVICES
from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.published_speeds import CPU_GFLOPS_COUNTS, WIFI_MBPS_COUNTS
from fedswarm.devices.trace_processes import (
    LinkRateChain,
    activity_boundaries,
    availability_walk,
    battery_sawtooth,
    burst_stamps,
    spread_stamps,
)
from fedswarm.errors import DataError
from fedswarm.randomness import generator

Value = TypeVar("Value")

MOST_NETWORK_POINTS: Final = 20_000
MOST_COMPUTE_POINTS: Final = 2_000


@dataclass(frozen=True)
class TraceDensity:
    """How many samples the traces of a device have. The published devices have about 1,900 of the network.

    Raises DataError for a number that does not fit 48 hours.
    """

    network_points: int = 200
    compute_points: int = 48

    def __post_init__(self) -> None:
        if not 1 <= self.network_points <= MOST_NETWORK_POINTS:
            raise DataError(f"{self.network_points} network points: choose 1 to {MOST_NETWORK_POINTS}")
        if not 1 <= self.compute_points <= MOST_COMPUTE_POINTS:
            raise DataError(f"{self.compute_points} compute points: choose 1 to {MOST_COMPUTE_POINTS}")


class Frequencies(Generic[Value]):
    """Values to draw from, each as often as its weight says."""

    def __init__(self, weights: Mapping[Value, float]) -> None:
        self._values = tuple(weights)
        self._edges = list(accumulate(weights.values()))

    def at(self, quantile: float) -> Value:
        """The value at a quantile of [0, 1)."""
        return self._values[bisect_right(self._edges, quantile * self._edges[-1])]


def _models(brand: str, share_percent: float) -> Frequencies[str]:
    known = tables.MODEL_COUNTS.get(brand, {})
    others = tables.DEVICES * share_percent / 100 - sum(known.values())
    return Frequencies({**known, f"{brand} (other)": others})


_BRAND_SHARES: Final = tables.completed(tables.BRAND_SHARES, tables.BRAND_REST)
_BRANDS: Final = Frequencies(_BRAND_SHARES)
_MODELS: Final = {brand: _models(brand, share) for brand, share in _BRAND_SHARES.items()}
_CPUS: Final = Frequencies(CPU_GFLOPS_COUNTS)
_GPUS: Final = Frequencies(tables.GPU_GFLOPS_COUNTS)
_LINKS: Final = Frequencies(WIFI_MBPS_COUNTS)
_RAMS: Final = Frequencies(tables.completed(tables.RAM_SHARES, tables.RAM_REST))
_STORAGES: Final = Frequencies(tables.completed(tables.STORAGE_SHARES, tables.STORAGE_REST))
_OS_VERSIONS: Final = Frequencies(tables.completed(tables.OS_VERSION_SHARES, tables.OS_VERSION_REST))
_BATTERIES: Final = Frequencies(dict.fromkeys(tables.BATTERIES, 1.0))
_LINK_RATES: Final = np.asarray(list(tables.LINK_RATE_SHARES), dtype=np.int64)
LINK_RATE_CHAIN: Final = LinkRateChain(list(tables.LINK_RATE_SHARES.values()))


def synthesize_population(seed: int, devices: int, density: TraceDensity = TraceDensity()) -> Population:
    """Devices 0 to ``devices - 1``. Raises DataError if that is none or more than a population file holds."""
    if not 1 <= devices <= MAX_DEVICES:
        raise DataError(f"{devices} devices: choose 1 to {MAX_DEVICES:,}")
    return Population.from_profiles(
        (synthesize_device(seed, device, density) for device in range(devices)),
        provenance=(
            f"synthetic: {devices} devices, seed {seed}, {density.network_points} network and "
            f"{density.compute_points} compute samples each; drawn independently from published frequencies"
        ),
    )


def synthesize_device(seed: int, device_id: int, density: TraceDensity = TraceDensity()) -> DeviceProfile:
    """The device with that id."""
    random = generator(seed, 0, "synthetic-device", device_id)
    cpu, gpu, link, ram, storage, brand_at, model_at, version, battery = random.random(9).tolist()
    brand = _BRANDS.at(brand_at)
    os_version = _OS_VERSIONS.at(version)
    active_s, inactive_s = activity_boundaries(random)
    network_stamps_s, begins = burst_stamps(random, density.network_points)
    compute_stamps_s = spread_stamps(random, density.compute_points)
    return DeviceProfile(
        cpu_flops=_CPUS.at(cpu) * 1e9,
        gpu_flops=_GPUS.at(gpu) * 1e9,
        peak_throughput_mbps=_LINKS.at(link),
        network_stamps_s=network_stamps_s,
        rate=_LINK_RATES[LINK_RATE_CHAIN.walk(random, begins)],
        compute_stamps_s=compute_stamps_s,
        availability=np.asarray(availability_walk(random, density.compute_points)),
        battery_level=battery_sawtooth(random, compute_stamps_s),
        active_s=np.asarray(active_s, dtype=np.int64),
        inactive_s=np.asarray(inactive_s, dtype=np.int64),
        model=_MODELS[brand].at(model_at),
        brand=brand,
        os_version=os_version,
        os=f"Android {os_version} ({tables.CODE_NAMES[os_version[:3]]})",
        ram=_RAMS.at(ram),
        internal_memory=_STORAGES.at(storage),
        battery=_BATTERIES.at(battery),
    )
