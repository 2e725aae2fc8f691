"""Whom to consider in a round, and whom to learn from: predictions are dear, so only some clients get one."""

from __future__ import annotations

import numpy as np

from fedswarm.selection.bliss.ranking import LEAST_WEIGHT
from fedswarm.selection.contract import Floats, Integers
from fedswarm.selection.weighted_draw import draw_weighted


def newcomers(rows: Integers, count: int, random: np.random.Generator) -> Integers:
    """At most ``count`` of the rows never heard of, uniformly, in the order drawn."""
    chosen: Integers = random.choice(rows, min(count, len(rows)), replace=False)
    return chosen


def most_useful(rows: Integers, utility: Floats, count: int) -> Integers:
    """The ``count`` rows with the largest utilities, ``utility`` one a row; ties go to the smaller row."""
    if len(rows) <= count:
        return rows
    least = np.partition(utility, len(utility) - count)[len(utility) - count]
    above = np.flatnonzero(utility > least)
    equal = np.flatnonzero(utility == least)[: count - len(above)]
    best: Integers = rows[np.sort(np.concatenate([above, equal]))]
    return best


def learning_rows(rows: Integers, utility: Floats, count: int, random: np.random.Generator) -> Integers:
    """At most ``count`` rows to learn from, drawn with odds proportional to their utility, at least 1e-6; ascending."""
    return np.sort(rows[draw_weighted(random, np.maximum(utility, LEAST_WEIGHT), count)])
