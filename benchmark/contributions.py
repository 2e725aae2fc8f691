"""What members of a reduction add up: whole numbers, so that any order of additions gives the very same sum."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from fedswarm.randomness import generator

_LARGEST = 1000


def contribution(member: str, values: int) -> NDArray[np.float64]:
    """The vector of one member."""
    return generator(1, 0, f"contribution of {member}").integers(-_LARGEST, _LARGEST, values).astype(np.float64)


def digest_of(vector: NDArray[np.float64]) -> str:
    """BLAKE3 of the bytes of a vector."""
    return blake3(vector.data.cast("B")).hexdigest()


def digest_of_sum(members: Iterable[str], values: int) -> str:
    """What each member that receives the sum has to report."""
    total = np.zeros(values, np.float64)
    for member in members:
        total += contribution(member, values)
    return digest_of(total)
