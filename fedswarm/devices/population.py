"""Many devices as columns: what the simulation computes with, a million clients at a time.

A row is a device. Static fields are arrays with one entry a row; each series is a ragged table. Texts are kept once
and referred to by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.activity import Activity
from fedswarm.devices.profile import TEXT_FIELDS, DeviceProfile
from fedswarm.devices.ragged import Offsets, Rows, lengths_of, offsets_of, positions_of
from fedswarm.devices.trace_rules import COMPUTE_RANGES, NETWORK_RANGES, SPEED_RANGES
from fedswarm.devices.traces import TraceTable, compute_traces, network_traces
from fedswarm.errors import DataError

Column = NDArray[Any]


@dataclass(frozen=True)
class TextColumn:
    """A text for each row: ``texts[codes[row]]``."""

    texts: tuple[str, ...]
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, values: Sequence[str]) -> Self:
        """The column of these texts."""
        texts = tuple(sorted(set(values)))
        numbers = {text: number for number, text in enumerate(texts)}
        return cls(texts, np.asarray([numbers[value] for value in values], dtype=np.int32))

    def __getitem__(self, row: int) -> str:
        return self.texts[int(self.codes[row])]


@dataclass(frozen=True, eq=False)
class Population:
    """Devices in a fixed order; :attr:`excluded` tells, one line each, which others were left out and why.

    ``speeds`` holds ``cpu_flops``, ``gpu_flops`` and ``peak_throughput_mbps``, each float64 ``(devices,)``. ``network``
    and ``compute`` hold the series of their kind, stamps first, all of one kind with the same ``*_offsets``.

    Memory: a sample lies in its columns with 4 bytes for its stamp and 1 (whole numbers) or 4 for each value; columns
    read from a file are mapped, not loaded. The tables of the time model add 16 bytes a network or compute sample, once
    somebody asks for times (:attr:`network_traces`, :attr:`compute_traces`). An active interval takes 20 bytes.
    """

    speeds: Mapping[str, NDArray[np.float64]]
    texts: Mapping[str, TextColumn]
    network_offsets: Offsets
    network: Mapping[str, Column]
    compute_offsets: Offsets
    compute: Mapping[str, Column]
    activity: Activity
    excluded: tuple[str, ...] = ()
    provenance: str = ""

    @classmethod
    def from_profiles(
        cls, profiles: Iterable[DeviceProfile], excluded: Sequence[str] = (), provenance: str = ""
    ) -> Self:
        """The devices in the order given; raises :class:`DataError` if there is none."""
        devices = list(profiles)
        if not devices:
            told = f"; the first of {len(excluded)} left out: {excluded[0]}" if excluded else ""
            raise DataError(f"a population needs at least one device{told}")
        return cls(
            speeds={name: np.asarray([getattr(device, name) for device in devices]) for name in SPEED_RANGES},
            texts={name: TextColumn.of([getattr(device, name) for device in devices]) for name in TEXT_FIELDS},
            network_offsets=offsets_of([len(device.network_stamps_s) for device in devices]),
            network={name: _joined(devices, name) for name in NETWORK_RANGES},
            compute_offsets=offsets_of([len(device.compute_stamps_s) for device in devices]),
            compute={name: _joined(devices, name) for name in COMPUTE_RANGES},
            activity=Activity.from_boundaries([(device.active_s, device.inactive_s) for device in devices]),
            excluded=tuple(excluded),
            provenance=provenance,
        )

    def __len__(self) -> int:
        return len(self.network_offsets) - 1

    def profile(self, row: int) -> DeviceProfile:
        """One device. Its ``active_s`` and ``inactive_s`` are the starts and ends of its active intervals."""
        if not 0 <= row < len(self):
            raise DataError(f"device {row} is not there: the population holds 0 to {len(self) - 1}")
        network = slice(*self.network_offsets[row : row + 2])
        compute = slice(*self.compute_offsets[row : row + 2])
        intervals = slice(*self.activity.offsets[row : row + 2])
        fields: dict[str, Any] = {
            **{name: float(column[row]) for name, column in self.speeds.items()},
            **{name: column[row] for name, column in self.texts.items()},
            **{name: column[network] for name, column in self.network.items()},
            **{name: column[compute] for name, column in self.compute.items()},
        }
        return DeviceProfile(
            **fields, active_s=self.activity.starts_s[intervals], inactive_s=self.activity.ends_s[intervals]
        )

    def profiles(self, rows: Rows) -> dict[str, Column]:
        """What is fixed about these rows, by the names of :class:`DeviceProfile`: speeds (float64) and texts (str)."""
        return {
            **{name: column[rows] for name, column in self.speeds.items()},
            **{name: np.asarray(column.texts, dtype=object)[column.codes[rows]] for name, column in self.texts.items()},
        }

    def take(self, rows: Rows) -> Self:
        """The population of these rows, in their order; a row may come twice."""
        network, compute = positions_of(self.network_offsets, rows), positions_of(self.compute_offsets, rows)
        return replace(
            self,
            speeds={name: column[rows] for name, column in self.speeds.items()},
            texts={name: TextColumn(column.texts, column.codes[rows]) for name, column in self.texts.items()},
            network_offsets=offsets_of(lengths_of(self.network_offsets, rows)),
            network={name: column[network] for name, column in self.network.items()},
            compute_offsets=offsets_of(lengths_of(self.compute_offsets, rows)),
            compute={name: column[compute] for name, column in self.compute.items()},
            activity=self.activity.take(rows),
        )

    @cached_property
    def network_traces(self) -> TraceTable:
        """Bandwidth over time; work is in megabits."""
        return network_traces(self.speeds, self.network_offsets, self.network)

    @cached_property
    def compute_traces(self) -> TraceTable:
        """Compute speed over time, without noise; work is in FLOP."""
        return compute_traces(self.speeds, self.compute_offsets, self.compute)


def _joined(devices: Sequence[DeviceProfile], name: str) -> Column:
    joined = np.concatenate([getattr(device, name) for device in devices])
    return joined if name.endswith("_s") else _compacted(joined)


def _compacted(values: Column) -> Column:
    """The same values in one byte each if they are whole and small."""
    for dtype in (np.uint8, np.int8):
        limits = np.iinfo(dtype)
        if len(values) and limits.min <= values.min() and values.max() <= limits.max:
            small = values.astype(dtype)
            if np.array_equal(small, values):
                return small
    return values
