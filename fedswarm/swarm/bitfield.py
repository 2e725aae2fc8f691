"""Which chunks of a set of weights somebody holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

    def add_runs(self, runs: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
        """Adds chunks given as runs ``(first, count)``, in order; returns the newly held.

        Raises :class:`WireError` for runs out of range, or out of order: nothing is added then.
        """
        firsts, counts = np.array(runs, dtype=np.int64).reshape(-1, 2).T
        ends = firsts + counts
        if (counts < 1).any() or (firsts < np.concatenate(([0], ends[:-1]))).any() or (ends > len(self.bits)).any():
            raise WireError(f"{len(runs)} runs up to chunk {ends.max() - 1} announced of weights of {len(self.bits)}")
        indices = np.repeat(firsts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        fresh: NDArray[np.intp] = indices[~self.bits[indices]]
        self.bits[fresh] = True
        self.count += len(fresh)
        return fresh

    def remove(self, index: int) -> bool:
        """Takes a chunk out; returns whether it was there."""
        was_held = bool(self.bits[index])
        self.bits[index] = False
        self.count -= was_held
        return was_held

    def add_packed(self, packed: bytes) -> NDArray[np.intp]:
        """Adds chunks given as bits, chunk ``i`` in bit ``i mod 8`` of byte ``i // 8``; returns the newly held.

        Raises :class:`WireError` for bits of another number of chunks.
        """
        size = len(self.bits)
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little").astype(np.bool_)
        if len(packed) != -(-size // 8) or bits[size:].any():
            raise WireError(f"a bitfield of {len(packed)} bytes for weights of {size} chunks, or with bits beyond them")
        fresh = np.flatnonzero(bits[:size] & ~self.bits)
        self.bits[fresh] = True
        self.count += len(fresh)
        return fresh

    def packed(self) -> bytes:
        """All chunks as bits, in the form that :meth:`add_packed` takes."""
        return np.packbits(self.bits, bitorder="little").tobytes()

    def runs(self) -> list[tuple[int, int]]:
        """The held chunks as maximal ``(first, count)`` runs, in order."""
        return runs_of(np.flatnonzero(self.bits).tolist())


def runs_of(indices: Iterable[int]) -> list[tuple[int, int]]:
    """Indices as maximal ``(first, count)`` runs, in order."""
    runs: list[tuple[int, int]] = []
    for index in sorted(set(indices)):
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
