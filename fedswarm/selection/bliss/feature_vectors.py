"""The rows that Bliss' regressors see: g looks at a client for the first time, h knows how it fared before.

====  ===================================================================  =========
g     windows now (rates, availabilities, battery levels; oldest first)    15
      static features                                                      63 *
      round                                                                1 **
h     windows now minus windows of the participation before                15
      static features                                                      63 *
      utility, success and round of the participation before               3
      success of the participation itself                                  1 ***
      round of the participation itself                                    1 ****
====  ===================================================================  =========

``*`` follows the catalogue's lists; ``**`` absent in the published layout, which cannot tell early (large) from late
(small) utilities; ``***`` in the published layout alone, where it tells the answer in training and is 0 in prediction;
``****`` in the published layout it is 0 in prediction. Windows are scaled to [0, 1]; the last five numbers are as they
are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.devices.feature_windows import FeatureWindows

Rows = NDArray[np.float32]

# Least value and range of each series.
SCALES: Final = {"rate": (1.0, 53.0), "availability": (35.0, 65.0), "battery_level": (-1.0, 100.0)}


@dataclass(frozen=True)
class Participation:
    """One participation of each client: arrays ``(n,)``, and ``windows`` ``(n, 15)`` at its beginning, scaled."""

    windows: Rows
    utility: NDArray[np.float64]
    success: NDArray[np.bool_]
    round: NDArray[np.int32]


def scaled_windows(windows: FeatureWindows) -> Rows:
    """float32 ``(n, 15)``: rates, availabilities, battery levels, each on [0, 1] and oldest first."""
    series = [(getattr(windows, name) - least) / span for name, (least, span) in SCALES.items()]
    return np.concatenate(series, axis=1).astype(np.float32)


def first_rows(windows: Rows, static: Rows, rounds: NDArray[np.int32], *, published: bool) -> Rows:
    """Rows of g for participations that begin with ``windows`` in ``rounds``."""
    blocks = [windows, static] if published else [windows, static, _column(rounds)]
    return np.concatenate(blocks, axis=1)


def later_rows(
    windows: Rows,
    static: Rows,
    before: Participation,
    rounds: NDArray[np.int32],
    success: NDArray[np.bool_],
    *,
    published: bool,
) -> Rows:
    """Rows of h for participations after ``before``.

    ``success`` says how they ended, for the published layout alone.
    """
    known = [windows - before.windows, static, *map(_column, (before.utility, before.success, before.round))]
    return np.concatenate([*known, *([_column(success)] if published else []), _column(rounds)], axis=1)


def _column(values: NDArray[np.generic]) -> Rows:
    return values.astype(np.float32)[:, None]
