"""The seam between rounds and devices: who is there, and how long they take."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.time_model import PhaseTimes, Workload

ClientIds = NDArray[np.int64]


class ClientTime(Protocol):
    """One client's device in one round, asked scalar by scalar while the client trains.

    Works and speeds are the device's own. :attr:`compute_scale` and :attr:`network_scale` are the job's, by which a
    caller multiplies its work, as :class:`~fedswarm.devices.time_model.Workload` does. Answers equal the vectorised
    ones of :class:`DeviceWorld` to the last bit.
    """

    @property
    def compute_scale(self) -> float:
        """What the job multiplies compute work by."""
        ...

    @property
    def network_scale(self) -> float:
        """What the job multiplies transfers by."""
        ...

    def bandwidth_mbps(self, now_s: float) -> float:
        """Downlink speed at ``now_s``, megabits a second."""
        ...

    def speed_flops(self, now_s: float) -> float:
        """Compute speed at ``now_s`` with this round's noise, FLOP a second."""
        ...

    def finish_compute(self, start_s: float, flop: float) -> float:
        """When ``flop`` FLOP begun at ``start_s`` are done; infinite if never."""
        ...

    def finish_transfer(self, start_s: float, mbit: float) -> float:
        """When ``mbit`` megabits begun at ``start_s`` are through, at downlink speed; infinite if never."""
        ...

    def active_throughout(self, start_s: float, end_s: float) -> bool:
        """Whether the device stays during the whole of ``[start_s, end_s)``."""
        ...


class DeviceWorld(Protocol):
    """All devices of a run under the virtual clock; every method is a pure function of its arguments."""

    def online(self, now_s: float) -> ClientIds:
        """Ids of the clients that are there at virtual instant ``now_s``, ascending."""
        ...

    def phase_times(self, client_ids: ClientIds, round_index: int, start_s: float, work: Workload) -> PhaseTimes:
        """How long each client takes for its share of ``work`` when dispatched at ``start_s``."""
        ...

    def active_throughout(self, client_ids: ClientIds, start_s: float, end_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each client stays online during the whole of ``[start_s, end_s)``."""
        ...

    def next_online_s(self, now_s: float) -> float:
        """The first instant from ``now_s`` on at which somebody is online; infinite if that never happens."""
        ...

    def client_time(self, client_id: int, round_index: int) -> ClientTime:
        """One client's device as it is in that round."""
        ...
