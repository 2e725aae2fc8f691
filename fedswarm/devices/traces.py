"""Speeds over a 48-hour cycle for many devices, and when work begun at some instant is done.

A speed is piecewise constant, left-closed and cyclic. Of every trace the integral from the cycle's start to each
breakpoint is kept, so that the instant at which an amount of work is done is found by two binary searches, whatever
the number of breakpoints or of whole cycles in between. A speed of 0 is a pause; a trace that is 0 throughout never
finishes anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.profile import STAMPS_PER_S, VALUE_STEPS
from fedswarm.devices.ragged import Offsets, Rows, last_before, last_not_after, row_of_each
from fedswarm.devices.trace_rules import CYCLE_S, LINK_RATE_MAX

Floats = NDArray[np.float64]

# One block of searches, or of rows filled, stays in a core's cache: larger and smaller blocks were slower.
BLOCK_CLIENTS: Final = 16_384
BLOCK_ROWS: Final = 256
# Battery level from which on a device computes with so many tenths of its speed.
BATTERY_LEVELS: Final = np.asarray([10.0, 30.0, 50.0, 70.0])
BATTERY_TENTHS: Final = np.asarray([4.0, 6.0, 8.0, 9.0, 10.0])


@dataclass(frozen=True, eq=False)
class TraceTable:
    """Cyclic speeds of many devices in units of their own: speed = ``levels * scale[row]``.

    A ragged table: a row has an entry for each segment and a last one that ends the cycle. ``starts_s`` (float32) is
    when a segment begins, from 0 to 48 h; ``levels`` (float32) its level, 0 in the last entry; ``integrals`` (float64)
    the level integrated from the cycle's start to there, in level-seconds, exact.
    """

    offsets: Offsets
    starts_s: NDArray[np.float32]
    levels: NDArray[np.float32]
    integrals: Floats
    scale: Floats

    def speed(self, rows: Rows, now_s: Floats) -> Floats:
        """Each row's speed at an instant of its own."""
        first = self.offsets[rows]
        at = last_not_after(self.starts_s, first, self.offsets[rows + 1] - first - 1, np.mod(now_s, CYCLE_S))
        return self.levels[at].astype(np.float64) * self.scale[rows]

    def finish(self, rows: Rows, start_s: Floats, work: Floats) -> Floats:
        """When work begun at ``start_s`` is done, for each of ``rows``: all arguments have one entry a client.

        Starts are not negative and may be infinite, as the answer then is; it is so, too, for work that is never done.
        """
        done = np.empty(len(rows))
        order = np.argsort(rows)  # neighbours search the same row: a third faster for a million clients
        for block in _blocks(len(rows), BLOCK_CLIENTS):
            chosen = order[block]
            done[chosen] = self._finish(rows[chosen], start_s[chosen], work[chosen])
        return done

    def _finish(self, rows: Rows, start_s: Floats, work: Floats) -> Floats:
        first = self.offsets[rows]
        last = self.offsets[rows + 1] - 1
        with np.errstate(divide="ignore", invalid="ignore"):  # what has no speed is sorted out at the end
            need = work / self.scale[rows]
            in_cycle = np.fmod(start_s, CYCLE_S)
            cycle_s = start_s - in_cycle
            at = last_not_after(self.starts_s, first, last - first, in_cycle)
            level = self.levels.take(at).astype(np.float64)
            segment_end = cycle_s + self.starts_s.take(at + 1)
            ahead = self.integrals.take(at) + level * (in_cycle - self.starts_s.take(at))
            beyond = need - (self.integrals.take(at + 1) - ahead)
            soon = np.minimum(start_s + need / level, segment_end)
            late = np.maximum(segment_end, self._reach(first, last, cycle_s, self.integrals.take(at + 1) + beyond))
            done = np.where(beyond > 0, late, soon)
        at_once = (work == 0) | (need == 0)
        done[at_once] = start_s[at_once]
        done[~np.isfinite(done) | ~np.isfinite(start_s)] = math.inf
        return done

    def _reach(self, first: Rows, last: Rows, cycle_s: Floats, target: Floats) -> Floats:
        """The first instant at which the level integrated from ``cycle_s`` on is ``target``, which is above 0."""
        whole = self.integrals.take(last)
        rest = np.fmod(target, whole)
        rest = np.where(rest > 0, rest, whole)  # the end of a cycle, not the start of the next
        at = last_before(self.integrals, first, last - first, rest)
        into_s = (rest - self.integrals.take(at)) / self.levels.take(at)
        in_cycle = np.minimum(self.starts_s.take(at) + into_s, self.starts_s.take(at + 1))
        return cycle_s + np.rint((target - rest) / whole) * CYCLE_S + in_cycle


