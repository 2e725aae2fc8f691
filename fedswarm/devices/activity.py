"""When devices take part: half-open intervals ``[start, end)`` of a 48-hour cycle that repeats for ever.

Published traces hold instants at which a device becomes active or inactive, in several conventions. They are turned
into intervals once: at each instant the phase is set, never toggled, so a boundary told twice or a missing one at 0
inverts nothing. The phase before the first instant is that of an instant at 0, else the opposite of the first one's.
A device without any ``active`` instant never takes part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.ragged import (
    Mask,
    Offsets,
    Rows,
    last_not_after,
    lengths_of,
    offsets_of,
    positions_of,
    row_of_each,
)
from fedswarm.devices.trace_rules import CYCLE_S

Instants = NDArray[np.float32]
Floats = NDArray[np.float64]

NO_INSTANTS: Final = np.zeros(0, dtype=np.float32)


def active_intervals(active_s: Instants, inactive_s: Instants) -> tuple[Instants, Instants]:
    """Starts and ends of the intervals in ``[0, 48 h]``, ascending and apart from each other.

    Where a device becomes active and inactive at one instant, it is active from then on.
    """
    if len(active_s) == 0:
        return NO_INSTANTS, NO_INSTANTS
    instants, first = np.unique(np.concatenate([active_s, inactive_s]), return_index=True)
    phases = first < len(active_s)  # np.unique finds the first of equals, and the active ones come first
    before = instants < CYCLE_S
    instants, phases = instants[before], phases[before]
    if len(instants) == 0:
        return NO_INSTANTS, NO_INSTANTS
    if instants[0] > 0:
        instants = np.concatenate([np.zeros(1, dtype=np.float32), instants])
        phases = np.concatenate([~phases[:1], phases])
    changes = np.flatnonzero(np.diff(phases, prepend=False))
    ends = np.append(instants[changes[1::2]], np.float32(CYCLE_S))
    starts = instants[changes[::2]]
    return starts, ends[: len(starts)]


@dataclass(frozen=True, eq=False)
class Activity:
    """Active intervals of many devices, a ragged table: ``starts_s`` and ``ends_s`` float32, ``offsets`` int64."""

    offsets: Offsets
    starts_s: Instants
    ends_s: Instants

    @classmethod
    def from_boundaries(cls, boundaries: Sequence[tuple[Instants, Instants]]) -> Self:
        """One row for each pair of ``active`` and ``inactive`` instants."""
        intervals = [active_intervals(active_s, inactive_s) for active_s, inactive_s in boundaries]
        return cls(
            offsets_of([len(starts) for starts, _ in intervals]),
            np.concatenate([NO_INSTANTS, *(starts for starts, _ in intervals)]),
            np.concatenate([NO_INSTANTS, *(ends for _, ends in intervals)]),
        )

    def take(self, rows: Rows) -> Self:
        """The table of these rows."""
        positions = positions_of(self.offsets, rows)
        offsets = offsets_of(lengths_of(self.offsets, rows))
        return type(self)(offsets, self.starts_s[positions], self.ends_s[positions])

    @cached_property
    def _row_of_interval(self) -> NDArray[np.int32]:
        return row_of_each(self.offsets).astype(np.int32)

    @cached_property
    def interval_leaves_s(self) -> Floats:
        """When the activity begun in each interval ends, counted from its cycle's start: past 48 h if it goes on."""
        leaves = self.ends_s.astype(np.float64)
        present = np.flatnonzero(np.diff(self.offsets) > 0)
        first, last = self.offsets[present], self.offsets[present + 1] - 1
        goes_on = (self.starts_s[first] == 0) & (self.ends_s[last] == CYCLE_S)
        leaves[last[goes_on]] = CYCLE_S + self.ends_s[first[goes_on]]
        leaves[first[goes_on & (first == last)]] = math.inf
        return leaves

    def active_rows(self, now_s: float) -> Mask:
        """Which rows are active at ``now_s``, one entry a row: a single pass over all intervals."""
        here = _not_above(now_s % CYCLE_S)
        active = np.zeros(len(self.offsets) - 1, dtype=np.bool_)
        # A row has at most one interval that holds the instant, so no entry is written twice.
        active[self._row_of_interval[np.flatnonzero((self.starts_s <= here) & (self.ends_s > here))]] = True
        return active

    def is_active(self, rows: Rows, now_s: float | Floats) -> Mask:
        """Whether each of ``rows`` is active, at one instant or each at its own."""
        return self.leaves_s(rows, now_s) > now_s

    def active_throughout(self, rows: Rows, start_s: float, end_s: Floats) -> Mask:
        """Whether each row stays active during the whole of ``[start_s, end_s)``; true for an empty span."""
        leaves: Mask = (end_s <= start_s) | (self.leaves_s(rows, start_s) >= end_s)
        return leaves

    def leaves_s(self, rows: Rows, now_s: float | Floats) -> Floats:
        """Until when each row stays active; minus infinity if it is not active at ``now_s``, infinite if for ever."""
        in_cycle = np.broadcast_to(np.asarray(np.mod(now_s, CYCLE_S), dtype=np.float64), rows.shape)
        first, count = self.offsets[rows], lengths_of(self.offsets, rows)
        leaves = np.full(len(rows), -math.inf)
        present = np.flatnonzero(count)
        found = last_not_after(self.starts_s, first[present], count[present], in_cycle[present])
        within = (self.starts_s[found] <= in_cycle[present]) & (in_cycle[present] < self.ends_s[found])
        held = present[within]
        leaves[held] = (np.broadcast_to(now_s, rows.shape) - in_cycle)[held] + self.interval_leaves_s[found[within]]
        return leaves

    def next_active_s(self, now_s: float) -> float:
        """The first instant from ``now_s`` on at which some row is active; infinite if there is none."""
        if len(self.starts_s) == 0:
            return math.inf
        if self.active_rows(now_s).any():
            return now_s
        in_cycle = now_s % CYCLE_S
        later = self.starts_s[self.starts_s > _not_above(in_cycle)]
        ahead = float(later.min()) if len(later) else CYCLE_S + float(self.starts_s.min())
        return now_s - in_cycle + ahead


def _not_above(instant_s: float) -> np.float32:
    """The greatest float32 up to ``instant_s``: comparing float32 with it is exact, and needs no float64 copy."""
    nearest = np.float32(instant_s)
    return nearest if float(nearest) <= instant_s else np.nextafter(nearest, np.float32(-math.inf))
