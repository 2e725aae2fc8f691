"""Speeds of real phones, as counted in the published 12,641-device table of the FedScale fork with Bliss.

Numbers of devices by CPU speed (GFLOP/s, theoretical) and by nominal Wi-Fi rate (Mb/s). The GPU column of that table is
left out: its vintages are mixed and some of its values are a hundred times too low.
"""

from __future__ import annotations

from typing import Final

CPU_GFLOPS_COUNTS: Final = {
    4.0: 160, 4.8: 17, 5.0: 1, 6.4: 20, 8.0: 114, 9.6: 350, 10.4: 53, 12.0: 327, 12.8: 249, 13.6: 832, 16.0: 2, 17.6: 9,
    19.2: 1693, 20.8: 58, 21.6: 3, 22.4: 2065, 24.0: 313, 25.6: 421, 27.2: 865, 29.28: 2, 29.76: 1, 30.0: 121,
    30.4: 515,
    34.4: 29, 35.2: 174, 36.16: 21, 36.8: 1814, 38.4: 10, 40.0: 913, 43.2: 509, 44.8: 68, 49.6: 11, 51.2: 255,
    54.08: 14, 54.4: 16, 56.0: 24, 56.8: 10, 57.6: 431, 62.4: 149, 67.2: 2,
}  # fmt: skip

WIFI_MBPS_COUNTS: Final = {72.0: 2073, 150.0: 4424, 433.0: 6144}
