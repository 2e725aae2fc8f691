"""A device's fixed traits as numbers in [0, 1]: the static part of Bliss' feature vectors.

=====================  ======================================================================================
system modernity       rank of the newest Android code name in the ``os`` text, Froyo 0 to Pie 10, over 10
system update          first integer of ``os_version`` over the major version of that code name
brand                  one-hot in the catalogue's brands
model cluster          one-hot in the catalogue's clusters of models
memory, storage        largest "<number> GB|MB" told, clipped to [0.25, 4] and [0.5, 128] GB
battery                largest "<number> mAh|Wh" told (3.7 V), clipped to [1300, 9600] mAh
CPU, GPU, throughput   clipped to [4, 67.2] GFLOP/s, [0, 360] GFLOP/s and [72, 433] Mb/s
=====================  ======================================================================================

Encoders and ranges are those of the published system (the FedScale fork with Bliss); what is not told is 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.device_catalogue import DeviceCatalogue

Features = NDArray[np.float32]

# Android's code names, oldest first, and their major versions.
CODE_NAMES: Final = (
    ("froyo", 2), ("gingerbread", 2), ("honeycomb", 3), ("ice cream sandwich", 4), ("jelly bean", 4), ("kitkat", 4),
    ("lollipop", 5), ("marshmallow", 6), ("nougat", 7), ("oreo", 8), ("pie", 9),
)  # fmt: skip
MEMORY_GB: Final = (0.25, 4.0)
STORAGE_GB: Final = (0.5, 128.0)
BATTERY_MAH: Final = (1300.0, 9600.0)
CELL_VOLTS: Final = 3.7
SPEEDS: Final = {
    "cpu_flops": (4e9, 67.2e9),
    "gpu_flops": (0.0, 360e9),
    "peak_throughput_mbps": (72.0, 433.0),
}

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(GB|MB)", re.IGNORECASE)
_CHARGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(mAh|Wh)", re.IGNORECASE)
_INTEGER: Final = re.compile(r"\d+")


def static_feature_names(catalogue: DeviceCatalogue) -> tuple[str, ...]:
    """What each column of :func:`static_features` holds."""
    return (
        "os_modernity",
        "os_update",
        *(f"brand_{brand}" for brand in catalogue.brands),
        *(f"cluster_{number}" for number in range(len(catalogue.clusters))),
        "memory",
        "storage",
        "battery",
        *SPEEDS,
    )


def static_feature_count(catalogue: DeviceCatalogue) -> int:
    """How long a row of :func:`static_features` is."""
    return len(static_feature_names(catalogue))


def static_features(profiles: Mapping[str, NDArray[Any]], catalogue: DeviceCatalogue) -> Features:
    """float32 ``(devices, 8 + brands + clusters)``.

    ``profiles`` are columns by the names of :class:`~fedswarm.devices.profile.DeviceProfile`, one entry a device.
    """
    columns = [
        _each(os_modernity, profiles["os"]),
        _each(os_update, profiles["os"], profiles["os_version"]),
        *_one_hot(profiles["brand"], catalogue.brand_position, len(catalogue.brands)),
        *_one_hot(profiles["model"], catalogue.cluster_position, len(catalogue.clusters)),
        _each(_memory, profiles["ram"]),
        _each(_storage, profiles["internal_memory"]),
        _each(_battery, profiles["battery"]),
        *((np.clip(profiles[name], *limits) - limits[0]) / (limits[1] - limits[0]) for name, limits in SPEEDS.items()),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@cache
def os_modernity(os: str) -> float:
    """0 for Froyo or none, 1 for Pie."""
    return max((rank for rank, _ in _named(os)), default=0) / (len(CODE_NAMES) - 1)


@cache
def os_update(os: str, os_version: str) -> float:
    """How far the installed system is on the way to the newest that ``os`` names; 0 if the version is not told."""
    told = _INTEGER.search(os_version)
    if told is None:
        return 0.0
    installed = int(told.group())
    newest = max(_named(os), default=(0, installed))[1]
    return min(1.0, installed / newest) if newest else 0.0


def largest_size_gb(text: str) -> float | None:
    """The largest of the sizes told, in GB; a number without a unit of its own ("16/32 GB") is no size."""
    return max(
        (float(number) / (1024 if unit.upper() == "MB" else 1) for number, unit in _SIZE.findall(text)), default=None
    )


def largest_charge_mah(text: str) -> float | None:
    """The largest of the charges told, in mAh; watt-hours count at 3.7 V."""
    charges = _CHARGE.findall(text)
    return max(
        (float(number) * (1000 / CELL_VOLTS if unit.lower() == "wh" else 1) for number, unit in charges), default=None
    )


def scaled(value: float | None, limits: tuple[float, float]) -> float:
    """The value clipped to its limits and put on [0, 1]; 0 if there is none."""
    if value is None:
        return 0.0
    least, most = limits
    return (min(max(value, least), most) - least) / (most - least)


def _named(os: str) -> Iterable[tuple[int, int]]:
    text = os.lower()
    return [(rank, major) for rank, (name, major) in enumerate(CODE_NAMES) if name in text]


def _each(encode: Callable[..., float], *texts: NDArray[Any]) -> NDArray[np.float64]:
    """One number a device; encoders remember the few texts there are."""
    return np.asarray([encode(*told) for told in zip(*texts, strict=True)], dtype=np.float64)


@cache
def _memory(text: str) -> float:
    return scaled(largest_size_gb(text), MEMORY_GB)


@cache
def _storage(text: str) -> float:
    return scaled(largest_size_gb(text), STORAGE_GB)


@cache
def _battery(text: str) -> float:
    return scaled(largest_charge_mah(text), BATTERY_MAH)


def _one_hot(texts: NDArray[Any], position: Callable[[str], int | None], size: int) -> NDArray[np.float64]:
    """One row a category: ``(size, devices)``."""
    at = np.asarray([-1 if (found := position(text)) is None else found for text in texts], dtype=np.int64)
    hot: NDArray[np.float64] = (np.arange(size)[:, None] == at).astype(np.float64)
    return hot
