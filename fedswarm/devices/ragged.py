"""Rows of different lengths laid end to end: the arithmetic of compressed sparse rows, and a binary search in all rows.

A ragged table is a flat array and its ``offsets``: int64 ``(rows + 1,)``, ascending from 0; row *i* is
``flat[offsets[i] : offsets[i + 1]]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Offsets = NDArray[np.int64]
Mask = NDArray[np.bool_]


def offsets_of(lengths: Sequence[int] | NDArray[np.int64]) -> Offsets:
    """Where each row starts, and after the last one where it ends."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def row_of_each(offsets: Offsets) -> Rows:
    """For each element of the flat array, the row it lies in."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))


def lengths_of(offsets: Offsets, rows: Rows) -> Rows:
    """How many elements each of ``rows`` has."""
    return offsets[rows + 1] - offsets[rows]


def positions_of(offsets: Offsets, rows: Rows) -> Rows:
    """Flat positions of the elements of ``rows``, row after row: ``flat[positions]`` is the table of those rows."""
    lengths = lengths_of(offsets, rows)
    shift = offsets[rows] - offsets_of(lengths)[:-1]
    return np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(shift, lengths)


def last_not_after(flat: NDArray[Any], first: Rows, count: Rows, keys: NDArray[np.float64]) -> Rows:
    """Position of the last element ``<= key`` among ``flat[first : first + count]``, ascending, for each key.

    All arguments but ``flat`` have one entry a search; ``count`` is at least 1. Where even the first element is
    greater, its position is the answer.
    """
    return _bisect(flat, first, count, keys, np.less_equal)


def last_before(flat: NDArray[Any], first: Rows, count: Rows, keys: NDArray[np.float64]) -> Rows:
    """As :func:`last_not_after`, of the last element ``< key``."""
    return _bisect(flat, first, count, keys, np.less)


def _bisect(flat: NDArray[Any], first: Rows, count: Rows, keys: NDArray[np.float64], passes: np.ufunc) -> Rows:
    """Halves every range at once. The answer lies in ``[low, low + left)``; all ranges take equally many turns."""
    low, left = first.copy(), count.copy()
    for _ in range(int(count.max(initial=1) - 1).bit_length()):
        half = left >> 1
        middle = low + half
        low += half * passes(flat.take(middle), keys)
        left -= half
    return low
