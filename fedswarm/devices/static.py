"""Devices that are always on and whose speed never changes: one draw a client from the published table.

Compute time carries the published log-normal noise (sigma 0.25, mean 0.9), drawn anew for each client and round from
``(seed, round, client)``, so it does not depend on who simulates the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.feature_windows import WINDOWS, FeatureWindows
from fedswarm.devices.noise import compute_noise, keyed_uniforms
from fedswarm.devices.profile import TEXT_FIELDS
from fedswarm.devices.published_speeds import CPU_GFLOPS_COUNTS, WIFI_MBPS_COUNTS
from fedswarm.devices.time_model import Floats, PhaseTimes, Workload
from fedswarm.devices.world import ClientIds, ClientTime
from fedswarm.jobs.schema import DevicesSection


@dataclass(frozen=True)
class StaticDevices:
    """Implements :class:`~fedswarm.devices.world.DeviceWorld`; arrays have one entry a client, ids ascending."""

    client_ids: ClientIds
    compute_flops: Floats
    link_mbps: Floats
    seed: int
    compute_scale: float = 1.0
    network_scale: float = 1.0

    @classmethod
    def draw(cls, client_ids: ClientIds, seed: int, section: DevicesSection) -> Self:
        """A device for each client: speeds drawn independently with the published frequencies."""
        ids = np.sort(client_ids)
        return cls(
            client_ids=ids,
            compute_flops=_draw_by_count(CPU_GFLOPS_COUNTS, ids, seed, "device-cpu") * 1e9,
            link_mbps=_draw_by_count(WIFI_MBPS_COUNTS, ids, seed, "device-link"),
            seed=seed,
            compute_scale=section.clock_factor if section.compute_scale is None else section.compute_scale,
            network_scale=section.clock_factor if section.network_scale is None else section.network_scale,
        )

    def online(self, now_s: float) -> ClientIds:
        """Everybody, always."""
        return self.client_ids

    def phase_times(self, client_ids: ClientIds, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
        """Work over speed, phase by phase."""
        rows = np.searchsorted(self.client_ids, client_ids)
        speed = self.compute_flops[rows] * compute_noise(self.seed, round_index, client_ids)
        link = self.link_mbps[rows]
        return PhaseTimes(
            download_s=work.download_mbit(self.network_scale) / link,
            compute_s=work.compute_flop(self.compute_scale) / speed,
            upload_s=work.upload_mbit(self.network_scale) / link,
        )

    def active_throughout(self, client_ids: ClientIds, start_s: float, end_s: Floats) -> NDArray[np.bool_]:
        """True for all."""
        return np.ones(len(client_ids), dtype=np.bool_)

    def next_online_s(self, now_s: float) -> float:
        """At once."""
        return now_s

    def client_time(self, client_id: int, round_index: int) -> ClientTime:
        """This client's constant speeds, the round's noise included."""
        ids = np.asarray([client_id], dtype=np.int64)
        (row,) = np.searchsorted(self.client_ids, ids)
        return StaticClientTime(
            compute_flops=float(self.compute_flops[row] * compute_noise(self.seed, round_index, ids)[0]),
            link_mbps=float(self.link_mbps[row]),
            compute_scale=self.compute_scale,
            network_scale=self.network_scale,
        )

    def profiles(self, client_ids: ClientIds) -> dict[str, NDArray[Any]]:
        """Its speeds, all as if of the CPU; nothing else is known about such a device."""
        rows = np.searchsorted(self.client_ids, client_ids)
        nothing = np.full(len(rows), "", dtype=object)
        return {
            "cpu_flops": self.compute_flops[rows],
            "gpu_flops": np.zeros(len(rows)),
            "peak_throughput_mbps": self.link_mbps[rows],
            **dict.fromkeys(TEXT_FIELDS, nothing),
        }

    def windows(self, client_ids: ClientIds, now_s: float) -> FeatureWindows:
        """Always its full link rate, available, on a full battery."""
        return FeatureWindows(*(np.full((len(client_ids), WINDOWS), best, np.float32) for best in (54.0, 100.0, 99.0)))


@dataclass(frozen=True)
class StaticClientTime:
    """Implements :class:`~fedswarm.devices.world.ClientTime` for a device that is always there at the same speed."""

    compute_flops: float
    link_mbps: float
    compute_scale: float = 1.0
    network_scale: float = 1.0

    def bandwidth_mbps(self, now_s: float) -> float:
        """The same at any instant."""
        return self.link_mbps

    def speed_flops(self, now_s: float) -> float:
        """The same at any instant."""
        return self.compute_flops

    def finish_compute(self, start_s: float, flop: float) -> float:
        """Work over speed."""
        return start_s + flop / self.compute_flops

    def finish_transfer(self, start_s: float, mbit: float) -> float:
        """Size over speed."""
        return start_s + mbit / self.link_mbps

    def active_throughout(self, start_s: float, end_s: float) -> bool:
        """Always."""
        return True


def _draw_by_count(counts: Mapping[float, int], client_ids: ClientIds, seed: int, purpose: str) -> Floats:
    """One value a client, each value as frequent as its count; a client's value depends on its own id alone."""
    values = np.asarray(list(counts), dtype=np.float64)
    edges = np.cumsum(np.asarray(list(counts.values()), dtype=np.float64))
    draws = keyed_uniforms(seed, 0, purpose, client_ids)
    drawn: Floats = values[np.searchsorted(edges, draws * edges[-1], side="right")]
    return drawn
