"""From predictions to picks: the published code takes the best, its description draws by the predictions."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from fedswarm.selection.contract import Floats, Integers
from fedswarm.selection.weighted_draw import draw_weighted

# Who is expected to be worth nothing can still be drawn.
LEAST_WEIGHT: Final = 1e-6


def picks(
    predictions: Floats, count: int, ranking: Literal["top", "weighted"], random: np.random.Generator
) -> Integers:
    """Positions of at most ``count`` predictions: the largest, ties in their order, or drawn by their size."""
    if ranking == "weighted":
        return draw_weighted(random, np.maximum(predictions, LEAST_WEIGHT), count)
    order: Integers = np.argsort(-predictions, kind="stable")
    return order[:count]
