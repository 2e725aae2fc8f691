"""Records of FedScale's ``client_device_capacity`` and ``client_behave_trace``, as device profiles.

A capacity record has a ``computation`` and a ``communication``. Upstream, training takes
``3 * batch * steps * computation / 1000`` seconds whatever the model, where our time model divides FLOP, which grow
with the model, by FLOP/s. The two agree for one size of model: the *reference weights*, by default those of the
network that AI Benchmark, upstream's source, times on phones.

=================  =======================  ====================================
field              unit                     becomes
=================  =======================  ====================================
``computation``    ms a sample (FedScale)   ``1000 * reference weights / value`` FLOP/s
``computation``    samples a second (Oort)  ``reference weights * value`` FLOP/s
``communication``  kibibit/s                ``value * 1024 / 1e6`` Mb/s
=================  =======================  ====================================

A behaviour record repeats after ``finish_time`` seconds, one to fifteen days, where ours repeat after two. The device
gets two days of it in a row that begin at a whole day drawn by the record's id, so hours of the day keep their meaning
and the share of time online its expected value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.record_values import number, numbers, positive
from fedswarm.devices.trace_rules import CYCLE_S, LINK_RATE_MAX
from fedswarm.errors import DataError
from fedswarm.randomness import generator

ComputationUnit = Literal["ms-per-sample", "samples-per-second"]

MOBILENET_V2_WEIGHTS: Final = 3_504_872
DAY_S: Final = 86_400
SHORTEST_CYCLE_S: Final = 3_600
MBIT_PER_KIBIBIT: Final = 1024 / 1e6
FULL_BATTERY: Final = 99.0

Instants = NDArray[np.float64]


@dataclass(frozen=True)
class CapacityUnits:
    """What the numbers of a capacity file mean."""

    computation: ComputationUnit = "ms-per-sample"
    reference_weights: int = MOBILENET_V2_WEIGHTS

    def flops(self, computation: float) -> float:
        """FLOP/s of a device, as the time model counts FLOP: one a weight and sample."""
        samples_per_s = computation if self.computation == "samples-per-second" else 1000 / computation
        return self.reference_weights * samples_per_s


@dataclass(frozen=True)
class Presence:
    """When a device takes part, in seconds of a 48-hour cycle."""

    active_s: Instants
    inactive_s: Instants


ALWAYS: Final = Presence(np.zeros(1), np.zeros(0))


def is_capacity(record: Mapping[Any, Any]) -> bool:
    """Whether a record is meant to be one of a capacity file."""
    return "computation" in record or "communication" in record


def capacity_profile(record: Mapping[Any, Any], units: CapacityUnits, presence: Presence) -> DeviceProfile:
    """The device of a capacity record: its speeds never change. Raises DataError that names the field."""
    start = np.zeros(1)
    return DeviceProfile(
        cpu_flops=units.flops(positive(record, "computation")),
        gpu_flops=0.0,
        peak_throughput_mbps=positive(record, "communication") * MBIT_PER_KIBIBIT,
        network_stamps_s=start,
        rate=start + LINK_RATE_MAX,
        compute_stamps_s=start,
        availability=start + 100.0,
        battery_level=start + FULL_BATTERY,
        active_s=presence.active_s,
        inactive_s=presence.inactive_s,
    )


def behaviour_presence(record: Mapping[Any, Any], identity: int) -> Presence:
    """Two days of a behaviour record. Raises DataError that names the field."""
    cycle_s = number(record, "finish_time")
    if not SHORTEST_CYCLE_S <= cycle_s < 1e9:
        raise DataError(f"finish_time is {cycle_s:g}: it must be at least {SHORTEST_CYCLE_S} s")
    begin_s, end_s = numbers(record, "active"), numbers(record, "inactive")
    if len(begin_s) != len(end_s):
        raise DataError(f"active has {len(begin_s)} instants, inactive {len(end_s)}: they must come in pairs")
    boundaries_s = np.stack([begin_s, end_s], axis=1).ravel()
    if not np.all(np.diff(boundaries_s, prepend=0.0, append=cycle_s) >= 0):
        raise DataError(f"active and inactive must take turns and ascend from 0 to finish_time, {cycle_s:g}")
    days = max(1, int(cycle_s) // DAY_S)
    first_day = int(generator(0, 0, "behaviour-day", identity).integers(days))
    return two_days(begin_s, end_s, cycle_s, first_day * DAY_S)


def two_days(begin_s: Instants, end_s: Instants, cycle_s: float, from_s: float) -> Presence:
    """The 48 hours from ``from_s`` on of intervals ``[begin_s, end_s)`` that repeat every ``cycle_s``."""
    repeats = np.arange(int(from_s // cycle_s), int((from_s + CYCLE_S) // cycle_s) + 1) * cycle_s - from_s
    begin = np.clip((repeats[:, None] + begin_s).ravel(), 0.0, CYCLE_S)
    end = np.clip((repeats[:, None] + end_s).ravel(), 0.0, CYCLE_S)
    seen = begin < end
    begin, end = begin[seen], end[seen]
    if len(begin) and begin[0] > 0:
        end = np.insert(end, 0, 0.0)
    return Presence(begin, end)
