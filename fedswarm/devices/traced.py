"""Devices with 48-hour traces: the :class:`~fedswarm.devices.world.DeviceWorld` of a population.

Client *i* has the population's row ``i mod N``; ids from *N* on vary it (:mod:`fedswarm.devices.variation`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.activity import Activity
from fedswarm.devices.client_time import ActiveTimes, Trace, TracedClientTime
from fedswarm.devices.feature_windows import FeatureWindows, feature_windows
from fedswarm.devices.noise import compute_noise
from fedswarm.devices.population import Population
from fedswarm.devices.ragged import Rows
from fedswarm.devices.time_model import Floats, PhaseTimes, Workload
from fedswarm.devices.traces import TraceTable
from fedswarm.devices.variation import devices_of
from fedswarm.devices.world import ClientIds, ClientTime
from fedswarm.errors import DataError
from fedswarm.jobs.schema import DevicesSection


@dataclass(frozen=True, eq=False)
class TracedDevices:
    """Implements :class:`~fedswarm.devices.world.DeviceWorld`; ``client_ids`` ascend, one entry a client of the run."""

    client_ids: ClientIds
    population: Population
    seed: int
    compute_scale: float = 1.0
    network_scale: float = 1.0

    @classmethod
    def of(cls, client_ids: ClientIds, population: Population, seed: int, section: DevicesSection) -> Self:
        """A device for each client; raises :class:`DataError` for a negative id."""
        if len(client_ids) and client_ids.min() < 0:
            raise DataError(f"client id {client_ids.min()} is negative: ids of devices start at 0")
        return cls(
            client_ids=np.sort(client_ids),
            population=population,
            seed=seed,
            compute_scale=section.clock_factor if section.compute_scale is None else section.compute_scale,
            network_scale=section.clock_factor if section.network_scale is None else section.network_scale,
        )

    def online(self, now_s: float) -> ClientIds:
        """Ids of the clients that are there at virtual instant ``now_s``, ascending."""
        activity, rows = self._activity
        there = np.flatnonzero(activity.active_rows(now_s)[rows])  # four times as fast as a mask of a million
        return self.client_ids[there]

    def phase_times(self, client_ids: ClientIds, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
        """Each phase begins where the one before ends, on the client's traces from there on."""
        network, compute, rows = self._traces(client_ids)
        start = np.full(len(rows), start_s)
        flop = work.compute_flop(self.compute_scale) / compute_noise(self.seed, round_index, client_ids)
        received = network.finish(rows, start, _each(work.download_mbit(self.network_scale), rows))
        trained = compute.finish(rows, received, flop)
        sent = network.finish(rows, trained, _each(work.upload_mbit(self.network_scale), rows))
        return PhaseTimes(_span(start, received), _span(received, trained), _span(trained, sent))

    def active_throughout(self, client_ids: ClientIds, start_s: float, end_s: Floats) -> NDArray[np.bool_]:
        """Whether each client stays online during the whole of ``[start_s, end_s)``."""
        return self.population.activity.active_throughout(client_ids % len(self.population), start_s, end_s)

    def next_online_s(self, now_s: float) -> float:
        """The first instant from ``now_s`` on at which somebody is online; infinite if that never happens."""
        return self._activity[0].next_active_s(now_s)

    def client_time(self, client_id: int, round_index: int) -> ClientTime:
        """One client's device as it is in that round; an executor that asks for some never builds tables of all."""
        ids = np.asarray([client_id], dtype=np.int64)
        device = devices_of(self.population, ids, self.seed)
        return TracedClientTime(
            network=Trace.of(device.network_traces, 0),
            compute=Trace.of(device.compute_traces, 0),
            active=ActiveTimes.of(device.activity, 0),
            noise=float(compute_noise(self.seed, round_index, ids)[0]),
            compute_scale=self.compute_scale,
            network_scale=self.network_scale,
        )

    def profiles(self, client_ids: ClientIds) -> dict[str, NDArray[Any]]:
        """What is fixed about each client's device; see :meth:`Population.profiles`."""
        return self.population.profiles(client_ids % len(self.population))

    def windows(self, client_ids: ClientIds, now_s: float) -> FeatureWindows:
        """The last samples of each client's traces."""
        return feature_windows(self.population, client_ids, now_s, self.seed)

    @cached_property
    def _activity(self) -> tuple[Activity, Rows]:
        """Activity of the devices in use, and each client's row in it."""
        used, rows = np.unique(self.client_ids % len(self.population), return_inverse=True)
        return self.population.activity.take(used), rows

    def _traces(self, client_ids: ClientIds) -> tuple[TraceTable, TraceTable, Rows]:
        """Network and compute traces of some clients, and each client's row in both."""
        if np.all(client_ids < len(self.population)):
            return self.population.network_traces, self.population.compute_traces, client_ids
        devices = devices_of(self.population, client_ids, self.seed)
        return devices.network_traces, devices.compute_traces, np.arange(len(client_ids))


def _each(work: float | Floats, rows: Rows) -> Floats:
    return np.broadcast_to(np.asarray(work, dtype=np.float64), rows.shape)


def _span(start_s: Floats, end_s: Floats) -> Floats:
    """Seconds in between; infinite where the end, or already the start, is never reached."""
    reached = np.isfinite(end_s)
    return np.where(reached, end_s, np.inf) - np.where(reached, start_s, 0.0)
