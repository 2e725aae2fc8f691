"""Devices of simple numbers: a link of 54 Mb/s at rate 54 and a processor of 1000 FLOP/s at 100 % and full battery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fedswarm.devices.profile import DeviceProfile

DeviceFactory = Callable[..., DeviceProfile]

PLAIN: dict[str, Any] = {
    "cpu_flops": 1000.0,
    "gpu_flops": 0.0,
    "peak_throughput_mbps": 54.0,
    "network_stamps_s": [0],
    "rate": [54],
    "compute_stamps_s": [0],
    "availability": [100],
    "battery_level": [99],
    "active_s": [0],
    "inactive_s": [],
}


@pytest.fixture(scope="session")
def device() -> DeviceFactory:
    """Makes a device that is plain but for the fields given; lists become arrays."""

    def make(**changes: Any) -> DeviceProfile:
        fields = {**PLAIN, **changes}
        return DeviceProfile(**{name: np.asarray(v) if isinstance(v, list) else v for name, v in fields.items()})

    return make
