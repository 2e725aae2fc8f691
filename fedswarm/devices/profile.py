"""One device: what it is, how its network and its processor fare over 48 hours, and when it takes part.

The fields are those of the published 12,641-device file of the FedScale fork with Bliss. A cycle lasts 48 hours and
repeats for ever. Series are piecewise constant and hold from their stamp on, that stamp included; before its first
stamp a series has its first value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.ragged import offsets_of
from fedswarm.devices.trace_rules import (
    BOUNDARY_RANGES,
    COMPUTE_RANGES,
    NETWORK_RANGES,
    SPEED_RANGES,
    Fault,
    empty_faults,
    order_faults,
    range_faults,
)
from fedswarm.errors import DataError

Samples = NDArray[Any]

# Stamps are kept to 1/64 s and values to 2^-14 of their unit. On these grids float32 holds every sample exactly, and
# so does float64 every sum of value times time: integrals do not depend on the order in which they are taken.
STAMPS_PER_S: Final = 64
VALUE_STEPS: Final = 2**14
LONGEST_TEXT: Final = 500
TEXT_FIELDS: Final = (
    "model", "brand", "os_version", "os", "ram", "internal_memory", "battery",
    "cpu", "gpu", "chipset", "wlan", "network_technology", "network_speed", "time_zone", "uid",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class DeviceProfile:
    """A checked device; construction raises :class:`DataError`, naming the field, for anything that is none.

    Series may be arrays of any real dtype and become read-only float32 on the grids above. ``active_s`` holds the
    instants at which the device begins to take part, ``inactive_s`` those at which it stops, in any order; a device
    without the former never does.

    Speeds at instant ``t``, as in the published time model:

    - ``bandwidth = peak_throughput_mbps * rate(t) / 54``                                  [Mb/s]
    - ``speed = (cpu_flops + gpu_flops) * availability(t) / 100 * battery factor(t)``      [FLOP/s], before noise
    """

    cpu_flops: float
    gpu_flops: float
    peak_throughput_mbps: float
    network_stamps_s: Samples
    rate: Samples
    compute_stamps_s: Samples
    availability: Samples
    battery_level: Samples
    active_s: Samples
    inactive_s: Samples
    model: str = ""
    brand: str = ""
    os_version: str = ""
    os: str = ""
    ram: str = ""
    internal_memory: str = ""
    battery: str = ""
    cpu: str = ""
    gpu: str = ""
    chipset: str = ""
    wlan: str = ""
    network_technology: str = ""
    network_speed: str = ""
    time_zone: str = ""
    uid: str = ""

    def __post_init__(self) -> None:
        for field in SPEED_RANGES:
            object.__setattr__(self, field, _number(field, getattr(self, field)))
        for field in TEXT_FIELDS:
            _check_text(field, getattr(self, field))
        for field in chain(NETWORK_RANGES, COMPUTE_RANGES, BOUNDARY_RANGES):
            steps = STAMPS_PER_S if field.endswith("_s") else VALUE_STEPS
            object.__setattr__(self, field, gridded(_array(field, getattr(self, field)), steps))
        for fault in self._series_faults():
            raise DataError(fault.text)

    def _series_faults(self) -> Iterator[Fault]:
        found: list[Iterator[Fault]] = []
        for ranges in (NETWORK_RANGES, COMPUTE_RANGES):
            stamps, *values = ranges
            offsets = offsets_of([len(getattr(self, stamps))])
            for field in values:
                _check_lengths(field, len(getattr(self, field)), stamps, int(offsets[-1]))
            found += [empty_faults(stamps, offsets), order_faults(stamps, getattr(self, stamps), offsets)]
        for field, limits in {**NETWORK_RANGES, **COMPUTE_RANGES, **BOUNDARY_RANGES}.items():
            values_of_field = getattr(self, field)
            found.append(range_faults(field, values_of_field, offsets_of([len(values_of_field)]), limits))
        return chain.from_iterable(found)


def gridded(values: NDArray[Any], steps: int) -> NDArray[np.float32]:
    """The values rounded to multiples of ``1 / steps``, read-only."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is out of range, and told as such
        rounded = (np.round(values.astype(np.float64) * steps) / steps).astype(np.float32)
    rounded.setflags(write=False)
    return rounded


def _number(field: str, value: Any) -> float:
    least, most = SPEED_RANGES[field]
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise DataError(f"{field} is {value!r}: it must be a number")
    if not least <= float(value) <= most:
        raise DataError(f"{field} is {value}: it must lie between {least:g} and {most:g}")
    return float(value)


def _check_text(field: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise DataError(f"{field} is {str(value)[:40]!r}...: it must be text of at most {LONGEST_TEXT} characters")


def _array(field: str, values: Any) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{field} holds lists of different lengths: it must be a list of numbers") from error
    if array.ndim != 1 or (array.size > 0 and array.dtype.kind not in "iuf"):
        raise DataError(f"{field} has shape {array.shape} of {array.dtype}: it must be a list of numbers")
    return array


def _check_lengths(field: str, length: int, stamps: str, expected: int) -> None:
    if length != expected:
        raise DataError(f"{field} has {length} samples, {stamps} has {expected}: give one sample a stamp")
