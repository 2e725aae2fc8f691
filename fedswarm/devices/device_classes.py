"""Classes of devices by their links: for emulating a phone or a sensor where no profile of a real one is at hand.

The figures are those that FLTorrent's README tabulates for its simulated fleets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """A kind of device. ``loss`` is the share of packets lost; ``latency_s`` is one way."""

    up_mbps: float
    down_mbps: float
    latency_s: float
    loss: float


DEVICE_CLASSES: Final[Mapping[str, DeviceClass]] = MappingProxyType(
    {
        "edge_server": DeviceClass(up_mbps=100.0, down_mbps=1000.0, latency_s=0.005, loss=0.001),
        "smartphone_high": DeviceClass(up_mbps=50.0, down_mbps=100.0, latency_s=0.020, loss=0.005),
        "smartphone_low": DeviceClass(up_mbps=5.0, down_mbps=20.0, latency_s=0.100, loss=0.02),
        "raspberry_pi": DeviceClass(up_mbps=10.0, down_mbps=50.0, latency_s=0.030, loss=0.01),
        "iot_device": DeviceClass(up_mbps=0.128, down_mbps=0.512, latency_s=0.300, loss=0.05),
    }
)
