"""The seam between rounds and devices: who is there, and how long they take."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.time_model import PhaseTimes, Workload

ClientIds = NDArray[np.int64]


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
        """The first instant after ``now_s`` at which somebody is online; infinite if that never happens."""
        ...
