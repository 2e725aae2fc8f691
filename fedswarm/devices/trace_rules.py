"""What a device's series must satisfy, checked for many devices at once or for one.

A fault names the row, the field, the offending value and the rule. Only the first fault of a row and field is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.ragged import Mask, Offsets, row_of_each

CYCLE_S: Final = 172_800.0
LINK_RATE_MAX: Final = 54.0
STAMPS: Final = (0.0, CYCLE_S)
# Series of a device and the range of their values, ends included.
NETWORK_RANGES: Final = {"network_stamps_s": STAMPS, "rate": (0.0, LINK_RATE_MAX)}
COMPUTE_RANGES: Final = {"compute_stamps_s": STAMPS, "availability": (0.0, 100.0), "battery_level": (-1.0, 100.0)}
BOUNDARY_RANGES: Final = {"active_s": STAMPS, "inactive_s": STAMPS}
SPEED_RANGES: Final = {"cpu_flops": (0.0, 1e18), "gpu_flops": (0.0, 1e18), "peak_throughput_mbps": (0.0, 1e7)}


@dataclass(frozen=True)
class Fault:
    """Why a row is no device."""

    row: int
    text: str


def range_faults(field: str, values: NDArray[Any], offsets: Offsets, limits: tuple[float, float]) -> Iterator[Fault]:
    """Rows with a value outside ``limits`` or not a number."""
    least, most = limits
    with np.errstate(invalid="ignore"):
        outside = ~((values >= least) & (values <= most))
    for row, position, index in _first_in_row(outside, offsets):
        yield Fault(row, f"{field}[{index}] is {values[position]:g}: it must lie between {least:g} and {most:g}")


def order_faults(field: str, stamps: NDArray[Any], offsets: Offsets) -> Iterator[Fault]:
    """Rows whose stamps run backwards; equal ones may follow each other, then the last counts."""
    backwards = np.zeros(len(stamps), dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        backwards[1:] = stamps[1:] < stamps[:-1]
    backwards[offsets[:-1][offsets[:-1] < len(stamps)]] = False  # the first of a row has none before it
    for row, position, index in _first_in_row(backwards, offsets):
        yield Fault(row, f"{field}[{index}] is {stamps[position]:g} after {stamps[position - 1]:g}: sort the stamps")


def grid_faults(field: str, values: NDArray[Any], offsets: Offsets, steps: int) -> Iterator[Fault]:
    """Rows with a value between two multiples of ``1 / steps``."""
    if values.dtype.kind != "f":
        return
    with np.errstate(invalid="ignore", over="ignore"):
        between = np.mod(values * np.float32(steps), np.float32(1)) != 0
    for row, position, index in _first_in_row(between, offsets):
        yield Fault(row, f"{field}[{index}] is {values[position]!r}: it must be a multiple of 1/{steps}")


def interval_faults(starts_s: NDArray[Any], ends_s: NDArray[Any], offsets: Offsets) -> Iterator[Fault]:
    """Rows with an active interval that is empty or does not lie after the one before."""
    wrong = ~(starts_s < ends_s)
    touching = np.zeros(len(starts_s), dtype=np.bool_)
    touching[1:] = starts_s[1:] <= ends_s[:-1]
    touching[offsets[:-1][offsets[:-1] < len(starts_s)]] = False
    for row, position, index in _first_in_row(wrong | touching, offsets):
        span = f"[{starts_s[position]:g}, {ends_s[position]:g})"
        yield Fault(row, f"active interval {index}, {span}, is empty or begins before the one ahead of it has ended")


def empty_faults(field: str, offsets: Offsets) -> Iterator[Fault]:
    """Rows without a sample."""
    for row in np.flatnonzero(np.diff(offsets) == 0):
        yield Fault(int(row), f"{field} is empty: a device needs at least one sample")


def _first_in_row(marked: Mask, offsets: Offsets) -> Iterator[tuple[int, int, int]]:
    """Row, flat position and index in the row of the first marked element of each row that has one."""
    positions = np.flatnonzero(marked)
    if len(positions) == 0:
        return
    rows, first = np.unique(row_of_each(offsets)[positions], return_index=True)
    for row, position in zip(rows.tolist(), positions[first].tolist(), strict=True):
        yield row, position, position - int(offsets[row])
