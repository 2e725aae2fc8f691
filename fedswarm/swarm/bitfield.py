"""Which chunks of a set of weights somebody holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedswarm.errors import WireError


class Bitfield:
    """A fixed number of chunks, each held or not; :attr:`bits` is the boolean array itself, for vectorised picks."""

    def __init__(self, size: int) -> None:
        self.bits: NDArray[np.bool_] = np.zeros(size, dtype=np.bool_)
        self.count = 0

    @property
    def complete(self) -> bool:
        """Whether every chunk is held."""
        return self.count == len(self.bits)

    def add_run(self, first: int, count: int) -> NDArray[np.intp]:
        """Adds ``count`` chunks from ``first`` on; returns the newly held. Raises :class:`WireError` out of range."""
        if first < 0 or count < 1 or first + count > len(self.bits):
            raise WireError(f"chunks {first} to {first + count - 1} announced of weights that have {len(self.bits)}")
        fresh = first + np.flatnonzero(~self.bits[first : first + count])
        self.bits[fresh] = True
        self.count += len(fresh)
        return fresh

    def remove(self, index: int) -> bool:
        """Takes a chunk out; returns whether it was there."""
        was_held = bool(self.bits[index])
        self.bits[index] = False
        self.count -= was_held
        return was_held

    def runs(self) -> list[tuple[int, int]]:
        """The held chunks as maximal ``(first, count)`` runs, in order."""
        edges = np.flatnonzero(np.diff(self.bits, prepend=False, append=False))
        return [(int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True)]
