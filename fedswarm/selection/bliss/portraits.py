"""Feature rows of clients: of participations to learn from, and of those to predict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.device_catalogue import DeviceCatalogue
from fedswarm.devices.static_features import static_feature_count, static_features
from fedswarm.selection.bliss.feature_vectors import first_rows, later_rows, scaled_windows
from fedswarm.selection.bliss.memory import WINDOW_FEATURES, Memory
from fedswarm.selection.contract import ClientIds, DeviceFeatures, Integers

Features = NDArray[np.float32]


class Portraits:
    """Puts together what is remembered of clients and what their devices show; ``rows`` are rows of the memory.

    Without :attr:`devices`, their features are zeros.
    """

    def __init__(self, memory: Memory, catalogue: DeviceCatalogue, *, published: bool) -> None:
        self.devices: DeviceFeatures | None = None
        self._memory = memory
        self._catalogue = catalogue
        self._published = published

    def windows(self, client_ids: ClientIds, now_s: float) -> Features:
        """Scaled windows at ``now_s``, ``(n, 15)``."""
        if self.devices is None:
            return np.zeros((len(client_ids), WINDOW_FEATURES), dtype=np.float32)
        return scaled_windows(self.devices.windows(client_ids, now_s))

    def first_learnt(self, rows: Integers) -> Features:
        """Rows of g: the last participation of clients heard of."""
        latest = self._memory.latest(rows)
        return first_rows(latest.windows, self._static(rows), latest.round, published=self._published)

    def first_ahead(self, rows: Integers, now_s: float, round_index: int) -> Features:
        """Rows of g: a participation that would begin now."""
        windows = self.windows(self._memory.clients.ids[rows], now_s)
        rounds = np.full(len(rows), round_index, dtype=np.int32)
        return first_rows(windows, self._static(rows), rounds, published=self._published)

    def later_learnt(self, rows: Integers) -> Features:
        """Rows of h: the last participation of clients heard of twice, after the one before."""
        latest, before = self._memory.latest(rows), self._memory.before_latest(rows)
        static = self._static(rows)
        return later_rows(latest.windows, static, before, latest.round, latest.success, published=self._published)

    def later_ahead(self, rows: Integers, now_s: float, round_index: int) -> Features:
        """Rows of h: a participation that would begin now, after the last one.

        The published layout has zeros for the round and the outcome of what has not happened yet.
        """
        windows = self.windows(self._memory.clients.ids[rows], now_s)
        rounds = np.full(len(rows), 0 if self._published else round_index, dtype=np.int32)
        outcome = np.zeros(len(rows), dtype=np.bool_)
        static = self._static(rows)
        return later_rows(windows, static, self._memory.latest(rows), rounds, outcome, published=self._published)

    def _static(self, rows: Integers) -> Features:
        if self.devices is None:
            return np.zeros((len(rows), static_feature_count(self._catalogue)), dtype=np.float32)
        return static_features(self.devices.profiles(self._memory.clients.ids[rows]), self._catalogue)