def network_traces(speeds: Mapping[str, Floats], offsets: Offsets, series: Mapping[str, NDArray[Any]]) -> TraceTable:
    """Bandwidth, Mb/s: ``peak_throughput_mbps * rate / 54``."""
    return _table(offsets, series["network_stamps_s"], series["rate"], speeds["peak_throughput_mbps"] / LINK_RATE_MAX)


def compute_traces(speeds: Mapping[str, Floats], offsets: Offsets, series: Mapping[str, NDArray[Any]]) -> TraceTable:
    """Compute speed, FLOP/s: ``(cpu_flops + gpu_flops) * availability / 100 * battery factor``."""
    levels = series["availability"] * battery_tenths(series["battery_level"]).astype(np.float32)
    return _table(offsets, series["compute_stamps_s"], levels, (speeds["cpu_flops"] + speeds["gpu_flops"]) / 1000)


def battery_tenths(battery_level: NDArray[Any]) -> Floats:
    """Tenths of its speed that a device offers at a battery level in percent; -1, unknown, counts as empty."""
    return BATTERY_TENTHS[np.searchsorted(BATTERY_LEVELS, battery_level, side="right")]


def _table(offsets: Offsets, stamps_s: NDArray[Any], levels: NDArray[Any], scale: Floats) -> TraceTable:
    rows = len(offsets) - 1
    entries = int(offsets[-1]) + rows
    table = TraceTable(
        offsets=offsets + np.arange(rows + 1),
        starts_s=np.empty(entries, dtype=np.float32),
        levels=np.empty(entries, dtype=np.float32),
        integrals=np.empty(entries),
        scale=scale,
    )
    for block in _blocks(rows, BLOCK_ROWS):
        samples = slice(offsets[block.start], offsets[block.stop])
        _fill(table, block, stamps_s[samples], levels[samples])
    return table


def _fill(table: TraceTable, block: slice, stamps_s: NDArray[Any], levels: NDArray[Any]) -> None:
    """Writes the rows of ``block``. Sums are taken in whole grid steps, where they are exact even if they wrap."""
    offsets = table.offsets[block.start : block.stop + 1]
    entries = slice(offsets[0], offsets[-1])
    starts, ends = offsets[:-1] - offsets[0], offsets[1:] - offsets[0] - 1
    is_sample = np.ones(offsets[-1] - offsets[0], dtype=np.bool_)
    is_sample[ends] = False
    table.starts_s[entries][is_sample] = stamps_s
    table.starts_s[entries][starts] = 0.0
    table.starts_s[entries][ends] = CYCLE_S
    table.levels[entries][is_sample] = levels
    table.levels[entries][ends] = 0.0
    ticks = (table.starts_s[entries] * np.float32(STAMPS_PER_S)).astype(np.int64)
    steps = (table.levels[entries] * np.float32(VALUE_STEPS)).astype(np.int64)
    sums = np.zeros(len(ticks), dtype=np.int64)
    np.cumsum(steps[:-1] * np.diff(ticks), out=sums[1:])  # the last entry of a row has level 0: rows do not mix
    sums -= sums[starts][row_of_each(offsets - offsets[0])]
    table.integrals[entries] = sums / (STAMPS_PER_S * VALUE_STEPS)


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
