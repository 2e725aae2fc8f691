"""One client's device, asked scalar by scalar: the arithmetic of the tables, operation by operation, on plain floats.

An adaptive client asks at every few steps of its training; a vectorised search for one row would cost it ten times as
much. Every operation is that of :class:`~fedswarm.devices.traces.TraceTable`, so results are equal to the last bit.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from fedswarm.devices.activity import Activity
from fedswarm.devices.trace_rules import CYCLE_S
from fedswarm.devices.traces import TraceTable


@dataclass(frozen=True)
class Trace:
    """A row of a :class:`TraceTable`: a segment an entry, and in ``starts_s`` and ``integrals`` the cycle's end."""

    starts_s: Sequence[float]
    levels: Sequence[float]
    integrals: Sequence[float]
    scale: float

    @classmethod
    def of(cls, table: TraceTable, row: int) -> Self:
        """The row's trace."""
        entries = slice(*table.offsets[row : row + 2])
        return cls(
            table.starts_s[entries].tolist(),
            table.levels[entries].tolist()[:-1],
            table.integrals[entries].tolist(),
            float(table.scale[row]),
        )

    def speed(self, now_s: float) -> float:
        """The speed at an instant."""
        return self.levels[self._segment(math.fmod(now_s, CYCLE_S))] * self.scale

    def finish(self, start_s: float, work: float) -> float:
        """When work begun at ``start_s`` is done; infinite if never."""
        if self.scale == 0 or not math.isfinite(start_s):
            return start_s if work == 0 else math.inf
        need = work / self.scale
        if need == 0 or not math.isfinite(need):
            return start_s + need
        in_cycle = math.fmod(start_s, CYCLE_S)
        cycle_s = start_s - in_cycle
        at = self._segment(in_cycle)
        segment_end = cycle_s + self.starts_s[at + 1]
        ahead = self.integrals[at] + self.levels[at] * (in_cycle - self.starts_s[at])
        beyond = need - (self.integrals[at + 1] - ahead)
        if beyond > 0:
            return max(segment_end, self._reach(cycle_s, self.integrals[at + 1] + beyond))
        return min(start_s + need / self.levels[at], segment_end)

    def _segment(self, in_cycle_s: float) -> int:
        return bisect_right(self.starts_s, in_cycle_s, 0, len(self.levels)) - 1

    def _reach(self, cycle_s: float, target: float) -> float:
        whole = self.integrals[-1]
        if whole == 0:
            return math.inf
        rest = math.fmod(target, whole) or whole
        at = bisect_left(self.integrals, rest, 0, len(self.levels)) - 1
        into_s = (rest - self.integrals[at]) / self.levels[at]
        in_cycle = min(self.starts_s[at] + into_s, self.starts_s[at + 1])
        return cycle_s + round((target - rest) / whole) * CYCLE_S + in_cycle


@dataclass(frozen=True)
class ActiveTimes:
    """A row of an :class:`Activity`."""

    starts_s: Sequence[float]
    ends_s: Sequence[float]
    leaves_s: Sequence[float]

    @classmethod
    def of(cls, activity: Activity, row: int) -> Self:
        """The row's intervals."""
        entries = slice(*activity.offsets[row : row + 2])
        return cls(
            activity.starts_s[entries].tolist(),
            activity.ends_s[entries].tolist(),
            activity.interval_leaves_s[entries].tolist(),
        )

    def leaves(self, now_s: float) -> float:
        """Until when the device stays; minus infinity if it is not there at ``now_s``."""
        in_cycle = math.fmod(now_s, CYCLE_S)
        at = bisect_right(self.starts_s, in_cycle) - 1
        if at < 0 or in_cycle >= self.ends_s[at]:
            return -math.inf
        return now_s - in_cycle + self.leaves_s[at]


@dataclass(frozen=True)
class TracedClientTime:
    """Implements :class:`~fedswarm.devices.world.ClientTime` for one client in one round."""

    network: Trace
    compute: Trace
    active: ActiveTimes
    noise: float
    compute_scale: float = 1.0
    network_scale: float = 1.0

    def bandwidth_mbps(self, now_s: float) -> float:
        """Downlink speed at ``now_s``, megabits a second."""
        return self.network.speed(now_s)

    def speed_flops(self, now_s: float) -> float:
        """Compute speed at ``now_s`` with this round's noise, FLOP a second."""
        return self.compute.speed(now_s) * self.noise

    def finish_compute(self, start_s: float, flop: float) -> float:
        """When ``flop`` FLOP begun at ``start_s`` are done; infinite if never."""
        return self.compute.finish(start_s, flop / self.noise)

    def finish_transfer(self, start_s: float, mbit: float) -> float:
        """When ``mbit`` megabits begun at ``start_s`` are through, at downlink speed; infinite if never."""
        return self.network.finish(start_s, mbit)

    def active_throughout(self, start_s: float, end_s: float) -> bool:
        """Whether the device stays during the whole of ``[start_s, end_s)``; true for an empty span."""
        return end_s <= start_s or self.active.leaves(start_s) >= end_s
