"""Weighted draws without replacement, all at once.

Whoever has the ``count`` smallest of ``E_i / w_i``, with ``E_i`` standard exponential, is drawn by the same law as by
``count`` successive draws, each in proportion to the weights still there (Efraimidis and Spirakis 2006, "Weighted
random sampling with a reservoir"; ``-log`` of it is the Gumbel top-k trick). It costs one partial sort and no loop.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedswarm.selection.contract import Floats

# A client of weight zero can still be drawn once all others are.
SMALLEST_WEIGHT: Final = 1e-12

Positions = NDArray[np.int64]


def draw_weighted(draws: np.random.Generator, weights: Floats, count: int) -> Positions:
    """Positions of at most ``count`` entries of ``weights`` (finite, at least 0), in no particular order."""
    if count >= len(weights):
        return np.arange(len(weights))
    if count <= 0:
        return np.empty(0, dtype=np.int64)
    arrivals = draws.standard_exponential(len(weights))
    arrivals /= np.maximum(weights, SMALLEST_WEIGHT)
    return np.argpartition(arrivals, count - 1)[:count]
