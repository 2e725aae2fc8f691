"""An update of which only the largest changes are kept: which weights, ascending, and their values. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedswarm.models.layout import Vector

Indices = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class SparseUpdate:
    """``values[i]`` belongs to weight ``indices[i]`` of a vector of ``size`` weights; the others did not change.

    ``indices`` are ascending, without repetition and below ``size``; both arrays have the same length.
    """

    size: int
    indices: Indices
    values: Vector

    def dense(self) -> Vector:
        """The same update as a vector, ``(size,)``."""
        vector = np.zeros(self.size, dtype=np.float32)
        vector[self.indices] = self.values
        return vector


Update: TypeAlias = Vector | SparseUpdate


def kept_weights(trainable_size: int, keep: float) -> int:
    """How many of ``trainable_size`` weights a keep fraction leaves: ``max(1, floor(n keep))``, and 0 of 0."""
    return min(trainable_size, max(1, math.floor(trainable_size * keep)))


def top_k(delta: Vector, keep: float, trainable_size: int) -> SparseUpdate:
    """Keeps exactly :func:`kept_weights` of the trainable weights, those that changed most.

    Of equal magnitudes the weight with the lower index stays, so the answer depends on nothing else. What comes after
    the first ``trainable_size`` weights (frozen parameters, float buffers such as running means) always stays: these
    are states, not steps, and half a state is none.

    Args:
        delta: a finite update, ``(size,)``.
        keep: share of the trainable weights, in (0, 1].
        trainable_size: how many weights at the beginning of ``delta`` the optimizer trains.
    """
    chosen = np.ones(delta.size, dtype=np.bool_)
    chosen[:trainable_size] = _largest(np.abs(delta[:trainable_size]), kept_weights(trainable_size, keep))
    indices = np.flatnonzero(chosen)
    return SparseUpdate(delta.size, indices.astype(np.uint32), delta[indices])


def top_norm(delta: Vector, keep: float) -> float:
    """Euclidean norm, in float64, of what :func:`top_k` leaves of ``delta`` when all its weights are trainable."""
    kept = delta[_largest(np.abs(delta), kept_weights(delta.size, keep))]
    return math.sqrt(float(np.square(kept, dtype=np.float64).sum()))


def _largest(magnitudes: Vector, count: int) -> NDArray[np.bool_]:
    """A mask of the ``count`` largest entries, the first ones of those equal to the smallest of them."""
    if count >= magnitudes.size:
        return np.ones(magnitudes.size, dtype=np.bool_)
    smallest = np.partition(magnitudes, magnitudes.size - count)[magnitudes.size - count]
    mask: NDArray[np.bool_] = magnitudes > smallest
    ties = np.flatnonzero(magnitudes == smallest)
    mask[ties[: count - int(mask.sum())]] = True
    return mask
