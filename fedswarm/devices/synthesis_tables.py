"""Frequencies from which synthetic devices are drawn: the published table of 12,641 Android devices, as far as it goes.

The published file is that of the FedScale fork with Bliss; of its columns only the counts or shares of each value are
known here, not which values go together. CPU speeds and Wi-Fi rates are in
:mod:`fedswarm.devices.published_speeds`. Shares are in percent. What the published shares leave open is shared equally
by the values listed as ``REST``: these are plausible, not published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

DEVICES: Final = 12_641

# GFLOP/s as published. Several chips seem a hundred times too slow (an Adreno 306 at 0.216), which matters little:
# the speed of a device is the sum of both, and its CPU dominates.
GPU_GFLOPS_COUNTS: Final = {
    0.0: 98, 0.133: 2, 0.192: 9, 0.216: 486, 0.245: 44, 0.266: 109, 0.4: 157, 0.48: 121, 0.54: 547, 1.056: 102,
    1.2: 218, 2.4: 192, 2.531: 2132, 3.251: 2276, 3.375: 838, 4.8: 933, 5.0: 48, 5.4: 2596, 6.0: 87, 9.6: 42, 11.0: 1,
    19.2: 250, 24.0: 73, 25.0: 2, 28.8: 66, 38.4: 67, 45.0: 27, 48.0: 2, 50.0: 2, 100.8: 1, 115.2: 142, 128.0: 220,
    163.78: 4, 180.0: 3, 250.0: 2, 268.8: 13, 270.0: 149, 358.4: 431, 360.0: 149,
}  # fmt: skip

RAM_SHARES: Final = {"2 GB RAM": 48.4, "3 GB RAM": 19.7, "1 GB RAM": 17.7, "1.5 GB RAM": 9.6, "4 GB RAM": 2.4}
RAM_REST: Final = ("512 MB RAM", "768 MB RAM", "6 GB RAM")

STORAGE_SHARES: Final = {
    "16 GB": 28.3, "16/32 GB": 17.0, "16/32/64 GB": 15.2, "32/64 GB": 9.2, "8 GB": 8.5, "8/16/32 GB": 6.4,
    "32 GB": 4.4, "8/16 GB": 3.9, "32/64/128 GB": 3.3,
}  # fmt: skip
STORAGE_REST: Final = ("4 GB", "64 GB", "64/128 GB", "16/64 GB")

BRAND_SHARES: Final = {
    "Samsung": 64.3, "HTC": 9.2, "Asus": 7.3, "LG": 7.0, "Motorola": 6.2, "Nvidia": 1.2, "Sony": 1.0, "Google": 1.0,
}  # fmt: skip
BRAND_REST: Final = (
    "Amazon", "LeEco", "YU", "Acer", "HP", "BQ", "Tesco", "Doogee", "iBall", "Lenovo", "Huawei", "Silent Circle",
    "UMI", "Tecno", "OnePlus", "alcatel", "Wiko", "Micromax", "ZTE", "BlackBerry",
)  # fmt: skip

# Devices of each model whose count is published; the others of a brand are named "<brand> (other)".
MODEL_COUNTS: Final = {
    "Samsung": {"I9305 Galaxy S III": 1373, "Galaxy Note 10.1 2014": 461, "Galaxy Note 3": 415},
    "HTC": {"One": 863},
    "Asus": {"Nexus 7": 804},
    "LG": {"Nexus 5": 408},
}

OS_VERSION_SHARES: Final = {
    "6.0.1": 26.2, "4.4.4": 14.1, "4.4.2": 11.6, "5.1.1": 11.4, "7.0": 6.3, "4.1.2": 5.3, "5.0.1": 5.2, "4.3": 4.4,
}  # fmt: skip
OS_VERSION_REST: Final = ("4.0.4", "4.1.1", "4.2.1", "4.2.2", "5.0", "5.0.2", "5.1", "6.0", "7.1.1", "8.0.0")
CODE_NAMES: Final = {
    "4.0": "Ice Cream Sandwich", "4.1": "Jelly Bean", "4.2": "Jelly Bean", "4.3": "Jelly Bean", "4.4": "KitKat",
    "5.0": "Lollipop", "5.1": "Lollipop", "6.0": "Marshmallow", "7.0": "Nougat", "7.1": "Nougat", "8.0": "Oreo",
}  # fmt: skip

# Not published: capacities usual for phones and tablets of those years.
BATTERIES: Final = tuple(
    f"{kind} Li-Ion {capacity} mAh battery"
    for capacity in (1500, 1800, 2100, 2300, 2600, 3000, 3220, 3500, 4325, 6800)
    for kind in ("Removable", "Non-removable")
)

# Percent of all samples of the 802.11 link rate, in Mb/s.
LINK_RATE_SHARES: Final = {
    1: 2.2, 2: 1.0, 5: 2.3, 11: 19.0, 18: 7.3, 24: 10.8, 36: 18.4, 48: 12.0, 54: 27.0,
}  # fmt: skip


def completed(shares: Mapping[str, float], rest: Sequence[str]) -> dict[str, float]:
    """The published shares, and what they leave of 100 percent dealt equally to ``rest``."""
    left = 100.0 - sum(shares.values())
    return {**shares, **{value: left / len(rest) for value in rest}}
