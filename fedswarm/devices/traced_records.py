"""Records of the 12,641-device file of the FedScale fork with Bliss, as device profiles.

A record is a dictionary. Times are seconds of a 48-hour cycle and stay as they are. Fields that do not matter to the
simulation (``rssi``, ``livelab-id``, ...) may be absent or of any form; the descriptive texts may be absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fedswarm.devices.profile import DeviceProfile
from fedswarm.devices.record_values import number, numbers, text
from fedswarm.errors import DataError

# Fields of a profile and their names in the file.
_NUMBERS: Final = {"cpu_flops": "CPU_FLOPS", "gpu_flops": "GPU_FLOPS", "peak_throughput_mbps": "peak_throughput"}
_SERIES: Final = {
    "network_stamps_s": "timestamps-livelab",
    "rate": "rate",
    "compute_stamps_s": "timestamps-carat",
    "availability": "availability",
    "battery_level": "batteryLevel",
    "active_s": "active",
    "inactive_s": "inactive",
}
_TEXTS: Final = {
    "model": "model",
    "brand": "brand",
    "os_version": "osVersion",
    "os": "OS",
    "ram": "RAM",
    "internal_memory": "internal_memory",
    "battery": "battery",
    "cpu": "CPU",
    "gpu": "GPU",
    "chipset": "Chipset",
    "wlan": "WLAN",
    "network_technology": "network_technology",
    "network_speed": "network_speed",
    "time_zone": "timeZone",
    "uid": "uid",
}
_NAMES: Final = {**_NUMBERS, **_SERIES, **_TEXTS}
_OUR_NAME: Final = re.compile(rf"\b({'|'.join(_NAMES)})\b")


def is_traced(record: Mapping[Any, Any]) -> bool:
    """Whether a record is meant to be one of these."""
    return "CPU_FLOPS" in record or "timestamps-livelab" in record


def traced_profile(record: Mapping[Any, Any]) -> DeviceProfile:
    """The device of a record. Raises DataError that names the field as the file does."""
    fields: dict[str, Any] = {
        **{field: number(record, name) for field, name in _NUMBERS.items()},
        **{field: numbers(record, name) for field, name in _SERIES.items()},
        **{field: text(record, name) for field, name in _TEXTS.items()},
    }
    try:
        return DeviceProfile(**fields)
    except DataError as error:
        raise DataError(_OUR_NAME.sub(lambda match: _NAMES[match[1]], str(error))) from None
